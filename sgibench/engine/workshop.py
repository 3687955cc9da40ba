"""What stays the same for a whole run, and who wants to know what happens in it. Nothing here does anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sgibench import machine
from sgibench.catalogue.reading import Catalogue
from sgibench.engine.orders import LoadProcess
from sgibench.laps import Laps
from sgibench.model import (
    Asked,
    Block,
    Cell,
    Plan,
    Scenario,
    Stage,
    Trial,
    Windows,
)
from sgibench.serve.envs import Environment
from sgibench.serve.services import House


class Listener(Protocol):
    """Who wants to know what happens; see `progress`."""

    def say(self, sentence: str) -> None:
        """Something a person should read."""

    def planned(self, plan: Plan, done: int) -> None:
        """The plan is made, `done` of its trials are on disk, and the rest is about to begin."""

    def stage_started(self, block: Block, stage: Stage) -> None:
        """Servers of a stage are about to be started."""

    def repeating(self, stage: Stage) -> None:
        """Measure groups again, because the machine or the generator was in doubt."""

    def step(self, cell: Cell, phase: str, done: float) -> None:
        """Something moved on inside a cell: `starting`, `verifying`, `warmup`, `measure`, `stopping`."""

    def trials_ended(self, trials: Sequence[Trial]) -> None:
        """The trials of a load are on disk; they have ended together."""


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """All that trials need and that stays the same for the whole run."""

    catalogue: Catalogue
    environments: Mapping[str, Environment]
    """By `server` or `server app` as `environment_key` says."""
    scenarios: Mapping[str, Scenario]
    load: LoadProcess
    cpus: machine.CpuPlan
    windows: Windows
    listener: Listener
    worth_repeating: Callable[[Trial], bool]
    """Whether the machine or the generator, not the server, spoilt a trial."""
    retries: int
    """How often a group may be measured again in a block."""
    scratch: Path
    """Where servers keep their logs and data; emptied at each start."""
    services: House | None = None
    """What apps need besides; None when this command starts no services."""
    pool: int | None = None
    """Connections to a database for each process of a server; None for as many as it has threads."""
    apart_blocks: int = 1
    """In so many blocks servers start one after the other, so that the time each takes is known."""
    after_block: Callable[[int], None] | None = None
    """Called with the index of each block that is complete, while no server runs."""
    laps: Laps = field(default_factory=lambda: Laps("starting"))
    """Where the time goes."""
    asked: tuple[Asked, ...] = ()
    """Requests of the user's; their app then also lives beside its servers, called without one."""
    singly: tuple[int, ...] = ()
    """Places of those that are asked by themselves, too."""
    told: set[str] = field(default_factory=set)
    """Sentences about how windows are made that were said already; each is said once."""

    def say_once(self, sentence: str) -> None:
        """Say something that holds for the whole run, at its first occasion."""
        if sentence not in self.told:
            self.told.add(sentence)
            self.listener.say(sentence)


def environment_key(cell: Cell) -> str:
    """Name the environment of a cell: one for each server and app."""
    return f"{cell.server} {cell.app}"


def folder_name(text: str) -> str:
    """Make a name of a server or an app fit for a folder and for a list of folders."""
    return re.sub(r"[^\w.@+-]", "-", text)
