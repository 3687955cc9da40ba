"""ApacheBench's text output; several runs may follow one another.

Its first `Time per request` is connections x duration / requests by definition, so it can't confirm anything; the mean
that is read is `Total` of its connection times, connecting included. All its latencies are whole milliseconds: of those
under 10 ms only the order is asked. `Complete requests` holds failed ones and answers of any status. A failure of
`Length` only says that an answer was not as long as the first, which pages of varying length are too. Without `-k`
every request opens a connection. A run by number ends when the slowest of the last answers has come; the other
connections are idle meanwhile, up to the longest answer. Its `Non-2xx responses` are redirects, too: it does not tell
them from failures. A connection that is closed without a byte is a complete request to it, and none of those that
failed: only the bytes transferred tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sgibench.audit.figures import Figures, Twice
from sgibench.audit.readers.fields import counted, finer, labels, sections
from sgibench.audit.readers.material import Material
from sgibench.audit.readers.moments import Moments
from sgibench.units import seconds, significant

START = re.compile(r"^[ \t]*(?:Document Length:[^\n]{0,80}\n\s{0,80})?Concurrency Level:", re.MULTILINE)
_COUNTS = (
    ("Concurrency Level", re.compile(r"Concurrency Level:\s+([0-9]+)")),
    ("Time taken for tests", re.compile(r"Time taken for tests:\s+([0-9]+(?:\.[0-9]+)?) seconds")),
    ("Complete requests", re.compile(r"Complete requests:\s+([0-9]+)")),
    ("Requests per second", re.compile(r"Requests per second:\s+([0-9]+(?:\.[0-9]+)?) \[#/sec\]")),
)
_FAILED = re.compile(r"Failed requests:\s+([0-9]+)")
_KINDS = re.compile(r"\(Connect: ([0-9]+), (?:Receive: ([0-9]+), )?Length: ([0-9]+), Exceptions: ([0-9]+)\)")
_NOT_OK = re.compile(r"Non-2xx responses:\s+([0-9]+)")
_KEPT = re.compile(r"Keep-Alive requests:\s+([0-9]+)")
_TOTAL = re.compile(
    r"^[ \t]*Total:\s+(?P<min>[0-9]+)\s+(?P<mean>[0-9]+)\s+(?P<spread>[0-9]+(?:\.[0-9]+)?)\s+(?P<median>[0-9]+)\s+"
    r"(?P<max>[0-9]+)[ \t]*(?P<end>\n|\Z)",
    re.MULTILINE,
)
_PERCENTILE = re.compile(
    r"^[ \t]*(?P<percent>[0-9]+)%\s+(?P<value>[0-9]+)[ \t]*"
    r"(?P<end>(?:\(longest request\))?\n|\(longest request\)\Z|\Z)",
    re.MULTILINE,
)
_BYTES = re.compile(r"Total transferred:\s+([0-9]+) bytes")
LEAST_BYTES = len(b"HTTP/1.0 200\r\n\r\n")
"""No answer is shorter."""
_BODIES = re.compile(r"HTML transferred:\s+([0-9]+) bytes")
_LENGTH_OF_ALL = re.compile(r"Document Length:\s+([0-9]+) bytes")
"""The body of the first right answer; `Variable` with `-l`."""
_TRUNK = "Concurrency achieved:"
"""A line of versions after 2.4, which count an answer of another length as right."""
_EACH = re.compile(r"Time per request:\s+([0-9]+\.[0-9]{3}) \[ms\] \(mean(?P<all>, across all concurrent requests)?\)")
_TRANSFER = re.compile(r"Transfer rate:\s+([0-9]+\.[0-9][0-9]) \[Kbytes/sec\] received")
_LONGEST = re.compile(r"^[ \t]*100%\s+([0-9]+) \(longest request\)", re.MULTILINE)
_PART = re.compile(
    r"^[ \t]*(?P<name>Processing|Waiting):\s+[0-9]+\s+(?P<mean>[0-9]+)\s+[0-9]+(?:\.[0-9]+)?\s+[0-9]+\s+[0-9]+",
    re.MULTILINE,
)
_MARGIN = 0.001
"""What it divides itself agrees to its printed digits; floating-point numbers want a little more."""
_LENGTH = "length unlike the first answer's"
_COARSE_MS = 10.0
_RESOLUTION = 0.05
_HALF, _NEXT, _ALL = 50, 66, 100
"""Percentiles."""
_STEP_S = 0.001
_RATE_STEP = 0.01
STEP_MS = 1.0
"""It rounds its connection times to it."""
NOT_OK = "not 2xx (redirects among them)"


def read(material: Material) -> list[Figures]:
    """Read every run of the text."""
    runs = sections(material.plain, START)
    return [_row(run, name) for run, name in zip(runs, labels(material.name, runs), strict=True)]


def _row(run: str, name: str) -> Figures:
    found = {what: pattern.search(run) for what, pattern in _COUNTS}
    known = {what: float(match[1]) for what, match in found.items() if match}
    if len(known) < len(_COUNTS):
        raise ValueError(f"{name} has no line `{next(what for what in found if what not in known)}:`")
    total = _total(run, known["Complete requests"])
    printed = _percentiles(run, float(total["min"]) if total else 0.0)
    at = {percent: _fine(value) for percent, value in printed.items()}
    requests, failures = known["Complete requests"], _failures(run, known["Complete requests"])
    taken_s = finer(known["Time taken for tests"], requests, known["Requests per second"], _STEP_S)
    wrong = sum(count for what, count in failures.items() if what != _LENGTH)
    return Figures(
        id=name,
        connections=known["Concurrency Level"],
        new_connections=_KEPT.search(run) is None,
        edge_ms=_ms(total["max"]) if total else None,
        duration_s=taken_s,
        run_s=taken_s,
        requests_ok=max(requests - wrong, 0.0),
        # An answer may be of another length and not 2xx: neither count is added to the other.
        errors=wrong + max(sum(failures.values()) - wrong - failures.get(NOT_OK, 0.0), 0.0),
        answered_wrong=failures.get(NOT_OK, 0.0),
        in_both=_LENGTH in failures,
        timed=requests,
        error_text=counted(failures),
        rps=known["Requests per second"],
        mean_ms=_ms(total["mean"]) if total else None,
        p50_ms=at.get(50, _ms(total["median"]) if total else None),
        p90_ms=at.get(90),
        p95_ms=at.get(95),
        p99_ms=at.get(99),
        max_ms=_ms(total["max"]) if total else at.get(_ALL),
        quantiles_ms=tuple((q / 100, value) for q, value in sorted(at.items()) if value is not None and q < _ALL),
        printed_ms=_in_order(total, printed),
        printed_mean_ms=float(total["mean"]) if total else None,
        resolution=_RESOLUTION,
        resolution_ms=STEP_MS,
        twice=(
            *_told_twice(total, requests),
            *_rates_twice(run, known),
            *_bytes_twice(run, known),
            *_times_twice(run, total, printed),
        ),
    )


def _told_twice(total: re.Match[str] | None, requests: float) -> Iterator[Twice]:
    if total:
        yield from _moments(total, requests).told_twice()


def _rates_twice(run: str, known: Mapping[str, float]) -> Iterator[Twice]:
    """Divide again what it divides: it prints the rate, its inverse, and that times the connections."""
    requests, rate, clients = (known[key] for key in ("Complete requests", "Requests per second", "Concurrency Level"))
    taken_s = known["Time taken for tests"]
    if taken_s <= 0 or rate <= 0:
        return
    of_time = _MARGIN + _STEP_S / 2 / taken_s
    yield Twice(
        told=f"{significant(rate)}/s",
        parts=f"{requests:,.0f} requests in {seconds(taken_s)} are {significant(requests / taken_s)}/s",
        agree=abs(requests / taken_s - rate) <= of_time * rate + _RATE_STEP,
    )
    of_rate = _MARGIN + _RATE_STEP / rate
    for each in _EACH.finditer(run):
        one_ms = (1.0 if each["all"] else clients) / rate * 1e3
        what = "across all" if each["all"] else f"for each of {clients:.0f} connections"
        yield Twice(
            told=f"{each[1]} ms per request",
            parts=f"{significant(rate)}/s are {significant(one_ms)} ms {what}",
            agree=abs(float(each[1]) - one_ms) <= of_rate * one_ms + _STEP_S,
        )
    transferred, transfer = _BYTES.search(run), _TRANSFER.search(run)
    if transferred and transfer:
        each_s = float(transferred[1]) / 1024 / taken_s
        yield Twice(
            told=f"{transfer[1]} Kbytes/s",
            parts=f"{float(transferred[1]):,.0f} bytes in {seconds(taken_s)} are {significant(each_s)}",
            agree=abs(float(transfer[1]) - each_s) <= of_time * each_s + _RATE_STEP,
        )


def _bytes_twice(run: str, known: Mapping[str, float]) -> Iterator[Twice]:
    """Compare what was transferred; answers that were under way at the end are in the bytes, not in the requests."""
    requests, clients = known["Complete requests"], known["Concurrency Level"]
    kept = _KEPT.search(run)
    if kept:
        told, parts = f"{float(kept[1]):,.0f} keep-alive requests", f"{requests:,.0f} requests in all"
        yield Twice(told=told, parts=parts, agree=float(kept[1]) <= requests + clients)
    bodies, transferred = _BODIES.search(run), _BYTES.search(run)
    if bodies and transferred:
        told, parts = f"{float(bodies[1]):,.0f} bytes of bodies", f"{float(transferred[1]):,.0f} bytes with their heads"
        yield Twice(told=told, parts=parts, agree=float(bodies[1]) <= float(transferred[1]))
        yield from _lengths_twice(run, requests, clients, (float(bodies[1]), float(transferred[1])))


def _lengths_twice(run: str, requests: float, clients: float, read: tuple[float, float]) -> Iterator[Twice]:
    """Compare bodies and heads with the answers, each of which has the first one's length or is a failure of `Length`.

    What is under way when the time is up was read and is no request: an answer of each connection. Of failures nobody
    knows the length, and the first answers of all connections may be measured before one of them sets it.
    """
    length = _LENGTH_OF_ALL.search(run)
    if length is None or _TRUNK in run:
        return
    each, (bodies, transferred) = float(length[1]), read
    kinds, failed = _KINDS.search(run), _FAILED.search(run)
    unlike = float(kinds[3]) if kinds else float(failed[1]) if failed else 0.0
    least, most = max(requests - unlike - clients, 0.0), requests + clients
    yield Twice(
        told=f"{bodies:,.0f} bytes of bodies",
        parts=f"{requests - unlike:,.0f} of {requests:,.0f} requests have {each:,.0f} bytes each"
        if unlike
        else f"{requests:,.0f} requests of {each:,.0f} bytes each",
        agree=bodies >= least * each and (unlike > 0 or bodies <= most * each),
    )
    if each:
        heads = transferred - bodies
        told, parts = f"{heads:,.0f} bytes of heads", f"{requests - unlike:,.0f} answers with a body"
        yield Twice(told=told, parts=parts, agree=heads >= least * LEAST_BYTES)


def _times_twice(run: str, total: re.Match[str] | None, printed: Mapping[int, float]) -> Iterator[Twice]:
    """Compare its two tables of times, which are rounded to milliseconds; its median is the mean of two neighbours."""
    if total is None:
        return
    mean, median, most = map(float, total.group("mean", "median", "max"))
    longest = _LONGEST.search(run)
    if longest:
        told, parts = f"a longest request of {longest[1]} ms", f"a maximum of {most:.0f} ms"
        yield Twice(told=told, parts=parts, agree=abs(float(longest[1]) - most) <= STEP_MS)
    if _HALF in printed and _NEXT in printed:
        yield Twice(
            told=f"a median of {median:.0f} ms",
            parts=f"half of the requests within {printed[_HALF]:.0f} ms",
            agree=printed[_HALF] - STEP_MS <= median <= max(printed[_HALF], printed[_NEXT]) + STEP_MS,
        )
    for each in _PART.finditer(run):
        told, parts = f"{each['name']} of {each['mean']} ms on average", f"Total is {mean:.0f} ms with that"
        yield Twice(told=told, parts=parts, agree=float(each["mean"]) <= mean + STEP_MS)


def _moments(total: re.Match[str], requests: float) -> Moments:
    least, mean, spread, most = map(float, total.group("min", "mean", "spread", "max"))
    return Moments(mean_ms=mean, spread_ms=spread, max_ms=most, min_ms=least, count=requests, step_ms=STEP_MS)


def _total(run: str, requests: float) -> re.Match[str] | None:
    """Find the connection times; a last line without its end may be cut off, and its maximum lack digits."""
    found = _TOTAL.search(run)
    if found is None or found["end"]:
        return found
    low = float(found["max"]) < max(map(float, found.group("mean", "median")))
    return None if low or not all(one.agree for one in _told_twice(found, requests)) else found


def _in_order(total: re.Match[str] | None, printed: Mapping[int, float]) -> tuple[tuple[float, float], ...]:
    """Give all times as quantile -> milliseconds; `Total` has a minimum, a median and a maximum as well."""
    known = {0.5: float(total["median"]), 0.0: float(total["min"]), 1.0: float(total["max"])} if total else {}
    return tuple(sorted((known | {percent / 100: value for percent, value in printed.items()}).items()))


def _percentiles(run: str, last: float) -> dict[int, float]:
    """Read per cent -> milliseconds; a last line without its end that is less than the one before may be cut off."""
    found: dict[int, float] = {}
    for each in _PERCENTILE.finditer(run):
        if each["end"] or float(each["value"]) >= last:
            last = found[int(each["percent"])] = float(each["value"])
    return found


def _failures(run: str, requests: float) -> dict[str, float]:
    kinds, failed, not_ok = _KINDS.search(run), _FAILED.search(run), _NOT_OK.search(run)
    if kinds:
        counts = [float(count or 0) for count in kinds.groups()]
        named = dict(zip(("connect", "receive", _LENGTH, "exception"), counts, strict=True))
    else:
        named = {"failed": float(failed[1]) if failed else 0.0}
    named[NOT_OK] = float(not_ok[1]) if not_ok else 0.0
    transferred = _BYTES.search(run)
    if transferred:  # all of it, heads as well
        named["closed without an answer"] = max(requests - float(transferred[1]) // LEAST_BYTES, 0.0)
    return {what: count for what, count in named.items() if count}


def _ms(text: str) -> float | None:
    return _fine(float(text))


def _fine(value: float) -> float | None:
    return None if value < _COARSE_MS else value
