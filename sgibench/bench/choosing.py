"""Which servers take part: names and globs, other versions and Pythons, and what can't take part and why.

`NAME@VERSION+pyX.Y` names a variant in another version or under another interpreter; each is a server of its own with
its own environment, so "did the upgrade make it slower?" is one run. `FRONT+NAME` puts it behind a front: what comes of
it is a server of its own, too.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sgibench import catalogue
from sgibench.catalogue.fronted import behind, of_sizes, unfit
from sgibench.errors import EnvsError, MisdeclaredError, UsageError, shown
from sgibench.model import App, Cell, Expected, FrontEntry, Launch, Protocol, ServerEntry, Terms
from sgibench.model.terms import TLS
from sgibench.serve import envs, needs
from sgibench.serve.certificate import OPENSSL
from sgibench.serve.process import HOST

_CHOICE = re.compile(r"(?P<name>[^@+]+)(?:@(?P<version>[^@+]+))?(?:\+py(?P<python>.+))?")
_PYTHON_TAIL = re.compile(r"py[0-9].*")
"""What follows a `+` and is no server."""
_WILD = re.compile(r"[*?\[]")
PYTHON = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}(\.[0-9]{1,3})?")
"""An interpreter is named by its version; a path would be part of the server's id."""
OLDEST_PYTHON = (3, 11)
"""Launchers and servers are started with -P and PYTHONSAFEPATH, which came with it."""
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}([a-z]{1,9}[0-9]{1,9})?")
WHOLE_VERSION = 3
"""Numbers of a version that names one release; fewer mean the newest release that begins so."""


def choose_servers(
    found: catalogue.Catalogue, patterns: Sequence[str], pythons: Sequence[str] = (), backends: Sequence[int] = ()
) -> tuple[list[ServerEntry], dict[str, str]]:
    """Give the servers that the patterns name, and why others don't take part: no interpreter, or only when named.

    Before so many `backends` each front stands that has a name. Raises UsageError with the nearest names for an unknown
    one.
    """
    chosen: dict[str, ServerEntry] = {}
    missing: dict[str, str] = {}
    named: set[str] = set()
    for given in pythons:
        _refuse_other_than_version(given)
    for said in patterns:
        fronts, name, version, python = read_name(found, said)
        fronts = _before(fronts, found, backends, said) if backends else fronts
        entries = catalogue.select("server", found.servers, [name])
        named |= {entry.id for entry in entries}
        placed = [one for entry in entries for one in _behind(entry, fronts, said)]
        if not placed:
            raise UsageError(f"{said}: none of these servers can stand behind {' or '.join(one.id for one in fronts)}")
        wanted: list[str | None] = [python] if python else [*pythons]
        for entry in placed:
            for each in wanted or [None]:
                derived = derive(entry, version, each)
                try:
                    interpreter = envs.find_python(each) if each else None
                except EnvsError as error:
                    missing[derived.id] = str(error)
                    continue
                chosen[derived.id] = replace(derived, python=interpreter)
    if backends and not any(entry.front is not None for entry in chosen.values()):
        raise UsageError(
            f"--backends: expected a server behind a front, such as nginx+{next(iter(chosen), 'waitress')}, got "
            f"{', '.join(patterns)}"
        )
    if not chosen and missing:
        raise UsageError("; ".join(dict.fromkeys(missing.values())))
    if any(map(catalogue.means_all, patterns)):
        optional = {entry.id: entry.variant.optional for entry in found.servers if entry.variant.optional}
        missing |= {name: f"{why}: add --server {name}" for name, why in optional.items() if name not in named}
    return list(chosen.values()), missing


def read_name(found: catalogue.Catalogue, said: str) -> tuple[list[FrontEntry], str, str | None, str | None]:
    """Read what names servers: the fronts before them, their names, a version, an interpreter; raises UsageError."""
    fronts, rest = fronts_of(found, said)
    match = _CHOICE.fullmatch(rest)
    if match is None or (match["version"] and not _VERSION.fullmatch(match["version"])):
        expected = "a server such as uvicorn-httptools, uvicorn-httptools@0.34 or nginx+uvicorn-httptools"
        raise UsageError(f"expected {expected}, got {shown(said)}")
    if match["python"]:
        _refuse_other_than_version(match["python"])
    return fronts, match["name"], match["version"], match["python"]


def fronts_of(found: catalogue.Catalogue, said: str) -> tuple[list[FrontEntry], str]:
    """Split what stands before a `+` off a name: the fronts that it means, and the rest; raises UsageError."""
    head, plus, rest = said.partition("+")
    if not plus or not head or _PYTHON_TAIL.fullmatch(rest):
        return [], said
    fronts = [front for front in found.fronts if fnmatch.fnmatchcase(front.id, head)]
    if not fronts and rest.startswith("py"):
        return [], said
    named = [front for front in fronts if front.id == head or not front.variant.alone]
    if not named:
        raise UsageError(f"unknown front {head!r}: {catalogue.nearest(head, [front.id for front in found.fronts])}")
    return named, rest


def _before(
    fronts: Sequence[FrontEntry], found: catalogue.Catalogue, sizes: Sequence[int], said: str
) -> list[FrontEntry]:
    """Give what is like these fronts before so many servers each; raises UsageError when there is no such thing."""
    like = {front.id: of_sizes(front, found.fronts, sizes) for front in fronts}
    if fronts and not (any if _WILD.search(said) else all)(like.values()):
        front = fronts[0]
        base = front.variant.one or front.id
        there = sorted({one.variant.backends for one in found.fronts if base in {one.id, one.variant.one}})
        raise UsageError(
            f"--backends {','.join(map(str, sizes))}: {front.id} stands before {', '.join(map(str, there))} "
            f"server{'s' if there != [1] else ''} here; docs/adding.md says how to declare another variant"
        )
    return list({one.id: one for some in like.values() for one in some}.values())


def _behind(entry: ServerEntry, fronts: Sequence[FrontEntry], said: str) -> Iterator[ServerEntry]:
    """Put a server behind each front that it fits; a pair that was named and doesn't fit is a UsageError."""
    if not fronts:
        yield entry
    for front in fronts:
        wrong = unfit(entry, front)
        if wrong is None:
            yield behind(entry, front)
        elif not _WILD.search(said):
            raise UsageError(f"{said}: {wrong}")


def _refuse_other_than_version(python: str) -> None:
    if not PYTHON.fullmatch(python) or tuple(map(int, python.split("."))) < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        raise UsageError(f"--python: expected a version such as 3.12, {oldest} or later, got {shown(python)}")


def derive(entry: ServerEntry, version: str | None, python: str | None) -> ServerEntry:
    """Make the server of another version and Python; its id says both."""
    variant = entry.variant
    if version:
        if not variant.packages:
            raise UsageError(f"{entry.id} comes with Python and has no version of its own")
        name = variant.packages[0].partition("==")[0]
        exact = version if len(version.split(".")) >= WHOLE_VERSION else f"{version}.*"
        variant = replace(variant, id=f"{variant.id}@{version}", packages=(f"{name}=={exact}", *variant.packages[1:]))
    if python:
        variant = replace(variant, id=f"{variant.id}+py{python}")
    plain = entry.behind and derive(entry.behind, version, None)
    return replace(entry, variant=variant, behind=plain)


def apps_for(server: ServerEntry, apps: Sequence[App], every: Sequence[App], *, named: bool) -> list[App]:
    """Those of the chosen apps that a server can run; when none were named, else the first that it can run."""
    fitting = [app for app in apps if server.runs(app)]
    return fitting or ([] if named else [app for app in every if server.runs(app)][:1])


def refusals(
    cells: Sequence[Cell], servers: Mapping[str, ServerEntry], terms: Mapping[str, Terms] | None = None
) -> dict[Cell, str]:
    """Say which cells can't be measured, and why: a missing program, fewer processes, or more connections than served.

    To offer a server more connections than it serves side by side would measure its queue; to set one process beside
    several would measure the number of processes. `terms` are those of the scenarios that have some.
    """
    refused = {}
    for cell in cells:
        entry, own = servers[cell.server], (terms or {}).get(cell.scenario, Terms())
        reason = (
            needs.missing(entry.variant.needs)
            or unspoken(entry, cell.load.protocol)
            or _too_few(cell, entry)
            or _unheld(cell, entry, own)
            or _judged(cell, entry, own)
        )
        if reason:
            refused[cell] = reason
    return refused


def unspoken(entry: ServerEntry, protocol: Protocol) -> str | None:
    """Why a server can't be asked in a protocol; None when it can."""
    if protocol not in entry.variant.speaks:
        return f"it does not speak {protocol}: it speaks {', '.join(entry.variant.speaks)}"
    missing = needs.missing([OPENSSL]) if protocol in TLS else None
    return f"over {protocol} {missing}" if missing else None


def _unheld(cell: Cell, entry: ServerEntry, terms: Terms) -> str | None:
    """Why a server can't hold connections open, or whose sockets one broadcast would not reach."""
    if terms.held and not entry.variant.keep_alive:
        return f"it closes every connection after its answer, and {cell.scenario} holds {terms.held} open"
    if terms.one_worker and cell.settings.workers > 1:
        return f"{cell.scenario} reaches the sockets of one process: measure it with --workers 1"
    return None


def _judged(cell: Cell, entry: ServerEntry, terms: Terms) -> str | None:
    """Why the server of a cell can't be offered its load, or what is wrong with its declaration."""
    try:
        return _too_many(cell, entry, terms)
    except MisdeclaredError as error:
        return str(error)


def _too_few(cell: Cell, entry: ServerEntry) -> str | None:
    if entry.variant.workers or cell.settings.workers == 1:
        return None
    return f"it is one process, and the others have {cell.settings.workers} workers each: compare it with --workers 1"


def _too_many(cell: Cell, entry: ServerEntry, terms: Terms) -> str | None:
    expected = expected_of(cell, entry)
    asked = cell.load.connections + terms.held
    for most, what in ((expected.connections, "serves"), (expected.kept_alive, "keeps alive")):
        if most is not None and asked > most and (what == "serves" or cell.load.connection == "keep-alive"):
            lower = () if terms.held or terms.connections else ("lower --connections",)
            advice = " or ".join((*lower, *_raising(cell, entry, what))) or "it is no server for this"
            return (
                f"it {what} {most} connections side by side with {cell.settings.workers} x {cell.settings.threads} "
                f"threads, and the load has {asked}: {advice}"
            )
    return None


def _raising(cell: Cell, entry: ServerEntry, what: str) -> Iterator[str]:
    """Which setting, doubled, would raise the limit; for many servers none does."""
    name = "connections" if what == "serves" else "kept_alive"
    limit = getattr(expected_of(cell, entry), name)
    for option in ("threads", "workers"):
        more = replace(cell.settings, **{option: 2 * getattr(cell.settings, option)})
        raised = getattr(expected_of(replace(cell, settings=more), entry), name)
        if raised is None or raised > limit:
            yield f"raise --{option}"


def expected_of(cell: Cell, entry: ServerEntry) -> Expected:
    """What the server of a cell should turn out to be; nothing is started."""
    nowhere = Path("/nowhere")
    return entry.expected(
        Launch(
            bin=nowhere,
            launchers=nowhere,
            scratch=nowhere,
            host=HOST,
            port=1,
            target="app:app",
            options=entry.variant.options,
            workers=cell.settings.workers,
            threads=cell.settings.threads,
            backlog=cell.settings.backlog,
            keep_alive_s=cell.settings.keep_alive_s,
            connections=cell.settings.connections,
            configuration=cell.settings.configuration,
            protocol=cell.load.protocol,
        )
    )
