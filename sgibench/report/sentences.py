"""The answer of a panel in sentences a person can quote, and what qualifies them.

A sentence claims only what a verdict carries: "less" needs `faster`, "tied" needs `tie`; what shares a place without
either is "not told apart". Servers are compared within their interface, because that is the choice people have, by
the verdicts of the whole table, so that a sentence and the places beside it never disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sgibench import stats, units
from sgibench.model import Comparison, Interface, Load, Metric
from sgibench.report import words
from sgibench.report.behaviours import told_of
from sgibench.report.panels import Panel, Row
from sgibench.report.wire import told_of_bursts

INTERFACES: tuple[Interface, ...] = ("wsgi", "asgi", "rsgi")
ABOUT = 1.05
"""Figures whose highest is within this factor of the lowest are given as one."""
MOST_TOLD = 60
"""Ten default runs: nobody makes more blocks than that, so their number is not told."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What can be said about the servers of one interface."""

    interface: str
    """`WSGI`, `ASGI`, ... or nothing when it is unknown."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a panel says."""

    said: tuple[Said, ...]
    qualifiers: tuple[str, ...]
    """What a reader must know before quoting; may be empty."""


def answer_of(panel: Panel) -> Answer:
    """Put a panel's judgement into words."""
    said = []
    for interface in (*INTERFACES, None):
        rows = [row for row in panel.rows if row.entry.interface == interface and row.entry.status == "ok"]
        if rows:
            said.append(Said(interface=(interface or "").upper(), text=_all_of(panel, rows)))
    nothing = Said(interface="", text="No server has a result that counts: nothing to compare.")
    return Answer(said=tuple(said) or (nothing,), qualifiers=_qualifiers(panel))


@dataclass(frozen=True, kw_only=True)
class Telling:
    """How a figure of which less is better is told; `{}` is filled with a name."""

    metric: Metric
    alone: str
    """`{} needs {} of CPU per request`: name, figure."""
    first: str
    """`{} needs the least CPU per request`."""
    prize: str
    """`the least CPU per request`."""
    other: str
    """`{} needs {}`: name, how many times as much."""
    thing: str
    """`as much`, behind `3.1 times`."""
    more: str
    """`more`, behind `4 %`."""
    absent: str
    """What is said when nobody has the figure."""


COST = Telling(
    metric="cpu_us_per_request",
    alone="{} needs {} of CPU per request",
    first="{} needs the least CPU per request",
    prize="the least CPU per request",
    other="{} needs {}",
    thing="as much",
    more="more",
    absent="CPU per request was not measured.",
)


KILLED = "CPU per request is not told: it can’t be of processes that were killed."


def _latency_telling(metric: Metric, load: Load) -> Telling:
    name, rate = words.FIGURES[metric], units.rate(load.rate_per_s)
    return Telling(
        metric=metric,
        alone=f"{{}} has a {name} of {{}} at {rate}",
        first=f"At {rate} {{}} has the shortest {name}",
        prize=f"the shortest {name} at {rate}",
        other="that of {} is {}",
        thing="as long",
        more="longer",
        absent="",
    )


def _all_of(panel: Panel, rows: Sequence[Row]) -> str:
    """Tell cost, throughput and, where a rate was fixed, p99 (p50 where there is no p99); what is ranked by first.

    Before all of it stands what the scenario itself asks, where it watches something.
    """
    load = panel.latency_standing.key.load
    watched = told_of(panel, rows) or told_of_bursts(rows)
    killed = any(trial.behaviour and trial.behaviour.happened for row in rows for trial in row.entry.good)
    cost = replace(COST, absent=KILLED) if killed else COST
    told: dict[Metric, str] = {
        "cpu_us_per_request": _least(panel, rows, cost),
        "rps": _throughput(panel, rows),
    }
    if load.kind == "open":
        shown: tuple[Metric, ...] = ("p99_us", "p50_us", "p999_us")
        chosen = panel.rank_by if panel.rank_by in shown else None
        known = [metric for metric in shown if any(metric in row.places for row in rows)]
        metric = chosen or (known[0] if known else None)
        if metric:
            told[metric] = _least(panel, rows, _latency_telling(metric, load))
    order = sorted(told, key=lambda metric: metric != panel.rank_by)
    return words.counted(" ".join(filter(None, (watched, *(told[metric] for metric in order)))), panel.unit)


def _least(panel: Panel, rows: Sequence[Row], telling: Telling) -> str:
    """Say who has the least of a figure."""
    ranking, metric = panel.ranking(telling.metric), telling.metric
    place = {row.cell: at for at, row in enumerate(ranking.rows)}
    cells = {row.key: entry.cell for row in rows if (entry := panel.entry_for(row, metric))}
    ranked = sorted((row for row in rows if metric in row.places), key=lambda row: place[cells[row.key]])
    if not ranked:
        return telling.absent
    best, form = ranked[0], words.FORMS[metric]
    levels = {row.key: found.value for row in ranked if (found := panel.estimate(row, metric))}
    if len(ranked) == 1:
        return telling.alone.format(best.label, form(levels[best.key])) + "."
    compared = {row.key: ranking.between(cells[best.key], cells[row.key]) for row in ranked[1:]}
    against = {key: one for key, one in compared.items() if one}
    ahead, beside, tied = _sides(ranked, against, lambda one, other: ranking.between(cells[one.key], cells[other.key]))
    if not beside:
        start = f"{telling.first.format(best.label)}, {form(levels[best.key])}"
        return _lead(start, ahead[0], ahead[-1], against, telling)
    names = words.listed([best.label, *(row.label for row in beside)])
    together = "are tied for" if tied else "can’t be told apart for"
    span = _about([levels[row.key] for row in (best, *beside)], form)
    start = f"{names} {together} {telling.prize} ({span}{_settle(beside, against)})"
    if not ahead:
        return f"{start}."
    far = ahead[-1]
    return f"{start}; {telling.other.format(far.label, _ratio(against, far, telling))}."


def _about(levels: Sequence[float], form: words.Format) -> str:
    """Write the figure that rows share, or from where to where theirs go."""
    lowest, highest = min(levels), max(levels)
    return f"about {form(lowest)}" if highest < lowest * ABOUT else f"{form(lowest)} to {form(highest)}"


def _sides(
    ranked: Sequence[Row], against: Mapping[str, Comparison], between: Callable[[Row, Row], Comparison | None]
) -> tuple[list[Row], list[Row], bool]:
    """Rows surely behind the best, rows not told apart from it, and whether those are proven ties.

    A row that is surely behind another one can't be the best, though not told apart from the first: it is neither.
    """

    def ahead(one: Row, other: Row) -> bool:
        found = between(one, other)
        return found is not None and found.verdict == "faster"

    behind = [row for row in ranked[1:] if ahead(ranked[0], row)]
    near = [row for row in ranked[1:] if row not in behind]
    beside = [row for row in near if not any(ahead(other, row) for other in near if other is not row)]
    ties = [against.get(row.key) for row in beside]
    return behind, beside, all(found is not None and found.verdict == "tie" for found in ties)


def _lead(start: str, nearest: Row, farthest: Row, against: Mapping[str, Comparison], telling: Telling) -> str:
    near = telling.other.format(nearest.label, _ratio(against, nearest, telling))
    if nearest is farthest:
        return f"{start}; {near}."
    return f"{start}; {near}, {_of(telling)}{farthest.label} {_ratio(against, farthest, replace(telling, thing=''))}."


def _of(telling: Telling) -> str:
    return "that of " if telling.other.startswith("that of") else ""


def _ratio(against: Mapping[str, Comparison], other: Row, telling: Telling) -> str:
    """How many times more the other needs; `against` holds best / other."""
    return words.times(1 / against[other.key].ratio, telling.thing, more=telling.more)


def _settle(beside: Sequence[Row], against: Mapping[str, Comparison]) -> str:
    """Say how many further blocks would settle what is unknown; nothing where that is not known of each."""
    found = [against.get(row.key) for row in beside]
    unknown = [one.more_blocks for one in found if one and one.low is not None and one.verdict == "unknown"]
    needed = [more for more in unknown if more]
    if not needed or len(needed) < len(unknown):
        return ""
    which = "it" if len(unknown) == 1 else "each"
    if max(needed) > MOST_TOLD:
        return f"; settling {which} would take more than {MOST_TOLD} more blocks"
    return f"; {units.many(max(needed), 'more block')} would settle {which} four times in five"


def _throughput(panel: Panel, rows: Sequence[Row]) -> str:
    """Say who serves the most, where that is not what the cost says already."""
    place = {row.cell: at for at, row in enumerate(panel.main.throughput.rows)}
    ranked = sorted((row for row in rows if row.throughput), key=lambda row: place[row.entry.cell])
    if not panel.saturated or len(ranked) < 2:  # noqa: PLR2004 - a comparison takes two
        return ""
    best, last = ranked[0], ranked[-1]
    against = panel.main.throughput.between(best.entry.cell, last.entry.cell)
    top = units.rate(best.entry.rps.value if best.entry.rps else None)
    if against is None or against.verdict != "faster":
        return f"All serve about {top}." if against and against.verdict == "tie" else ""
    told = words.times(against.ratio, f"what {last.label} serves", f" than {last.label}")
    return f"At saturation {best.label} serves {top}, {told}."


def _qualifiers(panel: Panel) -> tuple[str, ...]:
    found = []
    blocks = max((len(row.entry.good) for row in panel.rows), default=0)
    if blocks == 1:
        found.append("Only one block: figures have no interval, and no two servers are told apart.")
    elif 0 < blocks < stats.CLAIM_BLOCKS:
        found.append(f"Only {blocks} blocks: clear differences count, ties are not claimed below {stats.CLAIM_BLOCKS}.")
    if panel.main.control is None:
        found.append("No A/A control was run: nothing checked that equal servers come out equal.")
    found.extend(_without_latency(panel))
    found.extend(_lacking_blocks(panel))
    failed = [row.label for row in panel.rows if row.entry.status != "ok"]
    if failed:
        found.append(f"{words.listed(failed)} failed and {'are' if len(failed) > 1 else 'is'} not in the comparison.")
    found.extend(f"{doubt.kind}: {doubt.detail}. {doubt.advice}" for doubt in panel.doubts)
    kinds: dict[str, set[str]] = {}
    for row in panel.rows:
        for doubt in row.doubts:
            kinds.setdefault(doubt.kind, set()).add(row.label)
    found.extend(f"{kind} at {words.listed(sorted(names))}: see the rows." for kind, names in kinds.items())
    return tuple(found)


def _lacking_blocks(panel: Panel) -> Iterator[str]:
    """Say whose figures are of fewer blocks than others': what they say by themselves is of other moments."""
    names = []
    for row in panel.rows:
        for metric in row.places:
            others = (found for other in panel.rows if (found := panel.estimate(other, metric)))
            own = panel.estimate(row, metric)
            if own and own.blocks < max(one.blocks for one in others) and row.label not in names:
                names.append(row.label)
    if names:
        blocks = "its own blocks" if len(names) == 1 else "their own blocks"
        yield (
            f"{words.listed(names)} {'has' if len(names) == 1 else 'have'} figures of fewer blocks than others: "
            f"values are of {blocks}, places and ratios of those that are shared."
        )


def _without_latency(panel: Panel) -> Iterator[str]:
    """Say which servers have no latency at the fixed rate, and why: they are not fast, they are not there."""
    if panel.latency_standing.key.load.kind != "open":
        return
    reasons: dict[str, list[str]] = {}
    for row in panel.rows:
        entry = panel.latency_entry(row)
        if entry and entry.status == "ok" and (why := entry.why_not("p50_us")):
            reasons.setdefault(why, []).append(row.label)
    for why, names in reasons.items():
        yield f"No latency of {words.listed(names)}: {why}."
