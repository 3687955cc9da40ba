"""A run's trials, put together into what a table can show: one `Standing` a group, one `Entry` a cell.

Everything that is a statistic comes from `sgibench.stats`, every percentile from merged histograms. The control's
second copy is the noise floor and never an entry. A cell without one good trial has a failure and no figure.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sgibench import stats
from sgibench.histogram import Histogram
from sgibench.model import (
    Concurrency,
    Configuration,
    Estimate,
    Failure,
    Interface,
    Latency,
    Load,
    Run,
    Settings,
    Status,
    Trial,
)

PERCENTILES = (0.5, 0.9, 0.99, 0.999)


@dataclass(frozen=True, kw_only=True)
class GroupKey:
    """What the cells of a group have in common."""

    scenario: str
    load: Load
    workers: int
    threads: int
    configuration: Configuration = "equal"

    @property
    def settings(self) -> Settings:
        """The group's settings, as far as trials carry them."""
        return Settings(workers=self.workers, threads=self.threads, configuration=self.configuration)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One cell over all its blocks."""

    cell: str
    server: str
    app: str
    label: str
    """What a person reads: the server, and the app where that is not clear from the run."""
    interface: Interface | None
    concurrency: Concurrency | None
    status: Status
    """`ok` when at least one block gave numbers."""
    failure: Failure | None
    """The first one; also where other blocks were fine."""
    failed_blocks: int
    trials: tuple[Trial, ...]
    """In the order of blocks, without the control's."""
    rps: Estimate | None
    cpu_us: Estimate | None
    pss_bytes: Estimate | None
    uss_bytes: Estimate | None
    startup_s: Estimate | None
    processes: int | None
    latency: Latency | None
    """From all blocks' histograms merged; open loads: from the time a request was due."""
    histogram: Histogram | None
    """What `latency` was read from."""
    errors: Mapping[str, int]

    @property
    def good(self) -> tuple[Trial, ...]:
        """The trials with numbers."""
        return tuple(trial for trial in self.trials if trial.status == "ok")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One group, judged."""

    key: GroupKey
    entries: Mapping[str, Entry]
    """By cell, best first by cost; failed ones last."""
    cost: stats.Ranking
    """By server CPU per request, the primary figure."""
    throughput: stats.Ranking
    control: tuple[str, str] | None
    """The cell that ran twice, and its copy."""


def cost_of(trial: Trial) -> float | None:
    """Server CPU per request, in microseconds."""
    return trial.cpu_us_per_request


def throughput_of(trial: Trial) -> float | None:
    """Right answers per second."""
    return trial.rps


def values_of(trials: Iterable[Trial], figure: Callable[[Trial], float | None]) -> dict[int, float]:
    """Block -> value, of good trials that have the figure."""
    found = ((trial.block, figure(trial)) for trial in trials if trial.status == "ok")
    return {block: value for block, value in found if value is not None}


def standings_of(run: Run) -> tuple[Standing, ...]:
    """Judge every group of a run, in the order in which they were planned."""
    groups: dict[GroupKey, list[Trial]] = defaultdict(list)
    for trial in run.trials:
        key = GroupKey(
            scenario=trial.scenario,
            load=trial.load,
            workers=trial.workers,
            threads=trial.threads,
            configuration=trial.configuration,
        )
        groups[key].append(trial)
    names = _labels(run.trials)
    return tuple(_standing(key, trials, names) for key, trials in groups.items())


def _labels(trials: Sequence[Trial]) -> Mapping[tuple[str, str], str]:
    """Name each (server, app): the server alone where it ran one app, and the one that most of its interface ran."""
    ran = dict.fromkeys((trial.interface, trial.server, trial.app) for trial in trials)
    apps = Counter(server for _, server, _ in ran)
    usual = {interface: _most([app for other, _, app in ran if other == interface]) for interface, _, _ in ran}
    return {
        (server, app): server if apps[server] == 1 and app == usual[interface] else f"{server} · {app}"
        for interface, server, app in ran
    }


def _most(apps: Sequence[str]) -> str | None:
    """Name the app that occurs most often, None when two do."""
    (first, often), *others = Counter(apps).most_common(2)
    return None if others and others[0][1] == often else first


def _standing(key: GroupKey, trials: Sequence[Trial], names: Mapping[tuple[str, str], str]) -> Standing:
    cells: dict[str, list[Trial]] = defaultdict(list)
    copies: dict[str, list[Trial]] = defaultdict(list)
    for trial in sorted(trials, key=lambda trial: (trial.block, trial.order)):
        (copies if trial.control else cells)[trial.cell].append(trial)
    control = next(((first, copy) for copy in copies if (first := copy.replace("~control", "", 1)) in cells), None)
    everything = {**cells, **copies}
    cost = stats.rank(
        {cell: values_of(trials, cost_of) for cell, trials in everything.items() if cell in cells or control},
        higher_is_better=False,
        control=control,
    )
    throughput = stats.rank(
        {cell: values_of(trials, throughput_of) for cell, trials in everything.items() if cell in cells or control},
        higher_is_better=True,
        control=control,
    )
    order = [row.cell for row in cost.rows] + [row.cell for row in throughput.rows] + sorted(cells)
    return Standing(
        key=key,
        entries={cell: _entry(cell, cells[cell], names) for cell in dict.fromkeys(order)},
        cost=cost,
        throughput=throughput,
        control=control,
    )


def _entry(cell: str, trials: Sequence[Trial], names: Mapping[tuple[str, str], str]) -> Entry:
    first = trials[0]
    good = [trial for trial in trials if trial.status == "ok"]
    failures = [trial.failure for trial in trials if trial.failure is not None]
    errors: Counter[str] = Counter()
    for trial in trials:
        errors.update(trial.errors)
    histogram = _histogram(good)
    return Entry(
        cell=cell,
        server=first.server,
        app=first.app,
        label=printable(names[first.server, first.app]),
        interface=first.interface,
        concurrency=first.concurrency,
        status="ok" if good else first.status,
        failure=failures[0] if failures else None,
        failed_blocks=len(trials) - len(good),
        trials=tuple(trials),
        rps=_over_blocks(good, throughput_of),
        cpu_us=_over_blocks(good, cost_of),
        pss_bytes=_over_blocks(good, lambda trial: trial.memory.pss_bytes if trial.memory else None),
        uss_bytes=_over_blocks(good, lambda trial: trial.memory.uss_bytes if trial.memory else None),
        startup_s=_over_blocks(trials, lambda trial: trial.startup_s),
        processes=max((trial.memory.processes for trial in good if trial.memory), default=None),
        latency=_latency(histogram) if histogram else (good[0].latency_us if len(good) == 1 else None),
        histogram=histogram,
        errors=dict(errors),
    )


def _over_blocks(trials: Iterable[Trial], figure: Callable[[Trial], float | None]) -> Estimate | None:
    values = [value for trial in trials if (value := figure(trial)) is not None]
    return stats.estimate(values)


def _histogram(good: Iterable[Trial]) -> Histogram | None:
    """Merge what was stored; latency at an open load counts from the time a request was due."""
    stored = [
        trial.intended_histogram_us if trial.load.kind == "open" and trial.intended_histogram_us else trial.histogram_us
        for trial in good
    ]
    merged = Histogram.merged(Histogram.from_data(data) for data in stored if data is not None)
    return merged if merged.count else None


def _latency(histogram: Histogram) -> Latency:
    p50, p90, p99, p999 = (
        histogram.percentile_us(q) if stats.percentile_allowed(q, histogram.count) else None for q in PERCENTILES
    )
    return Latency(mean=histogram.mean_us, p50=p50, p90=p90, p99=p99, p999=p999, max=histogram.max_us)


def printable(text: str) -> str:
    """Replace what no name should hold: control characters, direction overrides, halves of surrogates."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(sign) in {"Cc", "Cf", "Cs"} else sign for sign in text
    )
