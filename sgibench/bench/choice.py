"""The web UI's start form: what it offers, and what a filled form means (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from sgibench import units
from sgibench.bench.choosing import apps_for
from sgibench.bench.own import SCENARIO
from sgibench.bench.request import DEFAULT_APPS
from sgibench.bench.services import EMBEDDED, POSTGRESQL, Database
from sgibench.bench.ui_services import app_on
from sgibench.catalogue.fronted import behind, unfit
from sgibench.catalogue.reading import ONLY_NAMED, Catalogue, nearest
from sgibench.errors import UsageError, shown
from sgibench.model import App, Configuration, Connection, Load, ServerEntry, Settings
from sgibench.model.catalogue import WITH

DIRECT = "none"
"""No front: the server is asked directly."""
PLAIN = "plain"
"""The app without a framework, of the server's own interface."""
MOST_WORKERS = 256
MOST_THREADS = 1024
LEAST_RATE = 0.01
"""One request in a hundred seconds."""
MOST_RATE = 1e7


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What the form holds when it opens."""

    server: str
    """Its own id; what stands before it is `front`."""
    front: str = DIRECT
    app: str = PLAIN
    """Perhaps on services: `wsgi_plain+redis`."""
    database: str = EMBEDDED
    scenario: str = "json"
    load: str = "closed"
    rate_per_s: float = 1000.0
    users: int = 64
    workers: int = 1
    threads: int = 8
    configuration: Configuration = "equal"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen; server and app are None when a target of the user's own is loaded."""

    server: ServerEntry | None
    app: App | None
    scenario: str
    load: Load
    settings: Settings | None


def options_of(found: Catalogue, preset: Preset, *, own_target: bool) -> list[dict[str, Any]]:
    """Give the form's fields in their order, as the order `ui` has them."""
    ours = [
        _option("server", preset.server, [entry.id for entry in found.servers], "how the app is run"),
        _option("front", preset.front, [DIRECT, *fronts_offered(found)], "what stands before it"),
        _option("app", preset.app, apps_offered(found, preset.app), "plain: no framework"),
        _option("database", preset.database, [EMBEDDED, POSTGRESQL], "where items stand"),
    ]
    asked = [
        _option("scenario", preset.scenario, scenarios_of(found), "what is asked"),
        _option("load", preset.load, ["closed", "open"], "closed: ask again when answered; open: at a rate"),
        _option("rate", f"{preset.rate_per_s:g}", None, "requests per second, open load only"),
    ]
    sizes = [
        _option("workers", str(preset.workers), None, "server processes"),
        _option("threads", str(preset.threads), None, "of each worker, for servers with threads"),
        _option("configuration", preset.configuration, list(get_args(Configuration)), "equal: the same for all"),
    ]
    return asked if own_target else [*ours, *asked, *sizes]


def apps_offered(found: Catalogue, preset: str) -> list[str]:
    """Name the apps: each by itself and on services other than the database, and the one that the form opens with."""
    served = [app.on(name).id for app in found.apps for name in sorted({*app.services} - {POSTGRESQL, *app.uses})]
    return list(dict.fromkeys([PLAIN, *(app.id for app in found.apps), *served, preset]))


def scenarios_of(found: Catalogue) -> list[str]:
    """Name the scenarios that can be chosen: those that only `run` can put on, in windows of their own, are none."""
    return [path.stem for path in found.scenario_paths if path.parent.name not in ONLY_NAMED]


def _option(name: str, default: str, choices: list[str] | None, text: str) -> dict[str, Any]:
    return {"name": name, "default": default, "choices": choices, "help": text}


def read_choice(found: Catalogue, values: Mapping[str, str], users: int, *, own_target: bool) -> Choice:
    """Look up what the form says; raises UsageError in one sentence."""
    entry = None if own_target else server_named(found, values["server"], values.get("front", DIRECT))
    if any(path.stem == values["scenario"] and path.parent.name in ONLY_NAMED for path in found.scenario_paths):
        raise UsageError(f"scenario {values['scenario']}: it is put on by sgibench run alone")
    app = None if entry is None else app_chosen(entry, found, values["app"], values.get("database", EMBEDDED))
    if app is not None:
        refuse_unmeant(found, app, values["scenario"])
    return Choice(
        server=entry,
        app=app,
        scenario=values["scenario"],
        load=load_of(values, users, keep_alive=entry is None or entry.variant.keep_alive),
        settings=None
        if entry is None
        else Settings(
            workers=_whole("workers", values["workers"], MOST_WORKERS),
            threads=_whole("threads", values["threads"], MOST_THREADS),
            configuration=_configuration(values["configuration"]),
        ),
    )


def refuse_unmeant(found: Catalogue, app: App, scenario: str) -> None:
    """Refuse to ask an app of the catalogue what only the user's own is known to answer; raises UsageError."""
    own = [one.id for one in found.apps if one.own is not None]
    if own and app.own is None and scenario == SCENARIO:
        raise UsageError(
            f"{SCENARIO} are those of {own[0]}, and {app.id} has other pages: choose another scenario for it"
        )


def fronts_offered(found: Catalogue) -> list[str]:
    """Name the fronts that servers can be put behind."""
    return [front.id for front in found.fronts if not front.variant.alone]


def server_named(found: Catalogue, name: str, front: str = DIRECT) -> ServerEntry:
    """Find one server, behind a front if one is named; raises UsageError with the nearest names."""
    for entry in found.servers:
        if entry.id == name:
            return entry if front == DIRECT else _behind(entry, found, front)
    raise UsageError(f"unknown server {name!r}: {nearest(name, [entry.id for entry in found.servers])}")


def _behind(entry: ServerEntry, found: Catalogue, name: str) -> ServerEntry:
    for front in found.fronts:
        if front.id == name:
            if wrong := unfit(entry, front):
                raise UsageError(f"{name}+{entry.id}: {wrong}")
            return behind(entry, front)
    raise UsageError(f"unknown front {name!r}: {nearest(name, [DIRECT, *fronts_offered(found)])}")


def split(name: str) -> tuple[str, str]:
    """Split `nginx+waitress` into server and front."""
    front, plus, server = name.partition("+")
    return (server, front) if plus else (name, DIRECT)


def app_chosen(entry: ServerEntry, found: Catalogue, name: str, database: str) -> App:
    """Find the app on the services that its name and the database say; raises UsageError."""
    if database not in {EMBEDDED, POSTGRESQL}:
        raise UsageError(f"database: expected {EMBEDDED} or {POSTGRESQL}, got {shown(database)}")
    own = any(app.id == name for app in found.apps if app.own is not None)  # its words may hold any sign
    base, *services = [name] if own else name.split(WITH)
    app = app_for(entry, found, base)
    for service in services:
        app = app_on(app, Database(service=service))
    return app_on(app, Database(service=None if database == EMBEDDED else database))


def app_for(entry: ServerEntry, found: Catalogue, name: str) -> App:
    """Find the app, which the server must be able to run; raises UsageError."""
    if name == PLAIN:
        ours = [app for app in found.apps if app.own is None]
        plain = [app for app in ours if app.id in DEFAULT_APPS]
        fitting = apps_for(entry, plain, ours, named=False)
        if not fitting:
            raise UsageError(f"{entry.id} runs none of the apps there are")
        return fitting[0]
    for app in found.apps:
        if app.id == name:
            if not entry.runs(app):
                kinds = f"serves {entry.variant.interface.upper()} apps, and {app.id} is {app.interface.upper()}"
                own = entry.variant.interface == app.interface
                raise UsageError(f"{entry.id} " + (f"runs only {', '.join(entry.variant.apps)}" if own else kinds))
            return app
    raise UsageError(f"unknown app {name!r}: {nearest(name, [app.id for app in found.apps])}")


def load_of(values: Mapping[str, str], users: int, *, keep_alive: bool) -> Load:
    """Say how hard to load; a server that closes every connection is asked with a new one each time."""
    connection: Connection = "keep-alive" if keep_alive else "close"
    if values["load"] == "closed":
        return Load(kind="closed", connections=users, connection=connection)
    return Load(kind="open", connections=users, connection=connection, rate_per_s=_rate(values["rate"]))


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise UsageError(f"rate: expected requests per second above 0, from {LEAST_RATE:g} on, got {shown(text)}")
    return rate


def _configuration(text: str) -> Configuration:
    for known in get_args(Configuration):
        if text == known:
            configuration: Configuration = known
            return configuration
    raise UsageError(f"configuration: expected {' or '.join(get_args(Configuration))}, got {shown(text)}")


def _whole(what: str, text: str, most: int) -> int:
    try:
        return units.parse_whole(text, 1, most)
    except ValueError as error:
        raise UsageError(f"{what}: {error}") from None
