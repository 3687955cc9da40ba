"""Servers by frameworks: the table of a comparison that has several of both, and what it says in sentences.

A table for each interface, because only there can a server and a framework be chosen freely. Whether servers change
places is told by the verdicts of the whole comparison; how far they are apart by contrasts that are corrected together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sgibench import stats, units
from sgibench.model import Estimate
from sgibench.model.catalogue import WITH
from sgibench.report import words
from sgibench.report.panels import Panel, Row

PLAIN = "plain"
"""How the app without a framework ends: `wsgi_plain`."""


def is_plain(row: Row) -> bool:
    """Whether a row's app is its interface's app without a framework."""
    return row.entry.app.partition(WITH)[0] == f"{row.entry.interface}_{PLAIN}"


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """One place of the table."""

    row: Row
    estimate: Estimate
    place: int
    """Among the servers of its framework, by the verdicts of the whole comparison; 1 needs the least."""
    shared: bool
    """Whether another server has this place."""


@dataclass(frozen=True, kw_only=True)
class CrossTable:
    """CPU per request by server and framework, for one interface."""

    interface: str
    """`WSGI` or `ASGI`."""
    servers: tuple[str, ...]
    apps: tuple[str, ...]
    places: Mapping[tuple[str, str], Crossed]
    """(Server, app) -> what was measured; failed ones are missing."""
    judged: stats.TwoWay | None
    sentences: tuple[str, ...]


def cross_tables(panel: Panel) -> tuple[CrossTable, ...]:
    """Make the tables of a comparison; none where there is but one server or one app."""
    if not panel.saturated:
        return ()
    interfaces = dict.fromkeys(row.entry.interface for row in panel.rows)
    found = (_table(panel, [row for row in panel.rows if row.entry.interface == one]) for one in interfaces if one)
    return tuple(table for table in found if table is not None)


def _table(panel: Panel, rows: Sequence[Row]) -> CrossTable | None:
    rows = [row for row in rows if row.entry.cpu_us is not None]
    servers = tuple(sorted({row.entry.server for row in rows}, key=lambda server: (_mean(rows, server=server), server)))
    apps = tuple(sorted({row.entry.app for row in rows}, key=lambda app: (_mean(rows, app=app), app)))
    if len(servers) < 2 or len(apps) < 2:  # noqa: PLR2004 - a table has two of both
        return None
    by_place = {(row.entry.server, row.entry.app): row for row in rows}
    cost = panel.main.cost
    places = [(server, app) for app in apps for server in servers if (server, app) in by_place]
    cells = {place: by_place[place].entry.cell for place in places}
    judged = stats.two_way(cells, cost.table, cost, delta=cost.delta)
    return CrossTable(
        interface=(rows[0].entry.interface or "").upper(),
        servers=servers,
        apps=apps,
        places={place: _crossed(panel, row, by_place) for place, row in by_place.items()},
        judged=judged,
        sentences=(*(_order(judged) if judged else ()), *_moves(panel, by_place, servers, apps)),
    )


def _mean(rows: Sequence[Row], server: str | None = None, app: str | None = None) -> float:
    """Order servers and frameworks by what they cost on average; the plain app comes first."""
    mine = [row for row in rows if server in {None, row.entry.server} and app in {None, row.entry.app}]
    if app is not None and is_plain(mine[0]):
        return 0.0
    values = [row.entry.cpu_us.value for row in mine if row.entry.cpu_us]
    return sum(values) / len(values)


def _crossed(panel: Panel, row: Row, by_place: Mapping[tuple[str, str], Row]) -> Crossed:
    """Say where a server stands among those of its framework: 1 + how many are surely ahead of it."""
    cost = panel.main.cost
    beside = [one for (_, app), one in by_place.items() if app == row.entry.app]

    def ahead_of(mine: Row) -> int:
        found = (cost.between(one.entry.cell, mine.entry.cell) for one in beside if one is not mine)
        return sum(1 for one in found if one is not None and one.verdict == "faster")

    place = 1 + ahead_of(row)
    if row.entry.cpu_us is None:
        raise AssertionError("rows without a figure are left out")
    shared = any(1 + ahead_of(one) == place for one in beside if one is not row)
    return Crossed(row=row, estimate=row.entry.cpu_us, place=place, shared=shared)


# --- words ----------------------------------------------------------------------------------------------------------


def _order(judged: stats.TwoWay) -> Iterator[str]:
    """Say whether the order of servers changes with the framework, and whether the distances do."""
    frameworks = units.many(len(judged.frameworks), "app")
    if judged.crossings:
        first, *others = judged.crossings
        a, b = first.servers
        more = f" ({units.many(len(others), 'more pair')} like this)" if others else ""
        yield (
            f"The order of servers changes with the framework: {a} needs less CPU than {b} under "
            f"{first.frameworks[0]}, and more under {first.frameworks[1]}{more}."
        )
    elif judged.unsettled:
        pairs = words.listed([f"{a} and {b}" for a, b in judged.unsettled])
        yield (
            f"No server changes places with another as the framework changes; {pairs} "
            "are not told apart under every one."
        )
    else:
        yield f"The order of servers is the same under all {frameworks}."
    yield _distance(judged)


def _distance(judged: stats.TwoWay) -> str:
    """Say how the distances between servers depend on the framework."""
    tested = len(judged.distances)
    told = f"{units.many(tested, 'contrast')} tested together"
    if judged.moved:
        first = judged.moved[0]
        (a, b), (f, g) = first.servers, first.frameworks
        found = judged.distances[first]
        return (
            f"How far they are apart depends on it: {a} over {b} is {words.factor(found.ratio)} as much under {f} as "
            f"under {g} ({len(judged.moved)} of {told})."
        )
    if judged.alike:
        return f"How far they are apart is the same under each ({told})."
    return f"Whether they are as far apart under each can't be told ({told})."


def _moves(
    panel: Panel, by_place: Mapping[tuple[str, str], Row], servers: Sequence[str], apps: Sequence[str]
) -> Iterator[str]:
    """Say what the choice of the server moves under each framework, and that of the framework under each server."""
    frameworks = [app for app in apps if not any(a == app and is_plain(row) for (_, a), row in by_place.items())]
    under = [[by_place[server, app] for server in servers if (server, app) in by_place] for app in frameworks]
    choices: dict[str, list[tuple[str, str]]] = {}
    for rows in sorted((rows for rows in under if len(rows) > 1), key=_share, reverse=True):
        choices.setdefault(_choice(rows), []).append((_moved(panel, rows), rows[0].entry.app))
    for choice, told in choices.items():
        yield f"{choice[0].upper()}{choice[1:]} moves {_each(told)}."
    within = [[by_place[server, app] for app in frameworks if (server, app) in by_place] for server in servers]
    told = [(_moved(panel, rows), rows[0].entry.server) for rows in within if len(rows) > 1]
    if told:
        yield f"The choice of the framework moves {_each(told)}."


UNCLEAR = "none"


def _each(told: Sequence[tuple[str, str]]) -> str:
    """Put (what is moved, under what) into words, what is the same in one; those that could not be told apart last."""
    by_words: dict[str, list[str]] = {}
    for moved, name in told:
        by_words.setdefault(moved, []).append(name)
    unclear = by_words.pop(UNCLEAR, [])
    of_cpu = " of the CPU per request"
    parts = [
        f"{share}{'' if place else of_cpu} under {words.listed(by_words[share])}"
        for place, share in enumerate(by_words)
    ]
    if unclear:
        parts.append(
            f"{'none' if parts else 'no CPU per request'} that could be told apart under {words.listed(unclear)}"
        )
    return ", ".join(parts[:-1]) + " and " * (len(parts) > 1) + parts[-1]


def _choice(rows: Sequence[Row]) -> str:
    """Name the servers where there are two."""
    names = [row.entry.server for row in rows]
    return f"the choice between {names[0]} and {names[1]}" if len(names) == 2 else "the choice of the server"  # noqa: PLR2004


def _value(row: Row) -> float:
    return row.entry.cpu_us.value if row.entry.cpu_us else 0.0


def _share(rows: Sequence[Row]) -> float:
    """By what share of the dearest the cheapest is cheaper."""
    high = max(map(_value, rows))
    return 1 - min(map(_value, rows)) / high if high else 0.0


def _moved(panel: Panel, rows: Sequence[Row]) -> str:
    """Say by what share of the dearest the cheapest is cheaper, if they are told apart."""
    low, high = min(rows, key=_value), max(rows, key=_value)
    if not panel.main.cost.apart(low.entry.cell, high.entry.cell):
        return UNCLEAR
    return f"{_share(rows) * 100:.0f} %"
