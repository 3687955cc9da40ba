"""What an app of the catalogue costs when no server stands before it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AloneCost:
    """CPU of one app for the average request of one scenario, called without a server after one block."""

    app: str
    scenario: str
    block: int
    plain: bool
    """Whether it is its interface's app without a framework."""
    cpu_us: float | None
    """Per request of the declared mix; what calling an app that does nothing costs is taken off. None: it failed."""
    calls: int
    servers: tuple[str, ...] = ()
    """Servers that call it alike, and whose layers it belongs to; empty in older runs: all of them."""
    failure: str | None = None
    """Why there is no cost."""
