"""The audit of our own runs: stored trials as rows of figures, then the same rules as for everybody else.

Doubts are computed here from what is stored, each time anew. To the rules about one row come those that need several
blocks: `Noisy` and `TooFew` are about a cell, `NoDiscrimination` about a group; both stand under each of their trials.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from sgibench.audit.figures import MACHINE_KINDS, Audited, Figures, Late, Look, Mode, doubt
from sgibench.audit.rules import IDLE_SHARE, TIMER_BANDS_MS, doubts_of
from sgibench.audit.rules.counts import more_inside_than_asked
from sgibench.audit.rules.generator import generator_lag
from sgibench.audit.rules.machine import kept_from_its_cpus
from sgibench.audit.spread import spread
from sgibench.audit.tables import group_doubts
from sgibench.audit.twice import told_twice
from sgibench.audit.whole import absent, failed, missing, noise_doubts, thinned, told_unlike
from sgibench.histogram import Histogram
from sgibench.model import AppCost, Doubt, HistogramData, Run, Trial
from sgibench.model.failed import is_lost
from sgibench.model.kinds import told
from sgibench.model.own import LEAST_WAIT_US
from sgibench.stats import at_one_pace, percentile_allowed
from sgibench.stats.rates import offered_by, rate_kept

LEAST_BLOCKS = 3
"""With fewer there is no spread worth the name, not even for the quick profile."""
MODE_SHARE = 0.01
"""A bump must hold one answer in a hundred ..."""
MODE_DENSITY = 5.0
"""... and be this much denser than what lies just below and above it."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a trial does not know by itself."""

    server_cpus: int | None = None
    """CPUs that servers may use."""
    ceiling_rps: Mapping[str, float] | None = None
    """Scenario -> the calibrated requests per second of the whole generator: of one of its CPUs, times its workers."""
    uncalibrated: Mapping[str, str] = field(default_factory=dict)
    """Scenario -> why it has no such ceiling, although it should."""
    floors_s: Mapping[str, float] | None = None
    """Scenario -> declared floor; for runs whose trials do not carry it."""
    waits_ms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """App of the user's -> what its requests take without a server, of those that wait for most of it."""


def surroundings_of(run: Run, floors_s: Mapping[str, float] | None = None) -> Surroundings:
    """Take from a run what its trials need; `floors_s` from the catalogue, when it is at hand."""
    return Surroundings(
        server_cpus=len(run.info.machine.server_cpus) or None,
        ceiling_rps=run.info.ceilings_rps,
        uncalibrated=run.info.uncalibrated,
        floors_s=floors_s,
        waits_ms={} if run.info.own is None else _waits(run.info.own.costs),
    )


def _waits(costs: Iterable[AppCost]) -> dict[str, tuple[float, ...]]:
    """App -> how long each of its requests took that does little but wait, in milliseconds."""
    found: dict[str, list[float]] = defaultdict(list)
    for cost in costs:
        if cost.wait_us > max(LEAST_WAIT_US, cost.cpu_us):
            found[cost.app].append(cost.wall_us / 1e3)
    return {app: tuple(waits) for app, waits in found.items()}


def trial_id(trial: Trial) -> str:
    """Name one trial of a run: its cell and block."""
    return f"{trial.cell}#{trial.block}"


def group_id(trial: Trial) -> str:
    """Name the cells that a trial is compared with: same scenario, load and settings."""
    return f"{trial.scenario}/{trial.load.id}/{trial.settings.id}"


def at_once(trial: Trial) -> float | None:
    """How many requests the server can serve at once; None when its concurrency model sets no limit.

    Thread servers: workers × threads; process servers: workers; greenlets and event loops: no limit.
    """
    if trial.concurrency == "processes":
        return float(trial.workers)
    return float(trial.workers * trial.threads) if trial.concurrency == "threads" else None


def figures_of(trial: Trial, around: Surroundings) -> Figures:
    """Turn a trial into a row of figures; a failed trial has none but its errors."""
    generator, latency, load = trial.generator, trial.latency_us, trial.load
    established = generator.connections_established if generator else None
    floor_s = trial.floor_s if trial.floor_s is not None else (around.floors_s or {}).get(trial.scenario)
    # The ceiling is that of HTTP/1.1 in clear text; of other protocols only the generator's own CPU is known.
    ceiling = (around.ceiling_rps or {}).get(trial.scenario) if load.protocol == "http" else None
    share = _cpu_share(trial, around)
    offered, window = offered_by(trial), trial.window
    return Figures(
        id=trial_id(trial),
        label=trial.server,
        group=group_id(trial),
        load=load.kind,
        # Listeners wait for the slowest of them, and between bursts nobody asks.
        thinks=(window is not None and window.thinks) or trial.unit == "delivery" or trial.overflow is not None,
        idle=window.thinking if window else None,
        in_flight=window.in_flight if window else None,
        new_connections=load.connection == "close",
        # With a connection for each request, some are always being opened: how many stood at one moment says nothing.
        connections=float(load.places if established is None or load.connection == "close" else established),
        at_once=at_once(trial),
        inside=float(max(trial.inside)) if trial.inside else None,
        # A request that was given up, or is held beside the load, may be inside although nobody counts it.
        in_flight_most=None if trial.errors or trial.held or trial.behaviour else float(load.places),
        floor_ms=None if floor_s is None else floor_s * 1e3,
        waits_ms=around.waits_ms.get(trial.app, ()),
        duration_s=trial.window_s,
        due=offered.due,
        waiting_start=offered.waiting_start,
        waiting_end=offered.waiting_end,
        grown_most=offered.grown_most,
        least_early=offered.least_early,
        least_late=offered.least_late,
        pieces=offered.pieces,
        requests_ok=trial.requests,
        errors=sum(trial.errors.values()),
        error_text=told(trial.errors),
        # Where a server is killed in the window, what is lost after its edge is of that, too.
        outside_text="" if window is None or trial.behaviour else told(window.errors_outside),
        # What an open loop reached that was not kept up with is no rate that its drained answers would add up to.
        rps=trial.rps if rate_kept(trial) else None,
        mean_ms=_ms(latency.mean) if latency else None,
        connect_ms=_ms(generator.connect_us_p50) if generator and _opens_apart(trial) else None,
        bucketed=trial.histogram_us is not None,
        p50_ms=_ms(latency.p50) if latency else None,
        p90_ms=_ms(latency.p90) if latency else None,
        p99_ms=_ms(latency.p99) if latency else None,
        max_ms=_ms(latency.max) if latency else None,
        server_cpu_share=None if trial.overflow is not None else share,
        generator_utilisation=generator.utilisation if generator else None,
        ceiling_share=None if trial.rps is None or not ceiling else trial.rps / ceiling,
        no_ceiling="" if ceiling or load.protocol != "http" else around.uncalibrated.get(trial.scenario, ""),
        queued=bool(generator and generator.queue_max),
        lag_ms_p99=_ms(generator.lag_us_p99) if generator else None,
        late=late_of((trial,)),
        cpus_given=around.server_cpus,
        cpus_used=None if trial.cpu_s is None or not trial.window_s else trial.cpu_s / trial.window_s,
        jain=generator.jain if generator else None,
        slowest_share=generator.slowest_share if generator else None,
        idle_cpu=trial.idle_cpu,
        outside=trial.outside,
        memory=tuple(Look(at_s=look.at_s, held_bytes=look.resident_bytes) for look in trial.memory_looks),
        steal=trial.steal,
        throttled_s=trial.throttled_s,
        pressure=trial.pressure,
        foreign_cpu=trial.foreign_cpu,
        disturbed=() if window is None else tuple(window.disturbed.items()),
        modes=timer_modes(trial) if share is not None and share < IDLE_SHARE else (),
        twice=tuple(told_twice(trial)),
        window_parts=_parts(trial),
    )


def inside_refuted(trial: Trial) -> bool:
    """Whether the app counted more requests inside itself at once than the load ever asked of it."""
    return any(more_inside_than_asked(figures_of(trial, Surroundings())))


def _opens_apart(trial: Trial) -> bool:
    """Whether opening connections takes time that is in no request's latency."""
    return trial.load.connection == "close" and trial.unit not in {"handshake", "connection"}


def _ms(value_us: float | None) -> float | None:
    return None if value_us is None else value_us / 1e3


def _cpu_share(trial: Trial, around: Surroundings) -> float | None:
    """Share of the CPUs that the server could use: one for each worker, as far as there are so many."""
    if trial.cpu_s is None or not trial.window_s:
        return None
    could = min(around.server_cpus or trial.workers, max(trial.workers, 1))
    return trial.cpu_s / trial.window_s / could


def _parts(trial: Trial) -> tuple[float, ...]:
    """Rates of consecutive parts of the window: slices, else whole seconds. Only closed loops have a rate to drift."""
    if trial.load.kind == "open":
        return ()
    if trial.slices:
        return tuple(each.requests / each.window_s for each in trial.slices if each.window_s > 0)
    return tuple(float(each) for each in trial.series)


def timer_modes(trial: Trial) -> tuple[Mode, ...]:
    """Bumps of the service-time histogram inside the bands of the network's timers."""
    if trial.histogram_us is None:
        return ()
    middles_us, counts = Histogram.from_data(trial.histogram_us).buckets()
    total = float(counts.sum())
    if not total:
        return ()

    def share(low_ms: float, high_ms: float) -> float:
        return float(counts[(middles_us >= low_ms * 1e3) & (middles_us < high_ms * 1e3)].sum()) / total

    found = []
    for low, high in TIMER_BANDS_MS:
        width = high - low
        inside = share(low, high)
        around = max(share(low - width, low), share(high, high + width))
        if inside >= MODE_SHARE and inside >= MODE_DENSITY * around:
            found.append(Mode(centre_ms=(low + high) / 2, share=inside))
    return tuple(found)


SHOWN = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))
"""Quantiles that a report shows where enough answers stand behind them."""


def late_of(trials: Iterable[Trial]) -> tuple[Late, ...]:
    """Compare each shown quantile from the due time with the one from sending, all trials of a cell merged.

    Trials that did not keep their rate have no latency that anything could be a share of.
    """
    kept = [trial for trial in trials if trial.load.kind == "open" and trial.status == "ok" and rate_kept(trial)]
    known = [trial for trial in kept if trial.intended_histogram_us and trial.histogram_us]
    due = _merged(trial.intended_histogram_us for trial in known)
    service = _merged(trial.histogram_us for trial in known)
    own = _merged(trial.window.lateness_histogram_us for trial in known if trial.window)
    found = []
    for name, q in SHOWN:
        due_us, service_us, own_us = due.percentile_us(q), service.percentile_us(q), own.percentile_us(q)
        if due_us is not None and service_us is not None and percentile_allowed(q, due.count):
            own_ms = None if own_us is None else own_us / 1e3
            found.append(Late(name=name, due_ms=due_us / 1e3, service_ms=service_us / 1e3, own_ms=own_ms))
    return tuple(found)


def _merged(stored: Iterable[HistogramData | None]) -> Histogram:
    return Histogram.merged(Histogram.from_data(data) for data in stored if data is not None)


def trial_doubts(trial: Trial, around: Surroundings) -> tuple[Doubt, ...]:
    """Doubts about one trial by itself; the runner asks this at the end of a block. A failed trial raises none."""
    return doubts_of(figures_of(trial, around)) if trial.status == "ok" else ()


DISTURBED_LAG_US = 100.0
"""A schedule later than this was disturbed; below, it is as punctual as timers are, and would be so again."""


def worth_repeating(trial: Trial, around: Surroundings) -> bool:
    """Whether the generator or the machine, not the server, spoilt the trial (method, section 6).

    One whose load process was lost is, although it has no figures. Lateness that comes from the timers themselves
    stays a doubt, but measuring again would not lessen it.
    """
    kinds = {each.kind for each in trial_doubts(trial, around)} & MACHINE_KINDS
    lag_us = trial.generator.lag_us_p99 if trial.generator else None
    if lag_us is not None and lag_us < DISTURBED_LAG_US:
        kinds -= {"GeneratorLag"}
    return bool(kinds) or is_lost(trial)


def cell_doubts(trials: Sequence[Trial], around: Surroundings) -> tuple[Doubt, ...]:
    """Doubts about one cell over its blocks.

    GeneratorLag: about the quantiles of all blocks merged, which are the ones that are shown. TooFew: fewer than three
    blocks gave a result. Otherwise WrongCount, when no mean describes the blocks, and Noisy.
    """
    good = [trial for trial in trials if trial.status == "ok"]
    if not good:
        return ()
    late = doubts_of(cell_figures(good, around), (generator_lag,))
    if len(good) < LEAST_BLOCKS:
        return (*late, doubt("TooFew", f"{len(good)} of {len(trials)} blocks gave a result"))
    kept = [kept_from_its_cpus(figures_of(trial, around)) for trial in good]
    return (*late, *spread(good, kept))


def cell_figures(good: Sequence[Trial], around: Surroundings) -> Figures:
    """One row for a cell: the first block's, with what is known about the generator in all of them."""
    generators = [trial.generator for trial in good if trial.generator]
    lags_us = [one.lag_us_p99 for one in generators if one.lag_us_p99 is not None]
    return replace(
        figures_of(good[0], around),
        late=late_of(good),
        queued=any(one.queue_max for one in generators),
        lag_ms_p99=_ms(max(lags_us, default=None)),
    )


def table_rows(trials: Iterable[Trial], around: Surroundings) -> list[Figures]:
    """One row a cell, with its mean rate: what a group's rule looks at. The control's copy is no server of its own."""
    by_cell: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.status == "ok" and not trial.control:
            by_cell[trial.cell].append(trial)
    rows = []
    for members in by_cell.values():
        rates = [trial.rps for trial in members if trial.rps]
        rows.append(replace(figures_of(members[0], around), rps=fmean(rates) if rates else None))
    return rows


@dataclass(frozen=True, kw_only=True)
class RunAudit:
    """All doubts about a run."""

    trials: tuple[Audited, ...]
    """One a trial, in the order of the run, id `cell#block`; the doubts of its cell and its group included."""
    cells: Mapping[str, tuple[Doubt, ...]]
    """Cell id -> each kind once, saying in how many of its blocks it arose; the group's doubts included."""
    groups: Mapping[str, tuple[Doubt, ...]]
    """Group id -> doubts about the table."""
    run: tuple[Doubt, ...] = ()
    """About the run as a whole."""
    absent: tuple[Audited, ...] = ()
    """Cells that were planned and of which no trial is there, and searches without an outcome."""
    missing: tuple[Doubt, ...] = ()
    """The first of these in short, for a table in which nobody would miss them."""

    @property
    def rows(self) -> tuple[Audited, ...]:
        """Everything that was audited: the run where there is a doubt about it, its trials, and what is not there."""
        whole = (Audited(id="the whole run", doubts=self.run),) if self.run else ()
        return (*whole, *self.trials, *self.absent)

    @property
    def refuted(self) -> bool:
        """Whether arithmetic alone says that some trial can't be true."""
        return any(trial.refuted for trial in self.trials)


def audit_run(run: Run, floors_s: Mapping[str, float] | None = None) -> RunAudit:
    """Audit all trials of a run; `floors_s` are the scenarios' declared floors, when the catalogue is at hand."""
    around = surroundings_of(run, floors_s)
    unlike = told_unlike(run)
    own = [joined((*_by_itself(trial, around), *unlike.get((trial.block, trial.cell), ()))) for trial in run.trials]
    members: dict[str, list[Trial]] = defaultdict(list)
    cells: dict[str, list[int]] = defaultdict(list)
    for place, trial in enumerate(run.trials):
        members[group_id(trial)].append(trial)
        cells[trial.cell].append(place)
    about_group = {name: group_doubts(table_rows(trials, around)) for name, trials in members.items()}
    paced = at_one_pace(run.trials)
    of_cell = {cell: [paced[place] for place in places] for cell, places in cells.items()}
    about_cell = {cell: (*cell_doubts(trials, around), *thinned(trials, run)) for cell, trials in of_cell.items()}
    return RunAudit(
        trials=tuple(
            Audited(
                id=trial_id(trial),
                doubts=(*failed(trial), *doubts, *about_cell[trial.cell], *about_group[group_id(trial)]),
            )
            for trial, doubts in zip(run.trials, own, strict=True)
        ),
        cells={
            cell: (
                *summed_up([own[place] for place in places]),
                *about_cell[cell],
                *about_group[group_id(run.trials[places[0]])],
            )
            for cell, places in cells.items()
        },
        groups=about_group,
        run=noise_doubts(run),
        absent=absent(run),
        missing=missing(run),
    )


def _by_itself(trial: Trial, around: Surroundings) -> tuple[Doubt, ...]:
    """Doubts about a trial that don't depend on the blocks beside it; lateness is judged where it is shown."""
    return tuple(each for each in trial_doubts(trial, around) if each.kind != "GeneratorLag")


def joined(doubts: Iterable[Doubt]) -> tuple[Doubt, ...]:
    """Each kind once, with all that raised it."""
    details: dict[str, list[str]] = defaultdict(list)
    for each in doubts:
        details[each.kind].append(each.detail)
    return tuple(doubt(kind, "; ".join(said)) for kind, said in details.items())


def summed_up(blocks: Sequence[Sequence[Doubt]]) -> tuple[Doubt, ...]:
    """Each kind once, with its first detail and the number of blocks in which it arose."""
    details: dict[str, list[str]] = defaultdict(list)
    for doubts in blocks:
        for each in doubts:
            details[each.kind].append(each.detail)
    return tuple(
        doubt(kind, f"in {len(said)} of {len(blocks)} blocks: {said[0]}" if len(blocks) > 1 else said[0])
        for kind, said in details.items()
    )
