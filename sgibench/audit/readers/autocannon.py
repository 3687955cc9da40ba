"""autocannon's JSON (`--json`), one run a document.

Latencies are whole milliseconds, so of those under 10 ms only the order is asked. `requests` counts answers of any
status; its average is over the whole samples (seconds, unless `-L` makes them shorter; with `-w` those of all workers
are added). Requests that timed out are in no latency. What was sent and neither answered nor still under way at the end
is lost, and autocannon does not count it as an error. It does not say whether a rate was asked for (`-R`, `-r`): only a
run that ends with all connections busy is a closed loop for certain; one with more latencies than answers was
corrected.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sgibench.audit.figures import Figures, Twice
from sgibench.audit.figures import ms as said_ms
from sgibench.audit.readers.fields import counted, labels, number, objects, part
from sgibench.audit.readers.material import Material
from sgibench.audit.readers.moments import Moments
from sgibench.units import seconds

_COARSE_MS = 10.0
_RESOLUTION = 0.05
_STEP_MS = 1.0
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
_CLOCK_SHARE = 0.05
_CLOCK_S = 1.0
"""What starting and ending its clients may take."""
_DIGITS = 0.01
"""Its histograms keep three digits, at least."""
_NAMED = (("p10", 0.1), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p97_5", 0.975), ("p99", 0.99))

_IN_ORDER = (("p2_5", 0.025), *_NAMED, ("p99_9", 0.999), ("p99_99", 0.9999), ("p99_999", 0.99999), ("max", 1.0))
_COUNTS = (*_CLASSES, "errors", "timeouts", "mismatches", "non2xx", "resets")


def read(material: Material) -> list[Figures]:
    """Read every run of the text."""
    runs = objects(material.documents, "latency", "requests", "non2xx")
    return [_row(run, name) for run, name in zip(runs, labels(material.name, runs), strict=True)]


def _row(found: Mapping[str, Any], name: str) -> Figures:
    latency, requests = part(found, "latency"), part(found, "requests")

    def get(key: str) -> float:
        return number(found.get(key), key) or 0.0

    def printed(key: str) -> float | None:
        return number(latency.get(key), f"latency.{key}")

    def ms(key: str) -> float | None:
        value = printed(key)
        return None if value is None or 0 <= value < _COARSE_MS else value

    moments = Moments(mean_ms=printed("average"), spread_ms=printed("stddev"), max_ms=printed("max"), step_ms=_STEP_MS)
    total, sent = number(requests.get("total"), "requests.total"), number(requests.get("sent"), "requests.sent")
    if total is None:
        raise ValueError("requests has no total")
    places = get("connections") * (get("pipelining") or 1.0)
    under_way = 0.0 if sent is None else sent - total - get("errors")
    corrected = (number(latency.get("totalCount"), "latency.totalCount") or 0.0) > total
    failed = {
        "not 2xx": get("non2xx") - get("3xx"),
        "errors": get("errors") - get("timeouts"),
        "time-outs": get("timeouts"),
        "resets": get("resets"),
        "bodies that differ": get("mismatches"),
        "sent and lost": max(under_way - places, 0.0) if not corrected else 0.0,
    }
    at = {q: ms(key) for key, q in _NAMED}
    duration_s = _duration_s(found, requests)
    right = get("2xx") + get("3xx") if "2xx" in found else total - get("non2xx")
    return Figures(
        id=name,
        label=str(found.get("url") or "")[:200],
        load="open" if corrected else "closed",
        connections=places if under_way >= places > 0 else None,
        duration_s=duration_s,
        requests_ok=right - get("mismatches"),
        errors=sum(failed.values()),
        error_text=counted(failed),
        answered_wrong=failed["not 2xx"] + failed["bodies that differ"],
        timed=total,
        rps=_rate(found, requests),
        unseen_s=get("timeouts") * (duration_s or 0.0),
        edge_ms=moments.edge_ms,
        mean_ms=ms("average"),
        p50_ms=at[0.5],
        p90_ms=at[0.9],
        p99_ms=at[0.99],
        max_ms=ms("max"),
        quantiles_ms=tuple((q, value) for q, value in at.items() if value is not None),
        # Its minimum is that of the times that are not 0, so it is none.
        printed_ms=tuple((q, value) for key, q in _IN_ORDER if (value := printed(key)) is not None),
        printed_mean_ms=printed("average"),
        resolution=_RESOLUTION,
        resolution_ms=_STEP_MS,
        twice=(*moments.told_twice(), *_samples_twice(found), *_told_twice(found, total, sent, places)),
    )


def _told_twice(found: Mapping[str, Any], total: float, sent: float | None, places: float) -> Iterator[Twice]:
    """Compare what it counts twice; with `--excludeErrorStats` its total is of 2xx alone."""
    counts = {key: number(found.get(key), key) for key in (*_CLASSES, "non2xx", "mismatches")}
    right, wrong = counts["2xx"], counts["non2xx"] or 0.0
    if right is not None:
        room = places + (counts["mismatches"] or 0.0)
        yield Twice(
            told=f"{total:,.0f} requests in total",
            parts=f"{right:,.0f} answers of 2xx and {wrong:,.0f} others",
            agree=right - room <= total <= right + wrong + room,
        )
    if sent is not None:
        yield Twice(
            told=f"{total:,.0f} requests in total", parts=f"{sent:,.0f} were sent", agree=total <= sent + places
        )
    by_class: defaultdict[str, float] = defaultdict(float)
    for status, each in part(found, "statusCodeStats").items():
        many = number(each.get("count"), f"statusCodeStats.{status}.count") if isinstance(each, dict) else None
        by_class[f"{status[:1]}xx"] += many or 0.0
    for key in _CLASSES if by_class else ():
        told = counts[key]
        if told is not None:
            parts = f"{by_class[key]:,.0f} by its statuses"
            yield Twice(told=f"{told:,.0f} answers of {key}", parts=parts, agree=abs(told - by_class[key]) <= places)
    lasted_s, clock_s = number(found.get("duration"), "duration"), _clock_s(found)
    if lasted_s is not None and clock_s is not None:
        yield Twice(
            told=f"a duration of {seconds(lasted_s)}",
            parts=f"{seconds(clock_s)} from start to finish",
            agree=abs(lasted_s - clock_s) <= _CLOCK_SHARE * clock_s + _CLOCK_S,
        )


def _samples_twice(found: Mapping[str, Any]) -> Iterator[Twice]:
    """Compare its histograms' extremes and counts; their minimum is that of what is not 0."""
    latency, requests = part(found, "latency"), part(found, "requests")
    for key in _COUNTS:
        many = number(found.get(key), key) or 0.0
        yield Twice(told=f"{many:,.0f} of {key}", parts="no count is less than 0", agree=many >= 0)
    late, errors = (number(found.get(key), key) or 0.0 for key in ("timeouts", "errors"))
    yield Twice(told=f"{late:,.0f} time-outs", parts=f"{errors:,.0f} errors with them", agree=late <= errors)
    least = number(latency.get("min"), "latency.min")
    some = next((value for key, _q in _IN_ORDER if (value := number(latency.get(key), f"latency.{key}"))), None)
    if least is not None and some is not None:
        yield Twice(
            told=f"a latency of {said_ms(least)} at least",
            parts=f"a percentile of {said_ms(some)}",
            agree=least <= some * (1 + _RESOLUTION) + _STEP_MS,
        )
    timed, right = number(latency.get("totalCount"), "latency.totalCount"), number(found.get("2xx"), "2xx")
    if timed is not None and right is not None:
        room = (number(found.get("connections"), "connections") or 0.0) * (number(found.get("pipelining"), "") or 1.0)
        yield Twice(told=f"{timed:,.0f} latencies", parts=f"{right:,.0f} answers of 2xx", agree=timed >= right - room)
    fewest, most = (number(requests.get(key), f"requests.{key}") for key in ("min", "max"))
    if fewest is not None and most is not None:
        yield Twice(
            told=f"{fewest:,.0f} requests in the slowest sample",
            parts=f"{most:,.0f} in the quickest",
            agree=fewest <= most * (1 + _DIGITS),
        )


def _clock_s(found: Mapping[str, Any]) -> float | None:
    """Give the time from `start` to `finish`; None when one is missing or no moment, or they go backwards."""
    try:
        begun, ended = (datetime.fromisoformat(str(found.get(key))) for key in ("start", "finish"))
        lasted_s = (ended - begun).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return lasted_s if lasted_s > 0 else None


def _duration_s(found: Mapping[str, Any], requests: Mapping[str, Any]) -> float | None:
    """Give the time that the average is over: whole samples, else what makes the count and the average one."""
    samples, each_ms = number(found.get("samples"), "samples"), number(found.get("sampleInt"), "sampleInt")
    if samples and each_ms:
        # Its workers sample side by side, and their samples are added.
        return samples / (number(found.get("workers"), "workers") or 1.0) * each_ms / 1e3
    total, rate = number(requests.get("total"), "requests.total"), _rate(found, requests)
    return total / rate if total and rate else number(found.get("duration"), "duration")


def _rate(found: Mapping[str, Any], requests: Mapping[str, Any]) -> float | None:
    """Give the average per second: it is over samples, which `-L` makes shorter than a second."""
    average, each_ms = number(requests.get("average"), "requests.average"), number(found.get("sampleInt"), "sampleInt")
    return average if average is None or not each_ms else average * 1e3 / each_ms
