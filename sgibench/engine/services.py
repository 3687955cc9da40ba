"""What servers use of services while a group is loaded: their shares, what those cost, and whether their rows add up.

A service that is out of use fails the trials of all that use it, whatever else was seen of them meanwhile. A write that
the database has and no answer stands for, or the other way round, fails the trial of its server.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sgibench.engine.orders import Measured
from sgibench.errors import ServerError, one_line
from sgibench.model import App, Failure, Rows, Scenario, ServiceUse, ShareLook
from sgibench.serve.services import House, Share
from sgibench.verify import ROWS_DIFFER

LOOK_EVERY_S = 1.0
ROWS_SETTLE_S = 3.0
"""How long writes that are still under way when the load has ended may take to be seen."""
AGAIN_S = 0.1
OUT_OF_CONNECTIONS = "out-of-connections"
POOL = "SGIBENCH_POOL"
"""The variable that tells an app how many connections each process may hold."""
UNCOUNTED = "the items were counted before the load and could not be counted after it, so nothing shows that it adds up"
NOT_THERE = "the answers stand for items, and there are none where they are counted: the app keeps them elsewhere"
UNCOUNTED_BEFORE = "the items could not be counted before the load, so nothing shows that it adds up"
SQLITE = Path("data") / "items.sqlite3"
"""Where the embedded database stands in a server's scratch folder."""


@dataclass(kw_only=True)
class Used:
    """One server's shares, and what was seen of them."""

    house: House | None = None
    shares: tuple[Share, ...] = ()
    sqlite: Path | None = None
    """The embedded database, which holds the items of an app of the catalogue where no share does."""
    most: dict[str, int] = field(default_factory=dict)
    """Most connections at once, by service."""
    pool: int | None = None
    """Connections that each process of the server may hold."""
    before: Rows | None = None
    uncounted: str | None = None
    """Why the items could not be counted before the load."""
    before_it: dict[str, ShareLook] = field(default_factory=dict)
    """What each service had said of refusals and crashes before this server came: they are told of all its clients."""

    @property
    def variables(self) -> dict[str, str]:
        """How the app learns of them."""
        told = {} if self.pool is None else {POOL: str(self.pool)}
        return {**told, **{name: value for share in self.shares for name, value in share.variables.items()}}

    @property
    def roots(self) -> dict[str, int]:
        """First process of each private service."""
        roots = {share.service: self.house.root(share.service) for share in self.shares if self.house}
        return {service: pid for service, pid in roots.items() if pid}

    def look(self) -> None:
        """Look how many connections there are."""
        for share in self.shares if self.house else ():
            with contextlib.suppress(ServerError):  # one that is out of use is found out by `trouble`
                now = self.house.look(share).connections if self.house else None
                if now is not None:
                    self.most[share.service] = max(now, self.most.get(share.service, 0))

    def rows(self) -> Rows | None:
        """Count the items; None where there are none to count. Raises ServerError where they can't be counted."""
        for share in self.shares if self.house else ():
            if self.house and (rows := self.house.rows(share)) is not None:
                return rows
        return None if self.sqlite is None else sqlite_rows(self.sqlite)

    def families(self) -> dict[str, tuple[int, ...]]:
        """All processes of each private service, its first in front."""
        house, roots = self.house, self.roots
        return {name: (pid, *(one for one in house.pids(name) if one != pid)) for name, pid in roots.items() if house}

    def complaint(self) -> Failure | None:
        """Say that a service lost a process, had no room for more, or does not answer; None otherwise."""
        for share in self.shares if self.house else ():
            try:
                now = self.house.look(share) if self.house else ShareLook()
            except ServerError as error:
                return Failure(reason="service", detail=error.detail, log_tail=error.log_tail)
            before = self.before_it.get(share.service, ShareLook())
            if now.hurt and now.hurt != before.hurt:
                return Failure(reason="service", detail=f"{share.service} lost a process: {now.hurt}")
            if now.refused and now.refused != before.refused:
                detail = f"{share.service} had no room for another connection: {now.refused}"
                return Failure(reason=OUT_OF_CONNECTIONS, detail=detail)
            if now.full and now.full != before.full:
                detail = f"{share.service} had no room for what it was to keep: {now.full}"
                return Failure(reason="service", detail=detail)
        return None

    def trouble(self) -> ServerError | None:
        """Say that a service is out of use; None when none is."""
        found = None if self.house is None else self.house.trouble(self.shares)
        return None if found is None else found.error()

    def out_of_use(self) -> Failure | None:
        """Say that a service is out of use, was hurt or had no room; this asks it."""
        if (error := self.trouble()) is not None:
            return Failure(reason=error.reason, detail=error.detail, log_tail=error.log_tail)
        return self.complaint()

    def drop(self) -> None:
        """Take the shares away."""
        for share in self.shares if self.house else ():
            with contextlib.suppress(ServerError):
                self.house.drop(share) if self.house else None


def use(house: House | None, app: App, owner: str, scratch: Path, pool: int) -> Used:
    """Get a server its shares, and a pool of so many connections where its app keeps one; raises ServerError."""
    if app.uses and house is None:
        raise ServerError("service", f"{app.id} needs {' and '.join(app.uses)}, which this command does not start")
    shares = tuple(house.share(service, owner) for service in app.uses) if house else ()
    pooled = house is not None and any(house.pooled(service) for service in app.uses)
    sqlite = None if app.own else scratch / SQLITE
    used = Used(house=house, shares=shares, sqlite=sqlite, pool=pool if pooled else None)
    for share in shares if house else ():
        used.before_it[share.service] = house.look(share) if house else ShareLook()
    return used


def sqlite_rows(path: Path) -> Rows | None:
    """Count the items of the embedded database; None when there is none. Raises ServerError where that fails."""
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as link:
            count, pieces = link.execute("SELECT count(*), coalesce(sum(quantity), 0) FROM items").fetchone()
    except sqlite3.Error as error:
        raise ServerError("service", one_line(f"the items in {path.name} can't be counted: {error}")) from None
    return Rows(count=count, pieces=pieces)


def writes_of(scenario: Scenario) -> set[str]:
    """Names of the requests that change something in the table."""
    return {*scenario.rows, *(scenario.pieces or {})}


def shows_items(scenario: Scenario, app: App) -> bool:
    """Whether an app has to show before the load that it keeps the contract's items where they are counted."""
    paths = (name.partition(" ")[2] for name in writes_of(scenario))
    return app.own is None and any(path.startswith(("/items", "/raise/")) for path in paths)


class Witness:
    """Watches the services of a group's servers while it is loaded; by cell."""

    def __init__(self, scenario: Scenario, used: Mapping[str, Used]) -> None:
        """Read how things stand before the load."""
        self.scenario = scenario
        self._used = used
        self._counts = bool(scenario.rows) or scenario.pieces is not None
        self._looked_s = time.monotonic()
        for one in used.values():
            one.most.clear()
            one.look()
            one.before, one.uncounted = _counted(one) if self._counts else (None, None)

    def look(self) -> None:
        """Look at the connections, not too often: each look is work for the service."""
        if time.monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = time.monotonic()
            for one in self._used.values():
                one.look()

    def judge(self, cell: str, measured: Measured) -> Failure | None:
        """Say what the rows have to say against a trial."""
        one = self._used[cell]
        one.look()
        return self._rows_differ(one, measured) if self._counts else None

    def _rows_differ(self, one: Used, measured: Measured) -> Failure | None:
        """Compare the rows with the answers, once what is under way has had its time."""
        if one.uncounted is not None:
            return Failure(reason=ROWS_DIFFER, detail=f"{UNCOUNTED_BEFORE}: {one.uncounted}")
        if one.before is None:
            written = sum(measured.answers.get(name, 0) for name in writes_of(self.scenario))
            return Failure(reason=ROWS_DIFFER, detail=NOT_THERE) if written and _counted(one) == (None, None) else None
        due = expected_rows(self.scenario, one.before, measured)
        until_s = time.monotonic() + ROWS_SETTLE_S
        while True:
            found, why = _counted(one)
            wrong = f"{UNCOUNTED}: {why or 'they are gone'}" if found is None else difference(due, found)
            if wrong is None or time.monotonic() > until_s:
                return None if wrong is None else Failure(reason=ROWS_DIFFER, detail=wrong)
            time.sleep(AGAIN_S)

    def uses_of(self, cell: str, measured: Measured | None) -> tuple[ServiceUse, ...]:
        """Say what a trial used; nothing of a server that took no part."""
        one = self._used.get(cell, Used())
        return tuple(_use_of(one, share, measured) for share in one.shares)


def _counted(one: Used) -> tuple[Rows | None, str | None]:
    """Count the items, or say why they can't be."""
    try:
        return one.rows(), None
    except ServerError as error:
        return None, error.detail


@dataclass(frozen=True, kw_only=True)
class Due:
    """What has to stand in a table after a load: between these, ends included."""

    fewest: Rows
    most: Rows
    counts_pieces: bool


def expected_rows(scenario: Scenario, before: Rows, measured: Measured) -> Due:
    """Work out what the answers stand for.

    A request without an answer may have been carried out or not, and each changes things by one at most.
    """
    rows = sum(measured.answers.get(name, 0) * change for name, change in scenario.rows.items())
    pieces = sum(measured.answers.get(name, 0) * change for name, change in (scenario.pieces or {}).items())
    open_ends = measured.open_ends
    each = max((abs(change) for change in (scenario.pieces or {}).values()), default=0)
    return Due(
        fewest=Rows(count=before.count + rows - open_ends, pieces=before.pieces + pieces - open_ends * each),
        most=Rows(count=before.count + rows + open_ends, pieces=before.pieces + pieces + open_ends * each),
        counts_pieces=scenario.pieces is not None,
    )


def difference(due: Due, found: Rows) -> str | None:
    """Say in one sentence what was lost or written twice; None when it adds up."""
    checks = [("items", due.fewest.count, due.most.count, found.count)]
    checks += [("pieces in all", due.fewest.pieces, due.most.pieces, found.pieces)] if due.counts_pieces else []
    for what, fewest, most, came in checks:
        if not fewest <= came <= most:
            expected = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
            off = f"{came - most:,} too many" if came > most else f"{fewest - came:,} missing"
            return f"the answers stand for {expected} {what}, but the database has {came:,}: {off}"
    return None


def _use_of(one: Used, share: Share, measured: Measured | None) -> ServiceUse:
    house = one.house
    if house is None:
        raise AssertionError("a share without a house")
    opened = None
    with contextlib.suppress(ServerError):
        opened = house.look(share).opened
    cpu_s = None if measured is None else measured.service_cpu_s.get(share.service)
    requests = measured.requests if measured else 0
    return ServiceUse(
        service=share.service,
        version=house.version(share.service),
        private=house.root(share.service) is not None,
        cpu_s=cpu_s,
        cpu_us_per_request=None if cpu_s is None or not requests else cpu_s / requests * 1e6,
        memory=house.memory(share.service),
        connections_opened=opened,
        pool=one.pool if house.pooled(share.service) else None,
        connections_most=one.most.get(share.service),
    )


def families_of(used: Iterable[Used]) -> list[tuple[int, ...]]:
    """All processes of each private service that any of them uses."""
    return [*{name: pids for one in used for name, pids in one.families().items()}.values()]
