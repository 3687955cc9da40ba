"""How cells went from run to run on the same machine; values of different machines never share a line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sgibench.model import Estimate, Run
from sgibench.report.panels import Look, looks_of
from sgibench.report.standings import GroupKey, printable, standings_of
from sgibench.report.words import load_words

WIDTH, HEIGHT = 120.0, 28.0
LEAST_SPAN = 0.1
"""A line fills its box only when it moves by more than this share, up or down."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A cell in one run."""

    run: str
    started_at: str
    estimate: Estimate
    x: float
    y: float
    """Where it is drawn, in a box of WIDTH x HEIGHT."""
    ends: tuple[float, float] | None
    """Heights of its interval's ends."""


@dataclass(frozen=True, kw_only=True)
class Trend:
    """One cell over the runs of one machine, oldest first."""

    label: str
    look: Look
    moments: tuple[Moment, ...]

    @property
    def path(self) -> str:
        """The line through its moments, as SVG."""
        return " ".join(f"{'L' if index else 'M'}{one.x:.1f} {one.y:.1f}" for index, one in enumerate(self.moments))


@dataclass(frozen=True, kw_only=True)
class History:
    """One group on one machine."""

    machine: str
    title: str
    trends: tuple[Trend, ...]


def history_of(runs: Sequence[Run]) -> tuple[History, ...]:
    """Follow each cell's CPU per request over all runs of a machine; cells measured once have no trend."""
    cells: dict[tuple[str, GroupKey], dict[str, list[tuple[Run, Estimate]]]] = defaultdict(lambda: defaultdict(list))
    machines: dict[str, str] = {}
    for run in sorted(runs, key=lambda run: run.info.started_at):
        host = run.info.machine
        machines[host.hostname_hash] = printable(f"{host.cpu_model}, {host.cores} cores, {host.hostname_hash[:6]}")
        for standing in standings_of(run):
            for entry in standing.entries.values():
                if entry.cpu_us:
                    label = f"{entry.server} · {entry.app}"
                    cells[host.hostname_hash, standing.key][printable(label)].append((run, entry.cpu_us))
    looks = looks_of({label.split(" · ")[0] for found in cells.values() for label in found})
    histories = []
    for (host_hash, key), found in cells.items():
        trends = tuple(
            _trend(label, looks[label.split(" · ")[0]], seen) for label, seen in sorted(found.items()) if len(seen) > 1
        )
        if trends:
            title = printable(f"{key.scenario}, {load_words(key.load)}, workers {key.workers}, threads {key.threads}")
            histories.append(History(machine=machines[host_hash], title=title, trends=trends))
    return tuple(histories)


def _trend(label: str, look: Look, seen: Sequence[tuple[Run, Estimate]]) -> Trend:
    """Lay the moments out: evenly in x; in y so that what is smaller than LEAST_SPAN looks small."""
    values = [estimate.value for _run, estimate in seen]
    low, high = min(values), max(values)
    middle, half = (low + high) / 2, max((high - low) / 2, (low + high) / 2 * LEAST_SPAN) * 1.15

    def height(value: float) -> float:
        return HEIGHT / 2 - (HEIGHT / 2 - 3) * min(max((value - middle) / half, -1.2), 1.2)

    moments = [
        Moment(
            run=printable(run.info.run),
            started_at=run.info.started_at,
            estimate=estimate,
            x=4 + (WIDTH - 8) * index / (len(seen) - 1),
            y=height(estimate.value),
            ends=None
            if estimate.low is None or estimate.high is None
            else (height(estimate.low), height(estimate.high)),
        )
        for index, (run, estimate) in enumerate(seen)
    ]
    return Trend(label=label, look=look, moments=tuple(moments))
