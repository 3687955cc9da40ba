"""The orders of the engine as data: JSON in, frozen dataclasses out, and a clear line for what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from sgibench.errors import LoadError
from sgibench.model import Load, Protocol
from sgibench.model.terms import MULTIPLEXED


@dataclass(frozen=True, kw_only=True)
class BesideOrder:
    """The user's app, called without a server beside those that serve it."""

    port: int
    """Where it is told what to call."""
    pid: int


@dataclass(frozen=True, kw_only=True)
class TargetOrder:
    """A server to put under load."""

    id: str
    host: str
    port: int
    pids: tuple[int, ...]
    front_pids: tuple[int, ...] = ()
    """Those of them that stand before the server: their CPU is told apart, too."""
    spawns: bool = False
    """Whether it starts a process for each request: those say themselves what CPU they used."""
    services: Mapping[str, int] = field(default_factory=dict)
    """First process of each service that it uses, by id."""
    data: Path | None = None
    """The folder in which its app counts what goes on inside it."""
    beside: BesideOrder | None = None
    within: bool = False
    """Whether it can be asked to call the app within its own process."""


@dataclass(frozen=True, kw_only=True)
class MeasureOrder:
    """One group, or one server: what `measure` asks."""

    scenario: Path
    targets: tuple[TargetOrder, ...]
    load: Load
    slice_s: float | None
    settle_s: float
    window_s: float
    warmup_s: float
    timeout_s: float
    seed: int
    identify: bool
    turn_s: float | None = None
    """Open loops: the counted part of a visit; None for unbroken windows."""
    load_workers: int = 1
    """Processes that share the load."""
    samples: bool = False
    """Whether an unbroken window's answers and failures are noted every tenth of a second."""
    alone: bool = False
    """Whether nothing is held open beside it, whatever the scenario says: to calibrate."""
    awake: bool = False
    """Whether each of them has a CPU for itself, and may wait there without sleeping."""
    singly: tuple[int, ...] = ()
    """Places of the requests that are asked alone, too, beside the app without a server."""
    singly_s: float = 0.0
    """About so long for all of them together."""
    lasting_ids: bool = False
    """Whether what had a target's id in an earlier order was the same server, started afresh since."""


def read_measure(order: dict[str, Any]) -> MeasureOrder:
    """Read a measure order; raises LoadError."""
    try:
        load = read_load(order["load"])
        slice_s, turn_s = order.get("slice_s"), order.get("turn_s")
        return MeasureOrder(
            scenario=Path(order["scenario"]),
            targets=tuple(
                TargetOrder(
                    id=str(target["id"]),
                    host=str(target["host"]),
                    port=int(target["port"]),
                    pids=tuple(map(int, target.get("pids", ()))),
                    front_pids=tuple(map(int, target.get("front_pids", ()))),
                    spawns=bool(target.get("spawns")),
                    services={str(name): int(pid) for name, pid in (target.get("services") or {}).items()},
                    data=Path(target["data"]) if target.get("data") else None,
                    beside=_read_beside(target.get("beside")),
                    within=bool(target.get("within")),
                )
                for target in order["targets"]
            ),
            load=load,
            slice_s=None if slice_s is None or load.kind == "open" else float(slice_s),
            settle_s=float(order.get("settle_s", 0.01)),
            window_s=float(order["window_s"]),
            warmup_s=float(order.get("warmup_s", 3.0)),
            timeout_s=float(order.get("timeout_s", 10.0)),
            seed=int(order.get("seed", 0)),
            identify=bool(order.get("identify", True)),
            turn_s=None if turn_s is None else float(turn_s),
            load_workers=int(order.get("load_workers") or 1),
            samples=bool(order.get("samples")),
            awake=bool(order.get("awake")),
            singly=tuple(map(int, order.get("singly", ()))) if load.kind == "closed" else (),
            singly_s=float(order.get("singly_s", 0.0)) * len(order["targets"]),
            lasting_ids=bool(order.get("lasting_ids")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LoadError(f"measure: an order that can't be read: {type(error).__name__}: {error}") from error


def _read_beside(given: dict[str, Any] | None) -> BesideOrder | None:
    return None if given is None else BesideOrder(port=int(given["port"]), pid=int(given["pid"]))


def read_load(given: dict[str, Any]) -> Load:
    """Read how hard to load; raises TypeError or ValueError."""
    load = Load(**given)
    if load.kind not in {"closed", "open"} or load.connection not in {"keep-alive", "close"}:
        raise ValueError(f"unknown load {given}")
    if load.connections < 1 or (load.kind == "open" and not (load.rate_per_s or 0) > 0):
        raise ValueError(f"expected connections of at least 1 and, for open loads, a rate, got {given}")
    if load.protocol not in get_args(Protocol) or load.streams < 1:
        raise ValueError(f"expected a protocol and at least one stream, got {given}")
    if load.streams > 1 and load.protocol not in MULTIPLEXED:
        raise ValueError(f"expected several streams only over {' or '.join(sorted(MULTIPLEXED))}, got {given}")
    return load
