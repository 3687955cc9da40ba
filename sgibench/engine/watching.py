"""What goes wrong with servers while they are loaded, and what that makes of what was seen."""

from __future__ import annotations

from collections.abc import Mapping

from sgibench import units
from sgibench.engine.contestant import Contestant
from sgibench.engine.jobs import judge_jobs
from sgibench.engine.orders import Measured, Target
from sgibench.engine.services import Witness
from sgibench.engine.trials import judge, too_soon
from sgibench.errors import ServerError
from sgibench.serve.fronts import told_lost
from sgibench.serve.guarded import is_stopped, stays_stopped


def watch_servers(contestants: Mapping[str, Contestant]) -> dict[str, str]:
    """Name the servers that ended, were stopped or flood their log; a flood is ended before it fills the disk."""
    gone = {}
    for cell_id, contestant in contestants.items():
        process = contestant.process
        if contestant.failure is None and process.log_bytes() > process.log_cap_bytes:
            tail = process.log_tail()
            process.kill()
            contestant.fail(ServerError("log-flood", f"it logged more than {units.size(process.log_cap_bytes)}", tail))
        if contestant.failure is None and not process.alive():
            contestant.fail(ServerError("crashed", f"{process.end} under load", process.log_tail()))
        if contestant.failure is None and contestant.standstill.seen(stopped=_stands(contestant)):
            _fail_stopped(contestant)
        if contestant.failure is None and contestant.jobs and (trouble := contestant.jobs.trouble()):
            contestant.fail(trouble)
        if contestant.failure is None and (trouble := contestant.trouble()) is not None:
            contestant.fail(trouble)
        if contestant.failure is not None:
            gone[cell_id] = contestant.failure.reason
    return gone


def _stands(contestant: Contestant) -> bool:
    """Whether a process that serves is stopped; only those that were there as the load began are looked at."""
    return any(is_stopped(pid) for pids in contestant.parts.values() for pid in pids)


def _fail_stopped(contestant: Contestant) -> None:
    """Give up a server that was stopped, and end it: it would not hear that it is to stop, and be waited for."""
    process = contestant.process
    told = process.stopped() or "it was stopped (SIGSTOP)"
    contestant.fail(ServerError("stopped", f"{told} under load", process.log_tail()))
    process.kill()


def judge_load(contestant: Contestant, target: Target, measured: Measured, witness: Witness) -> None:
    """Decide whether what was seen is a result."""
    process = contestant.process
    watch_servers({target.id: contestant})
    if contestant.failure is None:
        parts = {name: pids for name, pids in contestant.parts.items() if not process.is_away(name)}
        if lost := told_lost(parts, process.pids()):
            contestant.fail(ServerError("crashed", f"{lost} under load", process.log_tail()))
        elif process.stopped() and stays_stopped(lambda: process.stopped() is not None):
            _fail_stopped(contestant)
        else:
            contestant.failure = judge(measured, process.log_tail(), eventful=contestant.eventful)
            contestant.failure = contestant.failure or too_soon(witness.scenario, measured, process.log_tail())
    contestant.fail_with_services()
    if contestant.failure is None and contestant.did is not None:
        contestant.failure = judge_jobs(contestant.did, process.log_tail(), measured.open_ends)
    if contestant.failure is None:
        contestant.failure = witness.judge(target.id, measured)
    if contestant.failure is not None:
        contestant.fail_with_services()  # one that went away since is why rows or jobs don't add up
