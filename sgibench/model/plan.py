"""What will be measured: loads, settings, cells, groups, stages, blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sgibench.model.terms import MULTIPLEXED, Arrivals, Configuration, Connection, LoadKind, Protocol


@dataclass(frozen=True, kw_only=True)
class Load:
    """How hard: closed (C connections, next request when the last is answered) or open (R arrivals per second)."""

    kind: LoadKind
    connections: int
    """Connections held open (closed), or the most that may be open (open)."""
    connection: Connection = "keep-alive"
    rate_per_s: float | None = None
    """Arrivals per second; only for open loads."""
    arrivals: Arrivals = "uniform"
    """How they come, or would in an open loop: evenly, or at random moments."""
    share: float | None = None
    """The rate as a share of the server's own saturation, when it was chosen so (latency against load)."""

    protocol: Protocol = "http"
    streams: int = 1
    """Requests at once on each connection; more than one only where the protocol can."""

    @property
    def places(self) -> int:
        """Requests that may be in flight at once."""
        return self.connections * self.streams

    @property
    def id(self) -> str:
        """E.g. `closed-64`, `open-500`, `open-80%` (of its own saturation), `closed-64-close`, `closed-8-h2c-s16`."""
        amount = f"{self.connections}" if self.kind == "closed" else f"{self.rate_per_s or 0.0:g}"
        if self.share is not None:
            amount = f"{self.share * 100:g}%"
        spoken = "" if self.protocol == "http" else f"-{self.protocol}"
        each = f"-s{self.streams}" if self.protocol in MULTIPLEXED else ""
        return f"{self.kind}-{amount}" + ("-close" if self.connection == "close" else "") + spoken + each


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is held equal between the servers of a group."""

    workers: int
    threads: int
    backlog: int = 1024
    keep_alive_s: int = 75
    configuration: Configuration = "equal"
    connections: int = 0
    """So many connections each worker serves and keeps alive side by side at least, where that is an option of the
    server's: of scenarios that hold very many. 0 leaves it as it is."""

    @property
    def id(self) -> str:
        """E.g. `w1t8`, `w1t8-recommended`."""
        return f"w{self.workers}t{self.threads}" + ("" if self.configuration == "equal" else f"-{self.configuration}")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """server x app x scenario x load x settings."""

    server: str
    app: str
    scenario: str
    load: Load
    settings: Settings
    control: bool = False
    """True for the second copy of a cell that runs twice in every block (the A/A control)."""
    part: int = 0
    """Which part of a group that was split for want of memory it is measured in."""
    again: bool = False
    """True for a copy of the reference server in a further part."""

    @property
    def id(self) -> str:
        """One string that names the cell, the same in every block and every run."""
        server = f"{self.server}~control" if self.control else self.server
        server += f"~part{self.part + 1}" if self.again else ""
        return f"{server}/{self.app}/{self.scenario}/{self.load.id}/{self.settings.id}"


@dataclass(frozen=True, kw_only=True)
class Group:
    """The cells compared with one another: same scenario, load and settings, in the order they are visited."""

    scenario: str
    load: Load
    settings: Settings
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The groups of a block that differ only in load and so share one fresh process per server."""

    groups: tuple[Group, ...]


@dataclass(frozen=True, kw_only=True)
class Block:
    """One seeded random pass over all groups, every server started afresh."""

    index: int
    seed: int
    stages: tuple[Stage, ...]


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How long things are measured, in seconds."""

    window_s: float
    """Counted time of each trial."""
    slice_s: float | None
    """Length of a visit's counted part; None for one unbroken window per server."""
    settle_s: float = 0.01
    """Not counted at the start of each visit."""
    open_window_s: float | None = None
    """Counted time of open loads; None for the same as `window_s`."""
    least_answers: int = 0
    """So many requests should be due in an open load's window: at low rates it is longer for it ..."""
    longest_open_s: float | None = None
    """... up to this; None for no limit."""
    own_percentile_s: float = 0.0
    """Where a window of at most this length holds the 1,000 answers of a p99 of its own, it is made so long."""
    turn_s: float | None = None
    """Length of a visit's counted part in open loads; None for one unbroken window per server."""
    warmup_s: float = 3.0
    """The longest warm-up; it ends earlier once the rate is steady."""
    singly_s: float = 0.0
    """Apps of the user's at saturation: for each server about so long is spent on asking each request by itself."""
    own_s: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Scenario -> counted time of each of its trials at saturation, where that is not `window_s`."""
    watched_s: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Scenario -> the least window of those in which something is done or looked at that takes a while."""
    timeout_s: float = 10.0
    """The longest time-out: the one that is used fits the window and the slowest answers, and stands in `Window`."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All blocks of one run."""

    seed: int
    windows: Windows
    blocks: tuple[Block, ...]

    def blocks_with(self, cell: str) -> int:
        """How many blocks hold a cell, by its id: a scenario may be left out of some."""
        return sum(
            any(each.id == cell for stage in block.stages for group in stage.groups for each in group.cells)
            for block in self.blocks
        )
