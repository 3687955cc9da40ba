"""An app of the user's own: how it is named, found, and brought to life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Lifespan = Literal["supported", "refused", "failing"]
"""What an ASGI app makes of the lifespan protocol: it starts up, it doesn't know it, its start-up fails."""


@dataclass(frozen=True, kw_only=True)
class BaseEnvironment:
    """The environment that the app lives in: the user's, never changed, or one made for it."""

    python: Path
    """Its interpreter."""
    version: str
    """Of the interpreter, e.g. `3.11.7`."""
    sites: tuple[Path, ...]
    """Folders with its packages, in the order they are searched."""
    packages: Mapping[str, str]
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
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
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
