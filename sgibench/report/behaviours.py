"""How deployments took what happened to them: requests lost and time until recovery, and what reached the app.

One block is drawn, the first that has a behaviour; the table has the range over all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from sgibench import units
from sgibench.model import Trial
from sgibench.model.behaviour import Behaviour
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.charts.timelines import Moment, Timeline, draw_timelines
from sgibench.report.panels import Panel, Row

NEVER = "not before the next event"
UNKNOWN = "not known"
"""Some were lost that no piece of the window holds."""
NOT_BACK = "not in the window"
FEW_BURSTS = 3
"""Of fewer bursts nobody can say how large they are."""


Found = list[tuple[Row, list[Behaviour]]]
"""Rows with the behaviours of their blocks."""


def incidents_chart(panel: Panel) -> Chart | None:
    """Draw right answers over the window, with what was done and where requests were lost."""
    found = _incidents(panel)
    if not found:
        return None
    lines = [_incident_line(row, some[0]) for row, some in found]
    title = "One server is killed, and comes back"
    return Chart(
        title=title,
        hint="Right answers in each tenth of a second of one block. Lines: what was done; red marks: requests lost.",
        drawing=_over_the_window(title, lines, f"{panel.key}i"),
        table=_incidents_table(found),
    )


def _over_the_window(title: str, lines: Sequence[Timeline], prefix: str) -> Markup:
    return draw_timelines(
        lines,
        name="the window, from its beginning to its end",
        prefix=prefix,
        label=alternative(title, [(line.label, line.tip) for line in lines]),
    )


def _incidents_table(found: Found) -> Table:
    return Table(
        headers=("server", "requests lost", "of", "recovered after", "back after"),
        rows=tuple((row.label, *_lost(row, some), _recovered(some), _back(some)) for row, some in found),
    )


def _lost(row: Row, some: Sequence[Behaviour]) -> tuple[str, str]:
    """How many requests were lost, and of how many that were asked."""
    return (
        _range(some, lambda one: float(one.lost), units.count),
        _over(_watched(row), lambda trial: float(_asked(trial)), units.count),
    )


def _recovered(some: Sequence[Behaviour]) -> str:
    unknown = any(one.recovered_after_s is None and _untimed(one) for one in some)
    return _range(some, lambda one: one.recovered_after_s, units.seconds, UNKNOWN if unknown else NEVER)


def _untimed(behaviour: Behaviour) -> bool:
    return behaviour.lost > sum(one.failed for one in behaviour.samples)


def _back(some: Sequence[Behaviour]) -> str:
    told = any(one.reached is not None for one in some)
    return _range(some, lambda one: one.back_after_s, units.seconds, NOT_BACK if told else "–")


def _incident_line(row: Row, behaviour: Behaviour) -> Timeline:
    whole_s = behaviour.samples[-1].at_s if behaviour.samples else 1.0
    lost = f"{behaviour.lost} lost"
    said = "; ".join(f"{one.what} at {units.seconds(one.at_s)}" for one in behaviour.happened)
    after = _recovered([behaviour])
    recovered = f", recovered {'after ' if behaviour.recovered_after_s is not None else ''}{after}"
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
    found = _reached(panel)
    if not found:
        return None
    lines = [_reached_line(row, some[0]) for row, some in found]
    title = "Requests that reached the app"
    return Chart(
        title=title,
        hint="As the app noted them, in each tenth of a second of one block; each from zero to its own highest.",
        drawing=_over_the_window(title, lines, f"{panel.key}a"),
        table=_reached_table(found),
    )


def _reached_table(found: Found) -> Table:
    return Table(
        headers=("server", "answered", "reached the app", "bursts", "most in one"),
        rows=tuple(_reached_row(row, some) for row, some in found),
    )


def slow_chart(panel: Panel) -> Chart | None:
    """Draw the fast clients' right answers beside slow ones."""
    found = _slowed(panel)
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
        table=_slow_table(found),
    )


def _slow_table(found: Found) -> Table:
    return Table(
        headers=("server", "slow clients at the end", "requests lost", "of", "longest wait"),
        rows=tuple((row.label, _slow_clients(some), *_lost(row, some), _longest(row)) for row, some in found),
    )


def _slow_clients(some: Sequence[Behaviour]) -> str:
    return _range(some, lambda one: None if one.slow is None else float(one.slow), units.count)


def _longest(row: Row) -> str:
    return _over(row.entry.good, lambda trial: trial.latency_us.max if trial.latency_us else None, units.microseconds)


def _reached_line(row: Row, behaviour: Behaviour) -> Timeline:
    count = len(behaviour.reached_at) or 1
    answered = _answered(row)
    tip = f"{behaviour.reached} reached the app of {answered or 'unknown'} answered"
    first = _watched(row)[0]
    if _in_bursts(first):
        tip += f", {_burst_words(behaviour.bursts)}"
    return Timeline(
        row=row.key,
        label=row.label,
        look=row.look,
        bins=tuple(((place + 1) / count, float(value)) for place, value in enumerate(behaviour.reached_at)),
        marks=(),
        losses=(),
        says=f"{units.count(behaviour.reached)} of {units.count(answered)}",
        tip=tip,
    )


def _reached_row(row: Row, some: list[Behaviour]) -> tuple[str, ...]:
    return (
        row.label,
        _over(_watched(row), lambda trial: None if trial.requests is None else float(trial.requests), units.count),
        _range(some, lambda one: None if one.reached is None else float(one.reached), units.count),
        _over(_watched(row), lambda trial: _of_bursts(trial, len), units.count) or "–",
        _over(_watched(row), lambda trial: _of_bursts(trial, max), units.count) or "–",
    )


def _of_bursts(trial: Trial, figure: Callable[[Sequence[int]], int]) -> float | None:
    """Give a figure of a trial's bursts; None where what reaches the app comes in none."""
    return float(figure(trial.behaviour.bursts)) if trial.behaviour and _in_bursts(trial) else None


def _in_bursts(trial: Trial) -> bool:
    """Whether requests reach the app now and then, and not all the time: most that are answered don't."""
    behaviour = trial.behaviour
    return behaviour is not None and bool(behaviour.bursts) and 2 * (behaviour.reached or 0) < (trial.requests or 0)


def _answered(row: Row) -> int | None:
    return next((trial.requests for trial in _watched(row)), None)


def _watched(row: Row) -> list[Trial]:
    return [trial for trial in row.entry.good if trial.behaviour is not None]


def _behaviours(row: Row) -> list[Behaviour]:
    return [trial.behaviour for trial in _watched(row) if trial.behaviour is not None]


def _asked(trial: Trial) -> int:
    return (trial.requests or 0) + (trial.behaviour.lost if trial.behaviour else 0)


# --- who has what ----------------------------------------------------------------------------------------------------


def _incidents(panel: Panel) -> Found:
    """Rows to which something was done."""
    found = [(row, _behaviours(row)) for row in panel.rows]
    return [(row, some) for row, some in found if any(one.happened for one in some)]


def _reached(panel: Panel) -> Found:
    """Rows whose app noted what reached it, and to which nothing was done."""
    found = [(row, _behaviours(row)) for row in panel.rows]
    return [(row, some) for row, some in found if some and not any(one.happened or one.reached is None for one in some)]


def _slowed(panel: Panel) -> Found:
    """Rows that had slow clients besides."""
    return [(row, some) for row in panel.rows if (some := [one for one in _behaviours(row) if one.slow is not None])]


def in_short(panel: Panel) -> tuple[tuple[str, Table], ...]:
    """Give the tables of what was watched, each with its title, for those who see no charts."""
    kinds = (
        ("What was lost, and until when", _incidents, _incidents_table),
        ("What reached the app", _reached, _reached_table),
        ("Beside slow clients", _slowed, _slow_table),
    )
    return tuple((title, table(found)) for title, of, table in kinds if (found := of(panel)))


# --- sentences -------------------------------------------------------------------------------------------------------


def told_of(panel: Panel, rows: Sequence[Row]) -> str:
    """Answer what a scenario asks about some of its rows; nothing where it watches nothing."""
    keys = {row.key for row in rows}
    kinds = ((_incidents, _told_incident), (_reached, _told_reached), (_slowed, _told_slow))
    for of, tell in kinds:
        if found := [(row, some) for row, some in of(panel) if row.key in keys]:
            found.sort(key=lambda one: _weight(*one))
            said = [tell(row, some) for row, some in found[:TOLD]]
            rest = len(found) - len(said)
            return " ".join([*said, *([f"{units.many(rest, 'more row')}: see the table."] if rest else [])])
    return ""


TOLD = 6
"""Rows that are told of in sentences; the tables have all."""


def _weight(row: Row, some: Sequence[Behaviour]) -> float:
    """Order rows by the share that was lost, then by the share that reached the app."""
    asked = sum(_asked(trial) for trial in _watched(row)) or 1
    return sum(one.lost for one in some) / asked + sum(one.reached or 0 for one in some) / asked / 1e3


def _told_incident(row: Row, some: Sequence[Behaviour]) -> str:
    lost, asked = _lost(row, some)
    text = f"{row.label} lost {lost} of {asked} requests when a server behind it was killed"
    after, back = _recovered(some), _back(some)
    if after in {NEVER, UNKNOWN}:
        text += f"; until when is {after}" if after == UNKNOWN else f" and did not recover {after.removeprefix('not ')}"
    elif any(one.lost or one.recovered_after_s for one in some):
        text += f" and recovered after {after}"
    if back == NOT_BACK:
        text += f"; the one that was started anew was not reached {back.removeprefix('not ')}"
    elif back != "–":
        text += f"; the one that was started anew was reached after {back}"
    return f"{text}."


def _told_reached(row: Row, some: Sequence[Behaviour]) -> str:
    reached = _range(some, lambda one: None if one.reached is None else float(one.reached), units.count)
    answered = _over(_watched(row), lambda trial: float(trial.requests or 0), units.count)
    text = f"With {row.label} {reached} of {answered} answered requests reached the app"
    bursts = [trial.behaviour.bursts for trial in _watched(row) if trial.behaviour and _in_bursts(trial)]
    if len(bursts) == 1:
        text += f", {_burst_words(bursts[0])}"
    elif bursts:
        text += f", at most {max(max(each) for each in bursts)} in one burst"
    if bursts and min(map(len, bursts)) < FEW_BURSTS:
        text += " (too few bursts to judge by: ask for a longer window)"
    return f"{text}."


def _burst_words(bursts: Sequence[int]) -> str:
    """Write `in 1 burst of 8`, `in 3 bursts of 8 to 64`."""
    low, high = min(bursts), max(bursts)
    return f"in {units.many(len(bursts), 'burst')} of {low if low == high else f'{low} to {high}'}"


def _told_slow(row: Row, some: Sequence[Behaviour]) -> str:
    lost, asked = _lost(row, some)
    return (
        f"Beside {_slow_clients(some)} slow clients {row.label} lost {lost} of {asked} requests of the fast ones, and "
        f"the longest of these took {_longest(row)}."
    )


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
