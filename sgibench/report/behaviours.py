"""How deployments took what happened to them: requests lost and time until recovery, and what reached the app.

One block is drawn, the first that has a behaviour; the table has the range over all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sgibench import units
from sgibench.model import Trial
from sgibench.model.behaviour import Behaviour
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.charts.timelines import Moment, Timeline, draw_timelines
from sgibench.report.panels import Panel, Row

NEVER = "not before the next event"


def incidents_chart(panel: Panel) -> Chart | None:
    """Draw right answers over the window, with what was done and where requests were lost."""
    found = [(row, _behaviours(row)) for row in panel.rows]
    found = [(row, some) for row, some in found if any(one.happened for one in some)]
    if not found:
        return None
    lines = [_incident_line(row, some[0]) for row, some in found]
    title = "One server is killed, and comes back"
    return Chart(
        title=title,
        hint="Right answers in each tenth of a second of one block. Lines: what was done; red marks: requests lost.",
        drawing=draw_timelines(
            lines,
            name="the window, from its beginning to its end",
            prefix=f"{panel.key}i",
            label=alternative(title, [(line.label, line.tip) for line in lines]),
        ),
        table=Table(
            headers=("server", "requests lost", "recovered after", "back after"),
            rows=tuple(
                (
                    row.label,
                    _range(some, lambda one: float(one.lost), units.count),
                    _range(some, lambda one: one.recovered_after_s, units.seconds, NEVER),
                    _range(some, lambda one: one.back_after_s, units.seconds),
                )
                for row, some in found
            ),
        ),
    )


def _incident_line(row: Row, behaviour: Behaviour) -> Timeline:
    whole_s = behaviour.samples[-1].at_s if behaviour.samples else 1.0
    after = behaviour.recovered_after_s
    lost = f"{behaviour.lost} lost"
    said = "; ".join(f"{one.what} at {units.seconds(one.at_s)}" for one in behaviour.happened)
    recovered = f", recovered {NEVER}" if after is None else f", recovered after {units.seconds(after)}"
    if behaviour.slow is not None:
        said, recovered = f"beside {behaviour.slow} slow clients", ""
    return Timeline(
        row=row.key,
        label=row.label,
        look=row.look,
        bins=_rates(behaviour),
        marks=tuple(Moment(at=min(one.at_s / whole_s, 1.0), tip=one.what) for one in behaviour.happened),
        losses=tuple(
            Moment(at=one.at_s / whole_s, tip=f"{one.failed} lost by {units.seconds(one.at_s)}")
            for one in behaviour.samples
            if one.failed
        ),
        says=lost,
        tip=f"{said}; {lost}{recovered}",
    )


def _rates(behaviour: Behaviour) -> tuple[tuple[float, float], ...]:
    """Right answers per second, by the ends of the samples as shares of the whole."""
    whole_s = behaviour.samples[-1].at_s if behaviour.samples else 1.0
    found, before = [], 0.0
    for one in behaviour.samples:
        found.append((one.at_s / whole_s, one.answered / max(one.at_s - before, 1e-6)))
        before = one.at_s
    return tuple(found)


def reached_chart(panel: Panel) -> Chart | None:
    """Draw which of the requests reached the app; nothing where nobody noted them, or where something was done."""
    found = [(row, _behaviours(row)) for row in panel.rows]
    found = [
        (row, some) for row, some in found if some and not any(one.happened or one.reached is None for one in some)
    ]
    if not found:
        return None
    lines = [_reached_line(row, some[0]) for row, some in found]
    title = "Requests that reached the app"
    return Chart(
        title=title,
        hint="As the app noted them, in each tenth of a second of one block; each from zero to its own highest.",
        drawing=draw_timelines(
            lines,
            name="the window, from its beginning to its end",
            prefix=f"{panel.key}a",
            label=alternative(title, [(line.label, line.tip) for line in lines]),
        ),
        table=Table(
            headers=("server", "answered", "reached the app", "of 100", "most in one burst"),
            rows=tuple(_reached_row(row, some) for row, some in found),
        ),
    )


def slow_chart(panel: Panel) -> Chart | None:
    """Draw the fast clients' right answers beside slow ones."""
    found = [(row, some) for row in panel.rows if (some := [one for one in _behaviours(row) if one.slow is not None])]
    if not found:
        return None
    lines = [_incident_line(row, some[0]) for row, some in found]
    title = "Fast clients beside slow ones"
    return Chart(
        title=title,
        hint="Right answers in each tenth of a second of one block, from zero; red marks: requests lost.",
        drawing=draw_timelines(
            lines,
            name="the window, from its beginning to its end",
            prefix=f"{panel.key}s",
            label=alternative(title, [(line.label, line.tip) for line in lines]),
        ),
        table=Table(
            headers=("server", "slow clients at the end", "requests lost", "longest wait"),
            rows=tuple(
                (
                    row.label,
                    _range(some, lambda one: None if one.slow is None else float(one.slow), units.count),
                    _range(some, lambda one: float(one.lost), units.count),
                    _over(
                        row.entry.good,
                        lambda trial: trial.latency_us.max if trial.latency_us else None,
                        units.microseconds,
                    ),
                )
                for row, some in found
            ),
        ),
    )


def _reached_line(row: Row, behaviour: Behaviour) -> Timeline:
    count = len(behaviour.reached_at) or 1
    answered = _answered(row)
    share = units.percent(behaviour.reached / answered) if answered and behaviour.reached is not None else "–"
    tip = f"{behaviour.reached} reached the app of {answered or 'unknown'} answered"
    if _in_bursts(behaviour):
        tip += f", at most {max(behaviour.bursts)} at once"
    return Timeline(
        row=row.key,
        label=row.label,
        look=row.look,
        bins=tuple(((place + 1) / count, float(value)) for place, value in enumerate(behaviour.reached_at)),
        marks=(),
        losses=(),
        says=share,
        tip=tip,
    )


def _reached_row(row: Row, some: list[Behaviour]) -> tuple[str, ...]:
    trials = [trial for trial in row.entry.good if trial.behaviour is not None]
    return (
        row.label,
        _over(trials, lambda trial: None if trial.requests is None else float(trial.requests), units.count),
        _range(some, lambda one: None if one.reached is None else float(one.reached), units.count),
        _over(trials, _per_hundred, lambda value: units.significant(value or 0.0, 2)),
        _range(some, lambda one: float(max(one.bursts)) if _in_bursts(one) else None, units.count, "no bursts"),
    )


def _per_hundred(trial: Trial) -> float | None:
    if trial.behaviour is None or trial.behaviour.reached is None or not trial.requests:
        return None
    return 100 * trial.behaviour.reached / trial.requests


def _in_bursts(behaviour: Behaviour) -> bool:
    """Whether requests reach the app now and then, and not all the time."""
    return len(behaviour.bursts) > 1


def _answered(row: Row) -> int | None:
    return next((trial.requests for trial in row.entry.good if trial.behaviour is not None), None)


def _behaviours(row: Row) -> list[Behaviour]:
    return [trial.behaviour for trial in row.entry.good if trial.behaviour is not None]


def _over(trials: Iterable[Trial], figure: Callable[[Trial], float | None], form: Callable[[float | None], str]) -> str:
    return _spread([value for trial in trials if (value := figure(trial)) is not None], form)


def _range(
    some: Iterable[Behaviour],
    figure: Callable[[Behaviour], float | None],
    form: Callable[[float | None], str],
    absent: str = "–",
) -> str:
    """Write the lowest and the highest of all blocks."""
    values = [figure(one) for one in some]
    known = [value for value in values if value is not None]
    if not known:
        return absent
    return _spread(known, form) + (f", or {absent}" if len(known) < len(values) and absent != "–" else "")


def _spread(values: list[float], form: Callable[[float | None], str]) -> str:
    if not values:
        return "–"
    low, high = form(min(values)), form(max(values))
    return low if low == high else f"{low} to {high}"
