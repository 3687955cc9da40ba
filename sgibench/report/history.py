"""How cells went from run to run on the same machine; values of different machines never share a line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sgibench.model import Estimate, Run
from sgibench.report.standings import GroupKey, printable, standings_of

WIDTH, HEIGHT = 120.0, 28.0


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A cell in one run."""

    run: str
    started_at: str
    estimate: Estimate
    x: float
    y: float
    """Where it is drawn, in a box of WIDTH x HEIGHT."""


@dataclass(frozen=True, kw_only=True)
class Trend:
    """One cell over the runs of one machine, oldest first."""

    label: str
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
    histories = []
    for (host_hash, key), found in cells.items():
        trends = tuple(_trend(label, seen) for label, seen in sorted(found.items()) if len(seen) > 1)
        if trends:
            title = printable(f"{key.scenario}, {key.load.id}, workers {key.workers}, threads {key.threads}")
            histories.append(History(machine=machines[host_hash], title=title, trends=trends))
    return tuple(histories)


def _trend(label: str, seen: Sequence[tuple[Run, Estimate]]) -> Trend:
    """Lay the moments out: evenly in x, from zero in y."""
    highest = max(estimate.high or estimate.value for _run, estimate in seen) or 1.0
    moments = [
        Moment(
            run=printable(run.info.run),
            started_at=run.info.started_at,
            estimate=estimate,
            x=4 + (WIDTH - 8) * index / (len(seen) - 1),
            y=HEIGHT - 3 - (HEIGHT - 6) * estimate.value / highest,
        )
        for index, (run, estimate) in enumerate(seen)
    ]
    return Trend(label=label, moments=tuple(moments))
