"""What a server turned out to be, read from the system: before a load for who loads it, after it for what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sgibench.engine.contestant import Contestant
from sgibench.engine.orders import BesideTarget, Target
from sgibench.engine.trials import Draft
from sgibench.errors import ServerError
from sgibench.model import (
    App,
    Cell,
    Effective,
    Expected,
    Place,
)
from sgibench.serve import effective, place
from sgibench.serve.fronts import share_of
from sgibench.serve.process import HOST


def target_of(cell_id: str, contestant: Contestant) -> Target:
    """What the load process needs to know of a server; what it consists of now is kept."""
    process, beside = contestant.process, contestant.beside
    contestant.parts = process.lasting_by_part()
    steady = {pid for pids in process.steady_by_part().values() for pid in pids}
    return Target(
        id=cell_id,
        host=HOST,
        port=process.port,
        pids=tuple(sorted(steady)),
        front_pids=tuple(pid for pid in process.front_pids() if pid in steady),
        spawns=contestant.entry.variant.script is not None,
        services=contestant.used.roots,
        data=None if contestant.entry.variant.script is not None else str(process.data),
        beside=None if beside is None else BesideTarget(port=beside.port, pid=beside.pid),
        within=contestant.within,
    )


def draft_of(cell: Cell, contestant: Contestant, cpus: Sequence[int], ours: Place | None) -> Draft:
    """Read from the system what a server turned out to be after a load; what was measured is added to it."""
    seen = _effective(contestant)
    process = contestant.process
    return Draft(
        cell=cell,
        entry=contestant.entry,
        order=0,
        started_at="",
        floor_s=0.0,
        argv=process.argv or None,
        front=share_of(process, living=contestant.failure is None),
        startup_s=process.startup_s,
        idle_cpu=contestant.idle_cpu,
        memory=process.memory() if contestant.failure is None else None,
        expected=_expected(contestant),
        effective=seen,
        outside=place.outside(seen.place if seen else None, cpus, ours),
        jobs=contestant.did,
        failure=contestant.failure,
    )


def _expected(contestant: Contestant) -> Expected:
    """What its declaration says of the launch; a declaration that can't say it fails.

    An app of the user's may have processes and threads of its own, so nothing is said about their number.
    """
    launch = contestant.process.launch
    try:
        expected = Expected() if launch is None else contestant.entry.expected(launch)
        own = contestant.process.spec.app.own
        return expected if own is None else replace(expected, processes=None, threads=None)
    except ServerError as error:
        contestant.fail(error)
        return Expected()


def _effective(contestant: Contestant) -> Effective | None:
    """Read from the system what a server that lives turned out to be."""
    if contestant.failure is not None:
        return None
    process = contestant.process
    spec = process.spec
    return effective.read(HOST, process.port, process.pids(), path_of(spec.app), protocol=spec.protocol)


def path_of(app: App) -> str:
    """Name a path that the app answers and that changes nothing."""
    return "/pid" if app.own is None else app.own.ready or app.own.first
