"""What hey tells twice: its rate, its histogram and the parts of its average. Asked to the digits that it prints.

Its histogram holds every answer that has a status, in ten buckets of equal width behind the fastest answer alone; a
percentile is the next answer above its share. The parts of an answer (connecting, writing, waiting, reading) follow one
another. It notes the beginning of a wait when a request was written: of an answer that came first, it takes the time
since it was started, which shows as a wait longer than the slowest answer, or within the run's first moments.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from sgibench.audit.figures import Twice, ms
from sgibench.audit.readers.summary_text import Summary
from sgibench.units import seconds, significant

_BAR = re.compile(r"^[ \t]*(?P<mark>[0-9]{1,9}\.[0-9]{3})[ \t]+\[(?P<count>[0-9]{1,15})\][ \t]*\|", re.MULTILINE)
_BARS = 11
_PARTS = re.compile(
    r"^[ \t]*(?:DNS\+dialup|req write|resp wait|resp read):[ \t]+(?P<mean>[0-9.]{1,20}) secs,"
    r"[ \t]+[0-9.]{1,20} secs,[ \t]+(?P<most>[0-9.]{1,20}) secs",
    re.MULTILINE,
)
_PARTS_OF_ONE = 4
_DATA = re.compile(r"Total data:[ \t]+(?P<all>[0-9]{1,20}) bytes\s+Size/request:[ \t]+(?P<each>[0-9]{1,20}) bytes")
_HALF_S = 0.000051
"""Half of the last digit of a time or a rate ..."""
_HALF_MS = _HALF_S * 1e3
_MARK_MS = 0.51
"""... and of a mark of the histogram, in milliseconds."""


def told_twice(run: str, found: Summary, *, capped: bool) -> Iterator[Twice]:
    """Compare all of it; of a run of more than a million answers, only the first million are behind most figures."""
    answers = sum(found.statuses.values())
    if not capped:
        yield from _rate(found, answers)
        yield from _parts(run, found)
    yield from _sizes(run, answers)
    bars = [(float(each["mark"]) * 1e3, float(each["count"])) for each in _BAR.finditer(run)]
    if len(bars) == _BARS:
        yield from _histogram(bars, found, answers, capped=capped)


def _rate(found: Summary, answers: float) -> Iterator[Twice]:
    """Requests by the time. Its forebears divided the answers alone."""
    if not found.total_s or not found.rps:
        return
    counts = {answers + sum(found.errors.values()), answers}
    room = found.rps * _HALF_S / found.total_s + 2 * _HALF_S
    whole = max(counts)
    yield Twice(
        told=f"{significant(found.rps, 6)}/s",
        parts=f"{whole:,.0f} requests in {seconds(found.total_s)} are {significant(whole / found.total_s, 6)}/s",
        agree=any(abs(count / found.total_s - found.rps) <= room for count in counts),
    )


def _parts(run: str, found: Summary) -> Iterator[Twice]:
    parts = [(float(each["mean"]) * 1e3, float(each["most"]) * 1e3) for each in _PARTS.finditer(run)]
    mean_ms, most_ms = found.printed_mean_ms, dict(found.printed_ms).get(1.0)
    if len(parts) != _PARTS_OF_ONE or mean_ms is None or most_ms is None or not found.total_s:
        return
    if any(most > most_ms + 2 * _HALF_MS for _mean, most in parts):
        return
    together = sum(mean for mean, _most in parts)
    first_ms = most_ms * min(most_ms / 1e3 / found.total_s, 1.0)
    yield Twice(
        told=f"{ms(together)} to connect, write, wait and read on average",
        parts=f"{ms(mean_ms)} for all of it",
        agree=together <= mean_ms + first_ms + (_PARTS_OF_ONE + 1) * _HALF_MS,
    )


def _sizes(run: str, answers: float) -> Iterator[Twice]:
    data = _DATA.search(run)
    if data and answers:
        each = float(data["all"]) // answers
        parts = f"{float(data['all']):,.0f} bytes for {answers:,.0f} answers are {each:,.0f}"
        yield Twice(told=f"{float(data['each']):,.0f} bytes each", parts=parts, agree=float(data["each"]) == each)


def _histogram(bars: Sequence[tuple[float, float]], found: Summary, answers: float, *, capped: bool) -> Iterator[Twice]:
    marks, counts = [mark for mark, _count in bars], [count for _mark, count in bars]
    total = sum(counts)
    yield Twice(
        told=f"{total:,.0f} answers in its histogram", parts=f"{answers:,.0f} by status", agree=total == answers
    )
    known = dict(found.printed_ms)
    least, most = known.get(0.0), known.get(1.0)
    if least is None or most is None or not total:
        return
    due = [least + (most - least) * place / (_BARS - 1) for place in range(_BARS)]
    odd = next((place for place in range(_BARS) if abs(marks[place] - due[place]) > _MARK_MS + _HALF_MS), None)
    yield Twice(
        told=f"a histogram with a mark at {ms(marks[odd or 0])}",
        parts=f"from {ms(least)} to {ms(most)} it is at {ms(due[odd or 0])}",
        agree=odd is None,
    )
    mean_ms = found.printed_mean_ms
    if mean_ms is not None and not capped:
        low = sum(count * mark for count, mark in zip(counts, [marks[0], *marks], strict=False)) / total
        high = sum(count * mark for mark, count in bars) / total
        room = _MARK_MS + _HALF_MS
        yield Twice(
            told=f"an average of {ms(mean_ms)}",
            parts=f"its histogram has it between {ms(low)} and {ms(high)}",
            agree=low - room <= mean_ms <= high + room,
        )
    yield from _percentiles(marks, counts, found.all_quantiles_ms)


def _percentiles(marks: Sequence[float], counts: Sequence[float], at_ms: Mapping[float, float]) -> Iterator[Twice]:
    """Look each percentile up: its answer is the next above the share, and the next one after the percentile before."""
    until, total, place = [*accumulate(counts)], sum(counts), -1
    for q, value in sorted(at_ms.items()):
        place = max(math.ceil(round(q * 100) * total / 100), place + 1)
        bucket = next((which for which, many in enumerate(until) if many > place), None)
        if bucket is None or value <= 0:
            return
        low, high = marks[max(bucket - 1, 0)], marks[bucket]
        room = _MARK_MS + _HALF_MS
        yield Twice(
            told=f"{q * 100:g} % within {ms(value)}",
            parts=f"its histogram has that answer between {ms(low)} and {ms(high)}",
            agree=low - room <= value <= high + room,
        )
