"""Jobs: what they cost with a queue and without, how soon they are done, and whether a queue grows without end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sgibench import stats, units
from sgibench.histogram import Histogram
from sgibench.model import Trial
from sgibench.report.charts.bars import Bar, draw_bars
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.panels import Panel
from sgibench.report.standings import Entry
from sgibench.report.words import load_words
from sgibench.stats.queues import growth


@dataclass(frozen=True, kw_only=True)
class JobFigures:
    """The jobs of one server under one load, all blocks together."""

    handed_per_s: float
    done_per_s: float
    growth_per_s: float
    """Jobs by which the queue grew each second; 0 where it did not grow."""
    took: Histogram | None
    server_cpu_us: float | None
    """CPU of the server for each job."""
    worker_cpu_us: float | None
    """CPU of the worker for each job; None without one."""
    service_cpu_us: float | None
    """CPU of the services for each job; None where they were none, or it is not known."""

    @property
    def cpu_us(self) -> float | None:
        """All of it."""
        known = [part for part in (self.server_cpu_us, self.worker_cpu_us, self.service_cpu_us) if part is not None]
        return sum(known) if self.server_cpu_us is not None else None

    @property
    def parts(self) -> tuple[tuple[str, float | None], ...]:
        """Each part of it by its name."""
        return ("server", self.server_cpu_us), ("worker", self.worker_cpu_us), ("services", self.service_cpu_us)

    @property
    def queue(self) -> str:
        """What the queue did, in words."""
        if not self.growth_per_s:
            return "keeps up"
        return f"grows by {units.rate(self.growth_per_s)} without end; {units.rate(self.done_per_s)} are done"


def figures_of(trials: Sequence[Trial]) -> JobFigures | None:
    """Put the trials' jobs together; None where no trial was handed any."""
    seen = [(trial, trial.jobs) for trial in trials if trial.jobs is not None and trial.jobs.span_s > 0]
    handed, done = sum(jobs.handed for _, jobs in seen), sum(jobs.done for _, jobs in seen)
    if not handed or not done:
        return None
    span_s = sum(jobs.span_s for _, jobs in seen)
    stored = [Histogram.from_data(jobs.took_histogram_us) for _, jobs in seen if jobs.took_histogram_us]
    known = [used for trial, _ in seen for use in trial.services if (used := use.cpu_us_per_request) is not None]
    with_worker = any(jobs.worker for _, jobs in seen)
    return JobFigures(
        handed_per_s=handed / span_s,
        done_per_s=done / span_s,
        growth_per_s=growth([jobs for _, jobs in seen]) / span_s,
        took=Histogram.merged(stored) if stored else None,
        server_cpu_us=_per_job([jobs.server_cpu_s for _, jobs in seen], handed if with_worker else done),
        worker_cpu_us=_per_job([jobs.worker_cpu_s for _, jobs in seen], done),
        service_cpu_us=sum(known) / len(seen) if known else None,
    )


def _per_job(cpu_s: Sequence[float | None], jobs: int) -> float | None:
    known = [used for used in cpu_s if used is not None]
    return sum(known) / jobs * 1e6 if known and len(known) == len(cpu_s) else None


def jobs_of(panel: Panel) -> Chart | None:
    """Draw what a job costs; the table has how soon it is answered and done, and what the queue does."""
    found = {row.key: figures_of(row.entry.good) for row in panel.rows}
    bars = []
    for row in panel.rows:
        figures = found[row.key]
        if figures is not None and figures.cpu_us is not None:
            beside = sum(filter(None, (figures.worker_cpu_us, figures.service_cpu_us)))
            told = ", ".join(f"{name} {units.microseconds(used)}" for name, used in figures.parts if used is not None)
            bars.append(
                Bar(row=row.key, label=row.label, look=row.look, value=figures.cpu_us, part=beside or None, tip=told)
            )
    lines = [
        line
        for standing in (panel.main, *panel.opens)
        for line in _lines(panel, [*standing.entries.values()], load_words(standing.key.load))
    ]
    if not lines or not bars:
        return None
    title = "CPU per job"
    return Chart(
        title=title,
        hint="Shorter is better. Strong part: the worker and the services; the rest: the server. A queue that grows is "
        "as long as the test: its jobs are done later and later. Where handing in and doing share a CPU, more are done "
        "when fewer are handed in: the rate up to which a queue keeps up is what sgibench capacity finds.",
        drawing=draw_bars(
            bars,
            form=units.microseconds,
            prefix=f"{panel.key}j",
            label=alternative(title, [(bar.label, bar.tip) for bar in bars]),
        ),
        table=Table(headers=HEADERS, rows=tuple(lines)),
    )


def in_short(panel: Panel) -> Table | None:
    """For a terminal: what a job costs, when it is done, and what the queue does."""
    lines = []
    for row in panel.rows:
        figures = figures_of(row.entry.good)
        if figures is not None:
            done = units.microseconds(_percentile_us(figures.took, 0.5))
            lines.append((row.label, units.microseconds(figures.cpu_us), done, figures.queue))
    headers = ("server", "CPU/job", "until done p50", "queue")
    return Table(headers=headers, rows=tuple(lines)) if lines else None


HEADERS = (
    *("server", "load", "handed in", "done", "queue", "answer p50", "until done p50", "until done p99"),
    *("server CPU per job", "worker CPU per job", "services CPU per job"),
)


def _lines(panel: Panel, entries: Sequence[Entry], load: str) -> list[tuple[str, ...]]:
    order = {(row.entry.server, row.entry.app): place for place, row in enumerate(panel.rows)}
    lines = []
    for entry in sorted(entries, key=lambda one: order.get((one.server, one.app), len(order))):
        figures = figures_of(entry.good)
        if figures is None:
            continue
        answer = entry.figures.get("p50_us")
        lines.append((
            entry.label,
            load,
            units.rate(figures.handed_per_s),
            units.rate(figures.done_per_s),
            figures.queue,
            units.microseconds(answer.value if answer else None),
            *(units.microseconds(_percentile_us(figures.took, share)) for share in (0.5, 0.99)),
            *map(units.microseconds, (figures.server_cpu_us, figures.worker_cpu_us, figures.service_cpu_us)),
        ))  # fmt: skip
    return lines


def _percentile_us(took: Histogram | None, share: float) -> float | None:
    """A percentile, where enough jobs stand behind it."""
    return took.percentile_us(share) if took and stats.percentile_allowed(share, took.count) else None
