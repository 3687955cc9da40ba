"""An app of the user's own: how it is named, found, and brought to life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Lifespan = Literal["supported", "refused", "failing"]
"""What an ASGI app makes of the lifespan protocol: it starts up, it doesn't know it, its start-up fails."""

WITHIN, WITHIN_DOOR = "/.sgibench-within", "door"
"""Path at which a server is asked to call the user's app within its own process, with the request whose place is the
query, or without one an app that does nothing; and the query that only asks whether it can (`serve/own/wrapping.py`).
"""
WITHIN_DONE, WITHIN_LOST = b"done", b"lost"
"""The answers, of the same size: it was called, and it raised."""

LEAST_WAIT_US = 1000.0
"""A request that waits for less, or for less than it computes, is not said to wait."""


@dataclass(frozen=True, kw_only=True)
class BaseEnvironment:
    """The environment that the app lives in: the user's, never changed, or one made for it."""

    python: Path
    """Its interpreter."""
    version: str
    """Of the interpreter, e.g. `3.11.7`."""
    sites: tuple[Path, ...]
    """Folders with its packages, in the order they are searched."""
    packages: Mapping[str, str] = field(hash=False)
    """Normalised name -> version of all that is installed in it."""
    fixed: frozenset[str]
    """Packages that no index may know in that version: editable ones, and those from a file or a repository."""
    programs: frozenset[str]
    """Packages that bring programs which are no Python scripts."""
    said: str
    """Where it comes from, for people: `./.venv`, `requirements.txt`."""


@dataclass(frozen=True, kw_only=True)
class OwnApp:
    """All that a server process needs to serve an app of the user's."""

    spec: str
    """As the user wrote it: `shop.wsgi:application`."""
    project: Path
    """Working folder of the server."""
    paths: tuple[Path, ...]
    """Folders that modules are imported from, before the environment's packages."""
    source: str
    """Text of the little module that servers import; `app` in it is the app."""
    base: BaseEnvironment
    variables: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Environment variables that the user gave; some are secrets."""
    prepare: tuple[str, ...] = ()
    """Shell commands that run before each start of a server."""
    ready: str | None = None
    """Path that says when the server is ready; None: any answer under 500 to the first request."""
    first: str = "/"
    """Path of the first request."""
    lifespan: Lifespan | None = None
    """None for WSGI."""
    kind: str = ""
    """What it is, e.g. `Flask`, `a function`."""
    routes: tuple[str, ...] = ()
    """Paths without parameters that it says can be asked with GET, as far as it keeps them where frameworks do."""
    copied: bool = False
    """Each start gets a copy of the project, so that what is written neither meets another server nor stays."""


@dataclass(frozen=True, kw_only=True)
class AppCost:
    """What one request costs the app itself, called without a server."""

    app: str
    request: str
    weight: int
    block: int
    """-1 for the look before the first block."""
    cpu_us: float
    """CPU of the app's process per call; what calling an app that does nothing costs is taken off."""
    wall_us: float
    """From the call to the whole answer."""
    wait_us: float = 0.0
    """Of that time, neither computing nor queueing for a CPU."""
    calls: int


@dataclass(frozen=True, kw_only=True)
class OwnInfo:
    """What a run says about the user's app; values of variables are never part of it."""

    apps: Mapping[str, str]
    """App id -> as the user named it."""
    kinds: Mapping[str, str]
    """App id -> what it is: `Flask (WSGI), ./.venv`."""
    environment: str
    """Where its packages come from: `./.venv`, `requirements.txt`."""
    python: str
    scenario: str = "requests"
    """Id of the scenario that the user's requests make."""
    requests: tuple[str, ...]
    """Each with its weight: `3 GET /path`."""
    variables: tuple[str, ...] = ()
    """Names of the environment variables that were given."""
    prepare: tuple[str, ...] = ()
    yours: Mapping[str, str] = field(default_factory=dict)
    """Server id -> package and version of the project's own that was served: `uvicorn 0.44.0`."""
    costs: tuple[AppCost, ...] = ()
    """Before the first block; what the shares rest on stands with each trial (`RequestCpu`)."""
    copied: bool = False
    """Each start of a server got a copy of the project."""
    busy: Mapping[str, float] = field(default_factory=dict)
    """App id -> CPUs that it uses while nothing is asked of it, where that is too much to tell servers' shares."""
    checks: Mapping[str, str] = field(default_factory=dict)
    """Request -> how its answers were checked: `200, the whole body is checked`."""
    findings: tuple[str, ...] = ()
    """How a server answers otherwise than the others; a sentence each."""
    parts: tuple[tuple[str, ...], ...] = ()
    """Servers that were alive together, when they did not all fit into memory; the first of each is in all."""
