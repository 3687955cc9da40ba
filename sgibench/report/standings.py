"""A run's trials, put together into what a table can show: one `Standing` a group, one `Entry` a cell.

Everything that is a statistic comes from `sgibench.stats`: each figure, latency included, is one value a block, and a
geometric mean over them. Merged histograms serve curves alone. The control's second copy is the noise floor and never
an entry. A cell without one good trial has a failure and no figure.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sgibench import stats, units
from sgibench.histogram import Histogram
from sgibench.model import (
    Concurrency,
    Configuration,
    Estimate,
    Failure,
    Interface,
    Load,
    Metric,
    Run,
    Settings,
    Status,
    Trial,
)
from sgibench.model.catalogue import WITH
from sgibench.stats.rates import rate_kept


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
    figures: Mapping[Metric, Estimate]
    """What it is judged by; a figure that no block has is left out."""
    pss_bytes: Estimate | None
    uss_bytes: Estimate | None
    startup_s: Estimate | None
    processes: int | None
    histogram: Histogram | None
    """All blocks' latencies merged, for curves; open loads: from the time a request was due."""
    errors: Mapping[str, int]

    @property
    def rps(self) -> Estimate | None:
        """Right answers per second."""
        return self.figures.get("rps")

    @property
    def cpu_us(self) -> Estimate | None:
        """Server CPU per request, in microseconds."""
        return self.figures.get("cpu_us_per_request")

    def why_not(self, metric: Metric) -> str:
        """Say why a figure is not there; nothing when it is."""
        if metric in self.figures:
            return ""
        if not self.good:
            return self.failure.reason if self.failure else self.status
        why, together = stats.lacking(self.trials, metric), self.together(metric)
        return why if together is None else f"{why} in a block; all blocks together {units.microseconds(together)}"

    def together(self, metric: Metric) -> float | None:
        """Give a percentile of all blocks merged where only all together have answers enough; it judges nothing."""
        quantile = stats.LATENCIES.get(metric)
        if quantile is None or metric in self.figures or self.histogram is None:
            return None
        enough = stats.percentile_allowed(quantile, self.histogram.count)
        return self.histogram.percentile_us(quantile) if enough else None

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
    rankings: Mapping[Metric, stats.Ranking]
    """By each figure."""
    control: tuple[str, str] | None
    """The cell that ran twice, and its copy."""

    @property
    def cost(self) -> stats.Ranking:
        """By server CPU per request, the primary figure."""
        return self.rankings["cpu_us_per_request"]

    @property
    def throughput(self) -> stats.Ranking:
        """By right answers per second."""
        return self.rankings["rps"]


def standings_of(run: Run) -> tuple[Standing, ...]:
    """Judge every group of a run, in the order in which they were planned."""
    groups: dict[GroupKey, list[Trial]] = defaultdict(list)
    trials = stats.levelled(run.trials)
    for trial in trials:
        key = GroupKey(
            scenario=trial.scenario,
            load=trial.load,
            workers=trial.workers,
            threads=trial.threads,
            configuration=trial.configuration,
        )
        groups[key].append(trial)
    names = _labels(trials)
    return tuple(_standing(key, members, names, run.info.delta) for key, members in groups.items())


def _labels(trials: Sequence[Trial]) -> Mapping[tuple[str, str], str]:
    """Name each (server, app): the server alone where it ran one app, and the one that most of its interface ran.

    Services that stand behind every app's name set none apart, and are left out of all. A trial that could not be
    stored has lost its interface: its neighbours' is taken.
    """
    spoken: dict[tuple[str, str], str | None] = {}
    for trial in trials:
        which = trial.server, trial.app
        spoken[which] = spoken.get(which) or trial.interface
    ran = [(interface, server, app) for (server, app), interface in spoken.items()]
    apps = Counter(server for _, server, _ in ran)
    services = {app.partition(WITH)[2] for _, _, app in ran}

    def named(app: str) -> str:
        return app.partition(WITH)[0] if len(services) == 1 else app

    usual = {interface: _most([app for other, _, app in ran if other == interface]) for interface, _, _ in ran}
    return {
        (server, app): server if apps[server] == 1 and app == usual[interface] else f"{server} · {named(app)}"
        for interface, server, app in ran
    }


def _most(apps: Sequence[str]) -> str | None:
    """Name the app that occurs most often, None when two do."""
    (first, often), *others = Counter(apps).most_common(2)
    return None if others and others[0][1] == often else first


def _standing(key: GroupKey, trials: Sequence[Trial], names: Mapping[tuple[str, str], str], delta: float) -> Standing:
    cells: dict[str, list[Trial]] = defaultdict(list)
    copies: dict[str, list[Trial]] = defaultdict(list)
    for trial in sorted(trials, key=lambda trial: (trial.block, trial.order)):
        (copies if trial.control else cells)[trial.cell].append(trial)
    control = next(((first, copy) for copy in copies if (first := copy.replace("~control", "", 1)) in cells), None)
    everything = {**cells, **(copies if control else {})}
    rankings: dict[Metric, stats.Ranking] = {
        metric: stats.rank(
            {cell: stats.block_values(members, metric) for cell, members in everything.items()},
            higher_is_better=stats.HIGHER_IS_BETTER[metric],
            control=control,
            delta=delta,
        )
        for metric in stats.METRICS
    }
    order = [row.cell for metric in stats.METRICS[:2] for row in rankings[metric].rows] + sorted(cells)
    return Standing(
        key=key,
        entries={cell: _entry(cell, cells[cell], names) for cell in dict.fromkeys(order)},
        rankings=rankings,
        control=control,
    )


def _entry(cell: str, trials: Sequence[Trial], names: Mapping[tuple[str, str], str]) -> Entry:
    first = trials[0]
    good = [trial for trial in trials if trial.status == "ok"]
    failures = [trial.failure for trial in trials if trial.failure is not None]
    errors: Counter[str] = Counter()
    for trial in trials:
        errors.update(trial.errors)
    figures = {metric: stats.estimate(list(stats.block_values(good, metric).values())) for metric in stats.METRICS}
    merged, blocks = _histogram(good), len({trial.block for trial in good if rate_kept(trial)})
    return Entry(
        cell=cell,
        server=first.server,
        app=first.app,
        label=printable(names[first.server, first.app]),
        interface=next((trial.interface for trial in trials if trial.interface), None),
        concurrency=next((trial.concurrency for trial in trials if trial.concurrency), None),
        status="ok" if good else first.status,
        failure=failures[0] if failures else None,
        failed_blocks=len(trials) - len(good),
        trials=tuple(trials),
        figures={metric: found for metric, found in figures.items() if found is not None}
        | _together(figures, merged, blocks),
        pss_bytes=_over_blocks(good, lambda trial: trial.memory.pss_bytes if trial.memory else None),
        uss_bytes=_over_blocks(good, lambda trial: trial.memory.uss_bytes if trial.memory else None),
        startup_s=_over_blocks(trials, lambda trial: trial.startup_s),
        processes=max((trial.memory.processes for trial in good if trial.memory), default=None),
        histogram=merged,
        errors=dict(errors),
    )


def _together(
    figures: Mapping[Metric, Estimate | None], merged: Histogram | None, blocks: int
) -> dict[Metric, Estimate]:
    """Percentiles that too few blocks have answers enough for, and all together have: one value, without an interval.

    Nothing is judged by it.
    """
    found = {}
    for metric, quantile in stats.LATENCIES.items():
        if figures[metric] is None and merged and stats.percentile_allowed(quantile, merged.count):
            value_us = merged.percentile_us(quantile)
            if value_us:
                found[metric] = Estimate(value=value_us, low=None, high=None, blocks=blocks)
    return found


def _over_blocks(trials: Iterable[Trial], figure: Callable[[Trial], float | None]) -> Estimate | None:
    values = [value for trial in trials if (value := figure(trial)) is not None]
    return stats.estimate(values)


def _histogram(good: Iterable[Trial]) -> Histogram | None:
    """Merge the latencies of blocks in which there are any; a rate that was not kept has none."""
    stored = [stats.shown_histogram(trial) for trial in good if rate_kept(trial)]
    merged = Histogram.merged(found for found in stored if found is not None)
    return merged if merged.count else None


def printable(text: str) -> str:
    """Replace what no name should hold: control characters, direction overrides, halves of surrogates."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(sign) in {"Cc", "Cf", "Cs"} else sign for sign in text
    )
