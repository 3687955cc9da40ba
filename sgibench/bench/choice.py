"""The web UI's start form: what it offers, and what a filled form means (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sgibench.catalogue import Catalogue, nearest
from sgibench.errors import UsageError
from sgibench.model import App, Connection, Load, ServerEntry, Settings

PLAIN = "plain"
"""The app without a framework, of the server's own interface."""
MOST_WORKERS = 256
MOST_THREADS = 1024
MOST_RATE = 1e7


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What the form holds when it opens."""

    server: str
    app: str = PLAIN
    scenario: str = "json"
    load: str = "closed"
    rate_per_s: float = 1000.0
    users: int = 64
    workers: int = 1
    threads: int = 8


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
        _option("app", preset.app, [PLAIN, *(app.id for app in found.apps)], "plain: no framework"),
    ]
    asked = [
        _option("scenario", preset.scenario, [path.stem for path in found.scenario_paths], "what is asked"),
        _option("load", preset.load, ["closed", "open"], "closed: ask again when answered; open: at a rate"),
        _option("rate", f"{preset.rate_per_s:g}", None, "requests per second, open load only"),
    ]
    sizes = [
        _option("workers", str(preset.workers), None, "server processes"),
        _option("threads", str(preset.threads), None, "of each worker, for servers with threads"),
    ]
    return asked if own_target else [*ours, *asked, *sizes]


def _option(name: str, default: str, choices: list[str] | None, text: str) -> dict[str, Any]:
    return {"name": name, "default": default, "choices": choices, "help": text}


def read_choice(found: Catalogue, values: Mapping[str, str], users: int, *, own_target: bool) -> Choice:
    """Look up what the form says; raises UsageError in one sentence."""
    entry = None if own_target else server_named(found, values["server"])
    return Choice(
        server=entry,
        app=None if entry is None else app_for(entry, found, values["app"]),
        scenario=values["scenario"],
        load=load_of(values, users, keep_alive=entry is None or entry.variant.keep_alive),
        settings=None
        if entry is None
        else Settings(
            workers=_whole("workers", values["workers"], MOST_WORKERS),
            threads=_whole("threads", values["threads"], MOST_THREADS),
        ),
    )


def server_named(found: Catalogue, name: str) -> ServerEntry:
    """Find one server; raises UsageError with the nearest names."""
    for entry in found.servers:
        if entry.id == name:
            return entry
    raise UsageError(f"unknown server {name!r}: {nearest(name, [entry.id for entry in found.servers])}")


def app_for(entry: ServerEntry, found: Catalogue, name: str) -> App:
    """Find the app, which must have the server's interface; raises UsageError."""
    interface = entry.variant.interface
    wanted = f"{interface}_plain" if name == PLAIN else name
    for app in found.apps:
        if app.id == wanted:
            if app.interface != interface:
                raise UsageError(f"{entry.id} serves {interface.upper()} apps, and {app.id} is {app.interface.upper()}")
            return app
    raise UsageError(f"unknown app {wanted!r}: {nearest(wanted, [app.id for app in found.apps])}")


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
    if not 0 < rate <= MOST_RATE:
        raise UsageError(f"rate: expected requests per second above 0, got {text!r}")
    return rate


def _whole(what: str, text: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise UsageError(f"{what}: expected a whole number from 1 to {most}, got {text!r}")
    return int(text)
