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

START = re.compile(r"^[ \t]*Concurrency Level:", re.MULTILINE)
_COUNTS = (
    ("Concurrency Level", re.compile(r"Concurrency Level:\s+(\d+)")),
    ("Time taken for tests", re.compile(r"Time taken for tests:\s+(\d+(?:\.\d+)?) seconds")),
    ("Complete requests", re.compile(r"Complete requests:\s+(\d+)")),
    ("Requests per second", re.compile(r"Requests per second:\s+(\d+(?:\.\d+)?) \[#/sec\]")),
)
_FAILED = re.compile(r"Failed requests:\s+(\d+)")
_KINDS = re.compile(r"\(Connect: (\d+), (?:Receive: (\d+), )?Length: (\d+), Exceptions: (\d+)\)")
_NOT_OK = re.compile(r"Non-2xx responses:\s+(\d+)")
_KEPT = re.compile(r"Keep-Alive requests:\s+(\d+)")
_TOTAL = re.compile(
    r"^[ \t]*Total:\s+(?P<min>\d+)\s+(?P<mean>\d+)\s+(?P<spread>\d+(?:\.\d+)?)\s+(?P<median>\d+)\s+(?P<max>\d+)[ \t]*"
    r"(?P<end>\n|\Z)",
    re.MULTILINE,
)
_PERCENTILE = re.compile(
    r"^[ \t]*(?P<percent>\d+)%\s+(?P<value>\d+)[ \t]*(?P<end>(?:\(longest request\))?\n|\(longest request\)\Z|\Z)",
    re.MULTILINE,
)
_BYTES = re.compile(r"Total transferred:\s+(\d+) bytes")
LEAST_BYTES = len(b"HTTP/1.0 200\r\n\r\n")
"""No answer is shorter."""
_LENGTH = "length unlike the first answer's"
_COARSE_MS = 10.0
_RESOLUTION = 0.05
_ALL = 100
_STEP_S = 0.001
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
        twice=tuple(_told_twice(total, requests)),
    )


def _told_twice(total: re.Match[str] | None, requests: float) -> Iterator[Twice]:
    if total:
        yield from _moments(total, requests).told_twice()


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
