"""How deployments took what happened to them: requests lost and time until recovery, and what reached the app.

One block is drawn, the first that has a behaviour; the table has the range over all. A new kind of what is watched is
a row of `WATCHES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

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


def _reached_cells(row: Row, some: Sequence[Behaviour]) -> tuple[str, ...]:
    return (
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


# --- sentences -------------------------------------------------------------------------------------------------------


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


# --- the kinds of what is watched -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Watch:
    """One kind of what a scenario watches: whom it is about, and how it is drawn, put into a table and told."""

    picks: Callable[[list[Behaviour]], list[Behaviour]]
    """Of a row's behaviours those that are of this kind; none where the row isn't."""
    title: str
    hint: str
    line: Callable[[Row, Behaviour], Timeline]
    """Draws the first block."""
    prefix: str
    """Tells its drawing from those of the others in a page."""
    short: str
    """Title of its table where there is no chart."""
    headers: tuple[str, ...]
    cells: Callable[[Row, Sequence[Behaviour]], tuple[str, ...]]
    """A row of the table, over all blocks; the server's name stands before it."""
    told: Callable[[Row, Sequence[Behaviour]], str]

    def of(self, panel: Panel) -> Found:
        """Its rows, with the behaviours that are of this kind."""
        return [(row, some) for row in panel.rows if (some := self.picks(_behaviours(row)))]

    def table(self, found: Found) -> Table:
        """All blocks of these rows."""
        return Table(
            headers=("server", *self.headers), rows=tuple((row.label, *self.cells(row, some)) for row, some in found)
        )

    def chart(self, panel: Panel) -> Chart | None:
        """Draw its rows over the window; None where there are none."""
        found = self.of(panel)
        if not found:
            return None
        lines = [self.line(row, some[0]) for row, some in found]
        drawing = draw_timelines(
            lines,
            name="the window, from its beginning to its end",
            prefix=f"{panel.key}{self.prefix}",
            label=alternative(self.title, [(line.label, line.tip) for line in lines]),
        )
        return Chart(title=self.title, hint=self.hint, drawing=drawing, table=self.table(found))


WATCHES = (
    Watch(
        picks=lambda some: some if any(one.happened for one in some) else [],
        title="One server is killed, and comes back",
        hint="Right answers in each tenth of a second of one block. Lines: what was done; red marks: requests lost.",
        line=_incident_line,
        prefix="i",
        short="What was lost, and until when",
        headers=("requests lost", "of", "recovered after", "back after"),
        cells=lambda row, some: (*_lost(row, some), _recovered(some), _back(some)),
        told=_told_incident,
    ),
    Watch(
        picks=lambda some: [] if any(one.happened or one.reached is None for one in some) else some,
        title="Requests that reached the app",
        hint="As the app noted them, in each tenth of a second of one block; each from zero to its own highest.",
        line=_reached_line,
        prefix="a",
        short="What reached the app",
        headers=("answered", "reached the app", "bursts", "most in one"),
        cells=_reached_cells,
        told=_told_reached,
    ),
    Watch(
        picks=lambda some: [one for one in some if one.slow is not None],
        title="Fast clients beside slow ones",
        hint="Right answers in each tenth of a second of one block, from zero; red marks: requests lost.",
        line=_incident_line,
        prefix="s",
        short="Beside slow clients",
        headers=("slow clients at the end", "requests lost", "of", "longest wait"),
        cells=lambda row, some: (_slow_clients(some), *_lost(row, some), _longest(row)),
        told=_told_slow,
    ),
)


def in_short(panel: Panel) -> tuple[tuple[str, Table], ...]:
    """Give the tables of what was watched, each with its title, for those who see no charts."""
    return tuple((watch.short, watch.table(found)) for watch in WATCHES if (found := watch.of(panel)))


def told_of(panel: Panel, rows: Sequence[Row]) -> str:
    """Answer what a scenario asks about some of its rows; nothing where it watches nothing."""
    keys = {row.key for row in rows}
    for watch in WATCHES:
        if found := [(row, some) for row, some in watch.of(panel) if row.key in keys]:
            found.sort(key=lambda one: _weight(*one))
            said = [watch.told(row, some) for row, some in found[:TOLD]]
            rest = len(found) - len(said)
            return " ".join([*said, *([f"{units.many(rest, 'more row')}: see the table."] if rest else [])])
    return ""
