"""Charts and tables of what goes over the wire: what is held open, handshakes, bursts, memory for bodies, sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sgibench import stats, units
from sgibench.model import Estimate, Overflow, Trial
from sgibench.report import words
from sgibench.report.charts.bars import Bar, draw_bars
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.panels import Panel, Row
from sgibench.results.codec import encode

KIB = 1024
MIB = 1 << 20
WHOLE = 100.0
"""Means of counts from here on are written as whole numbers."""


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """A figure of every row that is no metric of the judgement: one value a block."""

    name: str
    title: str
    hint: str
    of: Callable[[Trial], float | None]
    form: words.Format
    unit: float
    head: str
    """Of the figure's column."""
    headers: tuple[str, ...]
    more: Callable[[Sequence[Trial]], tuple[str, ...]]
    """What the table says beside the figure."""
    apart: float = 0.0
    """Drawn only where two rows lie so far apart."""


def _held(trials: Sequence[Trial]) -> tuple[str, ...]:
    held = [trial.held for trial in trials if trial.held]
    return (
        units.count(max(one.wanted for one in held)),
        units.count(min(one.stood_end for one in held)),
        units.count(sum(one.closed for one in held)),
        ", ".join(f"{count} {kind}" for one in held for kind, count in one.errors.items()) or "none",
    )


HELD = _Subject(
    name="h",
    title="Memory of each connection that is held open",
    hint="Shorter is better. Growth of the server’s memory (PSS) from before they were opened until all stood, over "
    "their number; what the kernel keeps for them is not in it.",
    of=lambda trial: trial.held.each_bytes if trial.held else None,
    form=units.size,
    unit=KIB,
    head="each",
    headers=("wanted", "stood at the end", "closed by the server", "errors on them"),
    more=_held,
)


def _handshakes(trials: Sequence[Trial]) -> tuple[str, ...]:
    made = [trial.handshakes for trial in trials if trial.handshakes]
    return tuple(units.count(sum(getattr(one, name) for one in made)) for name in ("full", "resumed", "refused"))


def _resumed_share(trial: Trial) -> float | None:
    made = trial.handshakes
    every = made.full + made.resumed if made else 0
    return made.resumed / every if made and every else None


HANDSHAKES = _Subject(
    name="r",
    title="TLS handshakes that took up a session",
    hint="Share of all handshakes of the window, as the TLS library says of each. CPU per handshake has the request on "
    "it, too: see what a new connection without TLS costs.",
    of=_resumed_share,
    form=units.percent,
    unit=0.2,
    head="taken up",
    headers=("full", "resumed", "sessions refused"),
    more=_handshakes,
)


BURST_ERRORS = ("refused", "reset", "timeout", "connect")


def _overflow(trials: Sequence[Trial]) -> tuple[str, ...]:
    seen = [trial.overflow for trial in trials if trial.overflow]
    lost = _errors(trials)
    quickest = _quickest_us(seen)
    return (
        _backlogs(trials) or units.NOT_MEASURED,
        f"{units.count(sum(one.bursts for one in seen))} of {units.count(max(_each(one) for one in seen))}",
        _known([_drops_of(one) for one in seen]),
        units.count(sum(one.sent_again for one in seen)),
        units.NOT_MEASURED if quickest is None else units.microseconds(quickest),
        *(units.count(lost[kind]) for kind in BURST_ERRORS),
        _known([one.listen_overflows for one in seen]),
        _known([one.listen_drops for one in seen]),
    )


def _errors(trials: Sequence[Trial]) -> Counter[str]:
    lost = Counter[str]()
    for trial in trials:
        lost.update(trial.errors)
    return lost


def _backlogs(trials: Sequence[Trial]) -> str:
    """What the server listened with, as the system says; nothing where it doesn't."""
    found = {one for trial in trials if trial.effective for one in trial.effective.backlogs or ()}
    return " and ".join(map(units.count, sorted(found)))


def _quickest_us(seen: Sequence[Overflow]) -> float | None:
    return min((one.sent_again_from_us for one in seen if one.sent_again_from_us is not None), default=None)


TOLD = 6
"""Rows that are told of in sentences; the table has all."""


def told_of_bursts(rows: Sequence[Row]) -> str:
    """Say what became of the connections of bursts; nothing where there were none. Fewest that had to wait first."""
    found = [(row, seen) for row in rows if (seen := _bursts_of(row.entry.good))]
    found.sort(key=lambda pair: _late_share(pair[1]))
    said = [_told_burst(row, seen) for row, seen in found[:TOLD]]
    rest = len(found) - len(said)
    return " ".join([*said, *([f"{units.many(rest, 'more row')}: see the table."] if rest else [])])


def _bursts_of(trials: Sequence[Trial]) -> list[Overflow]:
    return [trial.overflow for trial in trials if trial.overflow and trial.overflow.bursts]


def _late_share(seen: Sequence[Overflow]) -> float:
    return sum(one.sent_again for one in seen) / (sum(one.opened for one in seen) or 1)


def _told_burst(row: Row, seen: Sequence[Overflow]) -> str:
    """Write how many of a row's connections were late, and the least that this took them."""
    good = row.entry.good
    again, quickest = sum(one.sent_again for one in seen), _quickest_us(seen)
    bursts, backlog = units.many(sum(one.bursts for one in seen), "burst"), _backlogs(good)
    whom = f"{row.label} (backlog {backlog})" if backlog else row.label
    text = f"Of {units.count(sum(one.opened for one in seen))} connections in {bursts} to {whom} "
    text += f"{units.count(again) if again else 'none'} had to send the first packet again"
    text += f", and waited at least {units.microseconds(quickest)} for that" if quickest is not None else ""
    lost = sum(_errors(good)[kind] for kind in BURST_ERRORS)
    return f"{text}; {units.count(lost)} were lost." if lost else f"{text}."


def _each(seen: Overflow) -> int:
    """Connections of one burst."""
    return seen.opened // seen.bursts if seen.bursts else 0


def _known(counts: Sequence[int | None]) -> str:
    """A sum, unless a part of it is not known."""
    known = [count for count in counts if count is not None]
    return units.count(sum(known)) if len(known) == len(counts) else units.NOT_MEASURED


def _drops_of(seen: Overflow) -> int | None:
    """What the server's own listeners dropped; results of before that was read have it for the whole namespace."""
    return seen.listener_drops if seen.opened else seen.listen_drops


def _drops_each(trial: Trial) -> float | None:
    seen = trial.overflow
    drops = _drops_of(seen) if seen else None
    return drops / seen.bursts if seen and seen.bursts and drops is not None else None


def _dropped_words(value: float | None) -> str:
    """Write a mean of counts, whole where nobody needs more."""
    if value is None:
        return units.NOT_MEASURED
    return units.count(value) if value >= WHOLE or value == round(value) else units.significant(value)


OVERFLOW = _Subject(
    name="b",
    title="What the server’s listening sockets dropped, per burst",
    hint="Shorter is better: a client whose SYN is dropped sends it again after 1 s, and is that much slower. As the "
    "kernel counts for the server’s own listening sockets: each SYN once, what follows one and finds the queue full "
    "twice. The last two columns count each packet once, but of its whole network namespace, so other programs’ are in "
    "them.",
    of=_drops_each,
    form=_dropped_words,
    unit=1.0,
    head="dropped per burst",
    headers=(
        *("backlog", "bursts", "dropped", "sent again", "quickest of those"),
        *("refused", "reset", "timed out", "not opened", "ListenOverflows", "ListenDrops"),
    ),
    more=_overflow,
)


def _peaks(trials: Sequence[Trial]) -> tuple[str, ...]:
    seen = [trial.peak for trial in trials if trial.peak]
    before, most = max(one.before_bytes for one in seen), max(one.most_bytes for one in seen)
    return units.size(before), units.size(most)


PEAK = _Subject(
    name="k",
    title="Memory that the server took at most during the load",
    hint="Shorter is better. Growth of resident memory from before this load to its highest mark, which the kernel "
    "keeps. A server that holds whole bodies takes at least their size for each connection.",
    of=lambda trial: float(trial.peak.grown_bytes) if trial.peak else None,
    form=units.size,
    unit=MIB,
    head="growth",
    headers=("before, at most", "highest mark"),
    more=_peaks,
)


SIZES = _Subject(
    name="g",
    title="Size of an answer on the wire",
    hint="Shorter is better for who has to carry it. Head and body.",
    of=lambda trial: None if trial.by_request else trial.answer_bytes,  # of several kinds few are read: no mean
    form=units.size,
    unit=1.0,
    head="size",
    headers=(),
    more=lambda _trials: (),
    apart=256.0,  # heads alone differ by less
)


SUBJECTS = (HELD, HANDSHAKES, OVERFLOW, PEAK, SIZES)


def wire_charts(panel: Panel) -> list[Chart]:
    """Draw what a panel has data for."""
    found = [_drawn(panel, subject) for subject in SUBJECTS]
    return [chart for chart in found if chart is not None]


def in_short(panel: Panel) -> tuple[tuple[str, Table], ...]:
    """Give the tables behind the charts, each with its title, for those who see none."""
    return tuple((one.title, _table(one, found)) for one in SUBJECTS if (found := _rows(panel, one)))


def noted_of(trial: Trial) -> dict[str, Any]:
    """Give what a trial noted beside its window as plain JSON values; what its scenario has none of is left out."""
    noted = {name: getattr(trial, name) for name in ("held", "handshakes", "overflow", "peak")}
    found = {name: encode(one) for name, one in noted.items() if one is not None}
    if trial.held is not None:
        found["held"]["each_bytes"] = trial.held.each_bytes
    return found


def _estimate(trials: Sequence[Trial], of: Callable[[Trial], float | None]) -> Estimate | None:
    """One value a block: an interval where all are above zero, else their mean."""
    values = [value for trial in trials if (value := of(trial)) is not None]
    if values and min(values) > 0:
        return stats.estimate(values)
    if not values:
        return None
    return Estimate(value=max(0.0, sum(values) / len(values)), low=None, high=None, blocks=len(values))


_Found = list[tuple[Row, Estimate]]


def _rows(panel: Panel, subject: _Subject) -> _Found:
    """Rows that have the figure, least first; none where they are too much alike to be worth showing."""
    found = [(row, estimate) for row in panel.rows if (estimate := _estimate(row.entry.good, subject.of)) is not None]
    found.sort(key=lambda pair: pair[1].value)
    return found if found and found[-1][1].value - found[0][1].value >= subject.apart else []


def _table(subject: _Subject, found: _Found) -> Table:
    lines = tuple(
        (row.label, words.with_interval(one, subject.form), *subject.more(row.entry.good)) for row, one in found
    )
    return Table(headers=("server", subject.head, *subject.headers), rows=lines)


def _drawn(panel: Panel, subject: _Subject) -> Chart | None:
    found = _rows(panel, subject)
    if not found:
        return None
    bars = [
        Bar(
            row=row.key,
            label=row.label,
            look=row.look,
            value=one.value,
            low=one.low,
            high=one.high,
            tip=words.with_interval(one, subject.form),
        )
        for row, one in found
    ]
    label = alternative(subject.title, [(bar.label, bar.tip) for bar in bars])
    return Chart(
        title=subject.title,
        hint=subject.hint,
        drawing=draw_bars(bars, form=subject.form, unit=subject.unit, prefix=f"{panel.key}{subject.name}", label=label),
        table=_table(subject, found),
    )
