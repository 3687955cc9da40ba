"""What an app of the catalogue costs when no server stands before it, and behind its border when one does."""

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


@dataclass(frozen=True, kw_only=True)
class BorderCost:
    """CPU of one server with one app on both sides of the border between them, in a trial of its own after a block."""

    server: str
    app: str
    scenario: str
    block: int
    cpu_us: float | None
    """Of the whole server per request; None: it failed."""
    within_us: float | None
    """Behind the border, of a request that was taken there: the app's, and the border's own."""
    own_us: float | None = None
    """Of that, the border's own; None in older runs."""
    share: float = 1.0
    """Of the requests, how many paid for a border; what passed two counts twice."""
    whole_us: float | None = None
    """CPU per request of a second server of the kind with the same app and no border, visited in turn with the first;
    None where there was none."""
    failure: str | None = None
    """Why there are no figures."""

    @property
    def outside_us(self) -> float | None:
        """The server's own: all but the app's and what the border cost the average request."""
        if self.cpu_us is None or self.within_us is None:
            return None
        return self.cpu_us - self.within_us + (self.own_us or 0.0) * (1.0 - self.share)

    @property
    def app_us(self) -> float | None:
        """The app's, under that server."""
        return None if self.within_us is None or self.own_us is None else max(0.0, self.within_us - self.own_us)
