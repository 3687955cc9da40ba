"""What was done to a deployment, what was sampled and what the app noted, made one behaviour (pure).

All three tell their times by the host's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgibench.model.behaviour import Act, Behaviour, Happened, Sample

REACHED_S = 0.1
BURST_GAP_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Done:
    """An event that was carried out."""

    at_ns: int
    do: Act
    what: str


def behaviour_of(
    samples: Sequence[Sample],
    done: Sequence[Done],
    noted: Mapping[int, Sequence[int]] | None,
    edges: tuple[int, int],
    lost: int,
) -> Behaviour:
    """Put it together; `edges` are where the window began and ended, `noted` when requests reached each process."""
    began_ns, ended_ns = edges
    inside = [one for one in done if began_ns <= one.at_ns < ended_ns]
    reached = sorted(at for times in (noted or {}).values() for at in times if began_ns <= at < ended_ns)
    return Behaviour(
        samples=tuple(samples),
        happened=tuple(Happened(at_s=round((one.at_ns - began_ns) / 1e9, 3), what=one.what) for one in inside),
        lost=lost,
        recovered_after_s=_recovered(samples, inside, edges, lost),
        back_after_s=_back(inside, noted),
        reached=None if noted is None else len(reached),
        reached_at=() if noted is None else _binned(reached, edges),
        bursts=_bursts(reached),
    )


def _recovered(samples: Sequence[Sample], done: Sequence[Done], edges: tuple[int, int], lost: int) -> float | None:
    """How long it took; not known where requests were lost after the last sample: those may be the event's, too."""
    if not done or not samples or lost > sum(one.failed for one in samples):
        return None
    first_s = (done[0].at_ns - edges[0]) / 1e9
    until_s = (done[1].at_ns - edges[0]) / 1e9 if len(done) > 1 else samples[-1].at_s
    troubled = [one.at_s for one in samples if first_s < one.at_s <= until_s and (one.failed or not one.answered)]
    if not troubled:
        return 0.0
    later = [one.at_s for one in samples if troubled[-1] < one.at_s <= until_s]
    return round(troubled[-1] - first_s, 3) if later else None


def _back(done: Sequence[Done], noted: Mapping[int, Sequence[int]] | None) -> float | None:
    """When a process that was not there before was first reached after the start."""
    starts = [one for one in done if one.do == "start"]
    if not starts or noted is None:
        return None
    started = starts[-1]
    fresh = [times[0] for times in noted.values() if times and times[0] >= started.at_ns]
    return round((min(fresh) - started.at_ns) / 1e9, 3) if fresh else None


def _binned(reached: Sequence[int], edges: tuple[int, int]) -> tuple[int, ...]:
    began_ns, ended_ns = edges
    width_ns = round(REACHED_S * 1e9)
    counts = [0] * -(-(ended_ns - began_ns) // width_ns)
    for at in reached:
        counts[(at - began_ns) // width_ns] += 1
    return tuple(counts)


def _bursts(reached: Sequence[int]) -> tuple[int, ...]:
    """Sizes of bursts, in order."""
    sizes: list[int] = []
    before = None
    for at in reached:
        if before is None or at - before > BURST_GAP_S * 1e9:
            sizes.append(0)
        sizes[-1] += 1
        before = at
    return tuple(sizes)
