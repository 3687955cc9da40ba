"""From what was seen of a cell to the trial that is stored: a result, or a failure with its reason (pure).

The rule of what counts as a failure stands here, once; how heavily each kind of error weighs stands in
`sgibench.model.kinds`. A wrong answer is never forgiven, wherever in the trial it came; what was lost is forgiven up to
one in a hundred and stays visible as errors (the audit raises a doubt for each).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sgibench.engine.orders import Measured
from sgibench.histogram import Histogram
from sgibench.machine import Disturbance
from sgibench.model import (
    Cell,
    Effective,
    Expected,
    Failure,
    FrontShare,
    Generator,
    Jobs,
    Latency,
    Memory,
    MemoryLook,
    Scenario,
    ServerEntry,
    ServiceUse,
    Terms,
    Trial,
    as_failed,
)
from sgibench.model.kinds import FORGIVEN_SHARE, Weight, of_weight, told
from sgibench.serve.effective import differences
from sgibench.stats import percentile_allowed
from sgibench.stats.rates import rate_kept
from sgibench.units import seconds
from sgibench.verify import SOON

OUTRIGHT: tuple[tuple[Weight, str], ...] = (("void", "client"), ("wrong", "wrong-answer"))
"""Weights of which one error is enough, with the reason that the failure gets; the first that is found decides."""

TOO_LITTLE = "too-little-asked"
"""The reason of a trial that is skipped and no failure: its window owned no request."""
NOT_SPOKEN = "not-spoken"
"""The same, where the server does not speak what the scenario needs."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A cell after its load, before its server was stopped."""

    cell: Cell
    entry: ServerEntry
    order: int
    started_at: str
    floor_s: float
    terms: Terms = field(default_factory=Terms)
    """The scenario's."""
    argv: tuple[str, ...] | None = None
    startup_s: float | None = None
    idle_cpu: float | None = None
    measured: Measured | None = None
    disturbance: Disturbance | None = None
    memory: Memory | None = None
    expected: Expected = field(default_factory=Expected)
    effective: Effective | None = None
    front: FrontShare | None = None
    outside: tuple[str, ...] = ()
    memory_looks: tuple[MemoryLook, ...] = ()
    jobs: Jobs | None = None
    services: tuple[ServiceUse, ...] = ()
    pool: int | None = None
    failure: Failure | None = None


def judge(measured: Measured, log_tail: str, *, eventful: bool = False) -> Failure | None:
    """Say why what was seen is no result, or None when it is one.

    `eventful`: a server was taken away on purpose. Then the window's lost requests are the result, those included that
    a front answers with a status of its own.
    """
    beside = Counter(measured.held.errors if measured.held else {})
    everywhere = Counter(measured.errors) + Counter(measured.errors_uncounted) + beside
    in_window = Counter(measured.errors)
    if everywhere["unspoken"]:
        return Failure(reason=NOT_SPOKEN, detail=measured.error_samples.get("unspoken", ""))
    if eventful:
        everywhere["status"] -= in_window.pop("status", 0)
    for weight, reason in OUTRIGHT:
        if found := of_weight(everywhere, weight):
            return Failure(reason=reason, detail=_tell(found, in_window, measured), log_tail=log_tail)
    if measured.gave_up_reason is not None:
        return Failure(reason=measured.gave_up_reason, detail=measured.gave_up_detail, log_tail=log_tail)
    if measured.requests == 0 and not everywhere and _nothing_asked(measured):
        detail = f"no request began or was due in {seconds(measured.window_s)}: ask for more, or for longer"
        return Failure(reason=TOO_LITTLE, detail=detail)
    if measured.requests == 0:
        detail = _tell(everywhere, in_window, measured) if everywhere else "not one answer came in the window"
        return Failure(reason="no-right-answer", detail=detail, log_tail=log_tail)
    lost = sum(measured.errors.values())
    if not eventful and lost > FORGIVEN_SHARE * (measured.requests + lost):
        return Failure(reason="errors", detail=_tell(in_window, in_window, measured), log_tail=log_tail)
    if measured.held and beside.total() > FORGIVEN_SHARE * max(measured.held.answers, measured.held.wanted):
        detail = f"on those held open: {told(beside)}{_first(beside, measured)}"
        return Failure(reason="not-held", detail=detail, log_tail=log_tail)
    return None


def too_soon(scenario: Scenario, measured: Measured, log_tail: str = "") -> Failure | None:
    """Say that answers came before the least time that they take: what was asked for was not done; None otherwise."""
    for exchange in scenario.exchanges:
        alone = measured.histogram if len(scenario.exchanges) == 1 else None
        data = measured.by_request.get(exchange.kind, alone)
        found = Histogram.from_data(data) if data else None
        early = found.count - found.above(exchange.least_s * SOON * 1e6) if found and exchange.least_s else 0
        if found and early:
            detail = (
                f"{early:,} of {found.count:,} answers to {exchange.kind} came before their time: "
                f"expected {seconds(exchange.least_s)} at least, the soonest took {seconds((found.min_us or 0) / 1e6)}"
            )
            return Failure(reason="wrong-answer", detail=detail, log_tail=log_tail)
    return None


def _nothing_asked(measured: Measured) -> bool:
    """Whether the window owned no request: that is no failure of the server's."""
    window = measured.window
    return window is not None and not (window.sent or window.due)


def _tell(errors: Mapping[str, int], in_window: Mapping[str, int], measured: Measured) -> str:
    """Say what went wrong: what the window had of it beside its right answers, else that it was outside the window."""
    inside = {kind: in_window[kind] for kind in errors if in_window.get(kind)}
    if inside:
        beside = f" beside {measured.requests:,} right answers" if measured.requests else ""
        return f"{told(inside)}{beside}{_first(inside, measured)}"
    return f"outside the window: {told(errors)}{_first(errors, measured)}"


def _first(errors: Mapping[str, int], measured: Measured) -> str:
    samples = [measured.error_samples[kind] for kind in errors if kind in measured.error_samples]
    return f"; first: {samples[0]}" if samples else ""


def to_trial(draft: Draft, block: int, *, retries: int = 0, step: int | None = None) -> Trial:
    """Make the line that is stored."""
    cell, measured = draft.cell, draft.measured
    failed = draft.failure is not None or measured is None
    trial = Trial(
        cell=cell.id,
        server=cell.server,
        app=cell.app,
        scenario=cell.scenario,
        load=cell.load,
        workers=cell.settings.workers,
        threads=cell.settings.threads,
        block=block,
        order=draft.order,
        started_at=draft.started_at,
        unit=draft.terms.unit,
        family=draft.terms.family,
        status="skipped"
        if draft.failure and draft.failure.reason in {TOO_LITTLE, NOT_SPOKEN}
        else "failed"
        if failed
        else "ok",
        control=cell.control,
        part=cell.part,
        again=cell.again,
        interface=draft.entry.variant.interface,
        concurrency=draft.entry.variant.concurrency,
        floor_s=draft.floor_s,
        failure=draft.failure,
        argv=draft.argv,
        startup_s=draft.startup_s,
        idle_cpu=draft.idle_cpu,
        memory=draft.memory,
        configuration=cell.settings.configuration,
        effective=draft.effective,
        front=draft.front,
        outside=draft.outside,
        memory_looks=draft.memory_looks,
        inside=None if measured is None else measured.inside,
        asking=None if measured is None else measured.asking,
        cache=None if measured is None else measured.cache,
        jobs=draft.jobs,
        services=draft.services,
        pool=draft.pool,
        not_as_declared=tuple(differences(draft.effective, draft.expected)) if draft.effective else (),
        errors=measured.errors if measured is not None else {},
        retries=retries,
        step=step,
    )
    if measured is None or failed:
        return as_failed(trial, draft.failure)
    return as_kept(_with_numbers(trial, measured, draft.disturbance))


def _with_numbers(trial: Trial, measured: Measured, disturbance: Disturbance | None) -> Trial:
    return replace(
        trial,
        warmup_s=measured.warmup_s,
        warmup_rps=measured.warmup_rps,
        window_s=measured.window_s,
        requests=measured.requests,
        rps=measured.requests / measured.window_s,
        cpu_s=measured.cpu_s,
        cpu_us_per_request=None if measured.cpu_s is None else measured.cpu_s / measured.requests * 1e6,
        front=None if trial.front is None else replace(trial.front, cpu_s=measured.front_cpu_s),
        latency_us=latency_of(measured, open_loop=trial.load.kind == "open"),
        histogram_us=measured.histogram,
        intended_histogram_us=measured.intended_histogram,
        first_chunk_histogram_us=measured.first_chunk_histogram,
        gap_histogram_us=measured.gap_histogram,
        window=measured.window,
        behaviour=measured.behaviour,
        held=measured.held,
        handshakes=measured.handshakes,
        overflow=measured.overflow,
        peak=measured.peak,
        slices=measured.slices,
        singly=measured.singly,
        series=measured.series,
        generator=Generator(
            cpu_s=measured.generator_cpu_s,
            utilisation=measured.generator_utilisation,
            lag_us_p99=measured.lag_us_p99,
            connections_established=measured.connections_established,
            jain=measured.jain,
            slowest_share=measured.slowest_share,
            connect_us_p50=measured.connect_us_p50,
            queue_max=measured.queue_max,
            reopened=measured.reopened,
            workers=measured.generator_workers if len(measured.generator_workers) > 1 else (),
        ),
        steal=disturbance.steal if disturbance else None,
        throttled_s=disturbance.throttled_s if disturbance else None,
        pressure=disturbance.pressure if disturbance else None,
        foreign_cpu=disturbance.foreign_cpu if disturbance else None,
        requests_by_pid=measured.requests_by_pid,
        by_request=measured.by_request,
        answer_bytes=measured.answer_bytes,
    )


def as_kept(trial: Trial) -> Trial:
    """Take from an open loop that did not keep its rate the figures that it can't have; the histograms stay.

    Its requests came back while the queue was drained: they are no rate, and the CPU time of the window is not theirs.
    Where none came before that there is no rate at all, and the trial failed.
    """
    if rate_kept(trial) or trial.window_s is None:
        return trial
    in_time = trial.window.in_time if trial.window else None
    if in_time == 0:
        detail = f"none of {trial.requests} answers came within the window of {seconds(trial.window_s)}"
        return as_failed(trial, Failure(reason="no-right-answer", detail=f"{detail}: all of them were late"))
    rps = trial.rps if in_time is None else in_time / trial.window_s
    return replace(trial, rps=rps, cpu_us_per_request=None, latency_us=None)


def latency_of(measured: Measured, *, open_loop: bool) -> Latency | None:
    """Percentiles in microseconds, from the due time in open loops; None where too few samples stand behind one."""
    data = measured.intended_histogram if open_loop else measured.histogram
    if data is None:
        return None
    bound_us = measured.window.censored_from_us if measured.window is not None else None
    histogram = Histogram.from_data(data).bounded(bound_us)
    samples = histogram.count
    # The load process gives exact mean and maximum of the service time; from the due time the histogram has them.
    mean, longest = (histogram.mean_us, histogram.max_us) if open_loop else (measured.mean_us, measured.max_us)
    if bound_us is not None:
        mean = longest = None  # of requests that were given up only a bound is known

    def percentile_us(share: float) -> float | None:
        found = histogram.percentile_us(share) if percentile_allowed(share, samples) else None
        # A bucket's middle may lie above the one largest value in it.
        return found if found is None or longest is None else min(found, longest)

    return Latency(
        mean=mean,
        p50=percentile_us(0.5),
        p90=percentile_us(0.9),
        p99=percentile_us(0.99),
        p999=percentile_us(0.999),
        max=longest,
    )
