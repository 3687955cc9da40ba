"""An app of the user's own, looked at before anything is measured: what it is, what it answers, what it costs alone.

What can't be served or asked is refused here, in one line, before a server starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sgibench import units
from sgibench.answers.expecting import media_type, sizes_like
from sgibench.bench.asking import HOME
from sgibench.bench.unaskable import refusal
from sgibench.engine.progress import Silent
from sgibench.engine.workshop import Listener
from sgibench.errors import ServerError, UsageError
from sgibench.model import (
    App,
    AppCost,
    Asked,
    AskedScenario,
    BaseEnvironment,
    Exchange,
    Expectation,
    Interface,
    OwnInfo,
    Scenario,
    ServerEntry,
)
from sgibench.serve.logs import tail_of
from sgibench.serve.own.base import Sources, find_base
from sgibench.serve.own.copying import MOST_BYTES, changes, size_of, state_of
from sgibench.serve.own.driving import Driven, drive
from sgibench.serve.own.overlay import Wanted, yours
from sgibench.serve.own.preparing import folded
from sgibench.serve.own.probing import Telling, probe_app
from sgibench.serve.own.spec import is_own

SCENARIO = "requests"
"""Id of the scenario that the user's requests make."""
OK = 200
NAMED_FILES = 4
"""So many changed files are named."""
MOST_SINGLY = 10
"""So many requests are asked by themselves."""
ROUND_S = 0.4
"""With many connections each request waits for one on each of the others, and after each load all of them are waited
for; so much of that is CPU at most, where the user names no number."""
BUSY_CPUS = 0.05
"""An app that uses more than so much of a CPU while nothing is asked of it is said to."""


@dataclass(frozen=True, kw_only=True)
class OwnRequest:
    """What the user said about an app of their own."""

    project: Path = Path()
    interface: Interface | None = None
    venv: Path | None = None
    requirements: tuple[Path, ...] = ()
    variables: Mapping[str, str] | None = None
    prepare: tuple[str, ...] = ()
    ready: str | None = None
    memory_bytes: int | None = None
    """What all servers together may take; None for what is free."""
    asked: tuple[Asked, ...] = ()
    """Empty for the front page."""
    copy: bool | None = None
    """Whether each server gets a copy of the project; None: when a request writes."""


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What was found out about the user's apps."""

    apps: tuple[App, ...]
    scenario: AskedScenario
    driven: Mapping[str, tuple[Driven, ...]]
    """App -> what came of each request, called without a server."""


def dearest(looked: Looked) -> tuple[int, ...]:
    """Give the places of the requests that take most of the CPU, as many as can be asked by themselves in the time."""
    asked = looked.scenario.requests
    driven = next(iter(looked.driven.values()))
    order = sorted(range(len(asked)), key=lambda place: -asked[place].weight * driven[place].cpu_us)
    return tuple(sorted(order[:MOST_SINGLY]))


def fitting_connections(looked: Looked, usual: int, at_once: int) -> int:
    """Give the usual number of connections, or a half, a quarter … of it where the app's requests take long.

    A round of one request on each is to take at most `ROUND_S` of CPU, but twice as many as are served `at_once` are
    enough for saturation, and never halved.
    """
    weights = [asked.weight for asked in looked.scenario.requests]
    each_s = max(
        sum(weight * one.cpu_us for weight, one in zip(weights, driven, strict=True)) / sum(weights) / 1e6
        for driven in looked.driven.values()
    )
    fitting = usual
    while fitting * each_s > ROUND_S and fitting >= 4 * at_once:
        fitting //= 2
    return fitting


def own_apps(apps: Sequence[str]) -> tuple[str, ...]:
    """Those of the named apps that are the user's own; raises UsageError when both kinds are mixed."""
    mine = tuple(name for name in apps if is_own(name))
    others = [name for name in apps if not is_own(name)]
    if mine and others:
        raise UsageError(f"--app: expected apps of your own or of the catalogue, got both ({mine[0]} and {others[0]})")
    return mine


def look_at(
    apps: Sequence[str], own: OwnRequest, scratch: Path, listener: Listener, python: str | None = None
) -> Looked:
    """Look at the apps and ask each of them every request; raises UsageError."""
    base = _base(own, listener, python)
    asked = own.asked or (HOME,)
    copied = _copied(own, listener)
    before = state_of(own.project.resolve())
    found: list[App] = []
    for number, text in enumerate(apps):
        app = probe_app(_telling(text, own, copied=copied), base, scratch / f"look-{number}")
        twins = len([one for one in found if one.id.partition("#")[0] == app.id])
        found.append(replace(app, id=f"{app.id}#{twins + 1}") if twins else app)
        packages = units.many(len(base.packages), "package")
        listener.say(f"{app.id} is {app.summary} (Python {base.version}, {packages}){_lifespan(app)}")
    driven = {app.id: _driven(app, asked, scratch / f"look-{number}", listener) for number, app in enumerate(found)}
    if found_changed := changes(before, state_of(own.project.resolve())):
        listener.say(changed(found_changed, copied=copied))
    for name, cpus in busy(driven).items():
        listener.say(
            f"{name} uses {units.percent(cpus)} of a CPU while nothing is asked of it, which will be in every figure "
            "and hide what servers cost: find the thread or task that does it, and turn it off for the run"
        )
    first = driven[found[0].id]
    scenario = AskedScenario(
        id=SCENARIO,
        summary=summary_of(asked),
        interfaces=tuple(dict.fromkeys(app.interface for app in found)),
        requests=tuple(expecting(one, came) for one, came in zip(asked, first, strict=True)),
    )
    return Looked(apps=tuple(found), scenario=scenario, driven=driven)


def busy(driven: Mapping[str, Sequence[Driven]]) -> dict[str, float]:
    """Name the apps that use much CPU while nothing is asked of them, and how much."""
    return {app: came[0].idle_cpus for app, came in driven.items() if came and came[0].idle_cpus > BUSY_CPUS}


def _copied(own: OwnRequest, listener: Listener) -> bool:
    """Whether each start of the app has a copy of the project: when that was asked for or a request writes."""
    writes = [one.name for one in own.asked if one.writes]
    wanted = bool(writes) if own.copy is None else own.copy
    if not (wanted or writes):
        return False
    size = size_of(own.project.resolve())
    if own.copy is None and size > MOST_BYTES:
        wanted = False
    if wanted:
        listener.say(f"each server gets a copy of the project ({units.size(size)}), so that no write stays")
    else:
        listener.say(
            f"what {writes[0]} writes stays in the project, and every server finds what the others wrote; "
            "--prepare 'COMMAND' can put it back before each start"
        )
    return wanted


def changed(names: Sequence[str], *, copied: bool) -> str:
    """Say which files of the project are not as they were, and how that can be had otherwise."""
    told = ", ".join(names[:NAMED_FILES]) + (" …" if len(names) > NAMED_FILES else "")
    said = (
        f"your app or --prepare changed {units.many(len(names), 'file')} of the project while it was looked at ({told})"
    )
    return said if copied else f"{said}, and so will each server; with --copy each gets a copy of the project"


def find_app(text: str, own: OwnRequest, scratch: Path) -> App:
    """Look at one app, in a copy of its project unless that is too large or not wanted; raises UsageError."""
    copied = own.copy is not False and size_of(own.project.resolve()) <= MOST_BYTES
    return probe_app(_telling(text, own, copied=copied), _base(own, Silent(), None), scratch)


def _base(own: OwnRequest, listener: Listener, python: str | None) -> BaseEnvironment:
    project = own.project.resolve()
    if not project.is_dir():
        raise UsageError(f"--project {own.project}: expected a folder")
    sources = Sources(project=project, venv=own.venv, requirements=own.requirements, python=python, say=listener.say)
    return find_base(sources)


def _telling(text: str, own: OwnRequest, *, copied: bool = False) -> Telling:
    return Telling(
        text=text,
        project=own.project.resolve(),
        variables=own.variables or {},
        prepare=own.prepare,
        ready=own.ready,
        first=next((one.path for one in own.asked or (HOME,) if one.method == "GET"), "/"),
        interface=own.interface,
        copied=copied,
    )


def scenario_of(asked: AskedScenario, path: Path = Path()) -> Scenario:
    """Give the user's requests as a scenario like any other."""
    return Scenario(
        id=asked.id,
        summary=asked.summary,
        path=path,
        exchanges=tuple(
            Exchange(
                name=one.name,
                method=one.method,
                path=one.path,
                headers=one.headers,
                body=one.body,
                status=one.expectation.status if one.expectation else one.status or OK,
                expected_body=None,
                expectation=one.expectation,
                weight=one.weight,
            )
            for one in asked.requests
        ),
        floor_s=0.0,
        interfaces=asked.interfaces,
    )


def _lifespan(app: App) -> str:
    lifespan = None if app.own is None else app.own.lifespan
    return "" if lifespan is None else f"; lifespan {lifespan}"


def summary_of(asked: Sequence[Asked]) -> str:
    """Say what is asked, in a line."""
    several = len({one.weight for one in asked}) > 1
    told = [f"{one.weight} × {one.name}" if several else one.name for one in asked[:4]]
    more = f" and {len(asked) - 4} more" if len(asked) > 4 else ""  # noqa: PLR2004 - as many as fit on a line
    return f"Your requests: {', '.join(told)}{more}."


def _driven(app: App, asked: Sequence[Asked], scratch: Path, listener: Listener) -> tuple[Driven, ...]:
    try:
        driven = drive(app, asked, scratch)
    except ServerError as error:
        raise UsageError(f"--app {app.id}: {error.detail}") from None
    for one, came in zip(asked, driven, strict=True):
        if problem := refusal(one, came, folded(tail_of(scratch / "drive" / "drive.log"))):
            raise UsageError(f"--request '{one.name}': {problem}")
        seen = came.answers[-1]
        alone = units.microseconds(came.cpu_us) if came.cpu_us >= 1 else "less than 1 µs"
        where = f" (to {seen.leads_to})" if seen.leads_to else ""
        prints = f"; it prints {came.printed_bytes:.0f} bytes each time" if came.printed_bytes >= 1 else ""
        listener.say(
            f"{one.name}: {seen.status}{where}, {media_type(seen.header('content-type')) or 'no type'}, "
            f"{units.size(seen.size)}; {alone} of CPU without a server{prints}"
        )
    return driven


def expecting(asked: Asked, came: Driven) -> Asked:
    """Give a request the expectation that its answers without a server suggest: status and shape."""
    seen = came.answers[-1]
    least, most = sizes_like([one.size for one in came.answers])
    expectation = Expectation(
        status=seen.status,
        content_type=media_type(seen.header("content-type")),
        least_bytes=0 if asked.method == "HEAD" else least,
        most_bytes=None if asked.method == "HEAD" else most,
    )
    return replace(asked, expectation=expectation, example=b"" if asked.method == "HEAD" else seen.body)


def own_info(looked: Looked, own: OwnRequest, servers: Sequence[ServerEntry]) -> OwnInfo:
    """Say what a run records about the user's apps."""
    first = looked.apps[0].own
    if first is None:
        raise AssertionError("an app of the catalogue was looked at")
    versions = {server.id: (wanted_of(server).names, yours(first.base, wanted_of(server))) for server in servers}
    return OwnInfo(
        apps={app.id: app.own.spec for app in looked.apps if app.own is not None},
        kinds={app.id: app.summary for app in looked.apps},
        environment=first.base.said,
        python=first.base.version,
        scenario=looked.scenario.id,
        requests=tuple(f"{one.weight} {one.name}" for one in looked.scenario.requests),
        variables=tuple(sorted(own.variables or {})),
        prepare=own.prepare,
        copied=first.copied,
        busy=busy(looked.driven),
        yours={name: f"{names[0]} {version}" for name, (names, version) in versions.items() if version},
        costs=tuple(cost for app in looked.apps for cost in costs_of(app, looked, looked.driven[app.id], block=-1)),
    )


def costs_of(app: App, looked: Looked, driven: Sequence[Driven], *, block: int) -> list[AppCost]:
    """Say what each request cost the app itself."""
    return [
        AppCost(
            app=app.id,
            request=one.name,
            weight=one.weight,
            block=block,
            cpu_us=came.cpu_us,
            wall_us=came.wall_us,
            wait_us=came.wait_us,
            calls=came.calls,
        )
        for one, came in zip(looked.scenario.requests, driven, strict=True)
    ]


def wanted_of(entry: ServerEntry) -> Wanted:
    """Say what a server needs of an overlay; a version that the user named stands in its id."""
    return Wanted(requirements=entry.variant.packages, named="@" in entry.id)
