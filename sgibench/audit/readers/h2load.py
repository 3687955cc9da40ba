"""h2load's text output; several runs may follow one another.

Its rate counts every answer that arrived, of whatever status; `failed` are answers of 4xx and 5xx and what was never
answered (`errored`, which holds the time-outs). A client may have several requests under way (`-m`, not printed), so
more than one for each client refutes nothing. Fewer refute only where clients were kept busy: in a run by time whose
clients differ in speed at all (`--rps` paces each alike and is not printed either), and where clients died with their
share of the requests. In a run by number a quick client ends early, and is idle for a reason. In a run by time the rate
is over the main duration, while `finished in` holds the warm-up before it and the last answers after it, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from sgibench.audit.figures import Figures, Twice
from sgibench.audit.readers.fields import TIME, counted, labels, measured_ms, sections, time_ms
from sgibench.audit.readers.material import Material
from sgibench.audit.readers.moments import Moments

FINISHED = re.compile(rf"finished in (?P<time>{TIME}), (?P<rate>\d+(?:\.\d+)?) req/s")
REQUESTS = re.compile(
    r"requests: (?P<total>\d+) total, (?P<started>\d+) started, (?P<done>\d+) done, (?P<right>\d+) succeeded, "
    r"(?P<failed>\d+) failed, (?P<errored>\d+) errored, (?P<late>\d+) timeout"
)
START = re.compile(r"^.{0,40}?starting benchmark\.\.\.", re.MULTILINE)
_STATUSES = re.compile(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx")
_CLIENTS = re.compile(r"spawning thread #\d+: (\d+) total client")
_LATENCY = re.compile(
    rf"time for request:\s+(?P<min>{TIME})\s+(?P<max>{TIME})\s+(?P<mean>{TIME})\s+(?P<spread>{TIME})\s"
)
_LATENCY_NOW = re.compile(
    rf"request[ \t]+:[ \t]+(?P<min>{TIME})[ \t]+(?P<max>{TIME})[ \t]+(?P<p50>{TIME})[ \t]+(?P<p95>{TIME})[ \t]+"
    rf"(?P<p99>{TIME})[ \t]+(?P<mean>{TIME})\s+(?P<spread>{TIME})\s"
)
"""What versions after 1.68 print: median and percentiles as well."""
_CLIENT_RATES = re.compile(r"req/s\s*:\s+(?P<min>\d+(?:\.\d+)?)\s+(?P<max>\d+(?:\.\d+)?)\s+\d")
_BY_TIME = "Timing-based test"
_MAIN = re.compile(r"Timing-based test with \d+s of warm-up time and (?P<main>\d+)s of main duration")
_WHOLE = 0.002
"""A run by time whose heading was cut off: its rate is over whole seconds, as near as its figures are printed."""
_RESOLUTION_MS = 0.001
"""It cuts latencies to whole microseconds."""
_EDGE_SHARE = 0.1
_EDGE_EACH = 100.0
"""In a run by time, answers under way when it begins and ends, as a share of all and for each client (`-m`)."""
_PACED = 1.01
"""The quickest client over the slowest; `--rps` keeps them within a request of one another."""


def read(material: Material) -> list[Figures]:
    """Read every run of the text."""
    runs = [
        run
        for run in sections(material.plain, START if START.search(material.plain) else FINISHED, above=True)
        if run.strip()
    ]
    return [_row(run, name) for run, name in zip(runs, labels(material.name, runs), strict=True)]


def _row(run: str, name: str) -> Figures:
    finished, requests, latency = (
        FINISHED.search(run),
        REQUESTS.search(run),
        _LATENCY_NOW.search(run) or _LATENCY.search(run),
    )
    if finished is None or requests is None:
        missing = "`finished in … req/s`" if finished is None else "`requests: … total, … started, … done, …`"
        raise ValueError(f"{name} has no line {missing}")
    count = {key: float(value) for key, value in requests.groupdict().items()}
    statuses = _STATUSES.search(run)
    refused = (
        {f"{kind} answers": float(statuses[place]) for kind, place in (("4xx", 3), ("5xx", 4))} if statuses else {}
    )
    told = statuses.groups() if statuses else ()
    edge = _EDGE_SHARE * count["done"] + _EDGE_EACH * (_clients(run) or 1.0) if _BY_TIME in run else 0.0
    named = {key: measured_ms(value) for key, value in latency.groupdict().items()} if latency else {}
    moments = Moments(
        mean_ms=named.get("mean"),
        spread_ms=time_ms(latency["spread"]) if latency else None,
        max_ms=named.get("max"),
        min_ms=named.get("min") or 0.0,
        count=count["done"],
        step_ms=_RESOLUTION_MS,
    )
    at = {q: named.get(key) for q, key in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))}
    return Figures(
        id=name,
        connections=_clients(run) if count["errored"] or _kept_busy(run) else None,
        mean_raised=True,
        edge_ms=moments.edge_ms,
        duration_s=_duration_s(run, time_ms(finished["time"]), count["done"], float(finished["rate"])),
        requests_ok=count["right"],
        errors=count["failed"],
        answered_wrong=sum(refused.values()),
        timed=count["done"],
        cut_off=max(count["started"] - count["done"], 0.0) if _BY_TIME in run else None,
        error_text=counted(refused | {"errored": count["errored"], "time-outs among them": count["late"]}),
        rps=float(finished["rate"]),
        mean_ms=moments.mean_ms,
        p50_ms=at.get(0.5),
        p95_ms=at.get(0.95),
        p99_ms=at.get(0.99),
        max_ms=moments.max_ms,
        quantiles_ms=tuple((q, value) for q, value in at.items() if value is not None),
        resolution_ms=_RESOLUTION_MS,
        twice=(*moments.told_twice(), *_told_twice(count, [float(each) for each in told], edge)),
    )


def _told_twice(count: Mapping[str, float], statuses: Sequence[float], edge: float) -> Iterator[Twice]:
    """Compare what it counts of the same requests; a status is counted when it comes, an answer at its end."""
    done, begun = count["done"], max(count["started"], count["done"])
    yield Twice(
        told=f"{count['total']:,.0f} requests in total", parts=f"{done:,.0f} done", agree=done <= count["total"]
    )
    if not statuses:
        return
    answers, right = sum(statuses), sum(statuses[:2])
    ended = done - count["errored"] - edge
    yield Twice(
        told=f"{answers:,.0f} answers by status",
        parts=f"{begun:,.0f} requests started, {done:,.0f} of them done",
        agree=ended <= answers <= begun + edge,
    )
    yield Twice(
        told=f"{count['right']:,.0f} succeeded",
        parts=f"{right:,.0f} answers of 2xx and 3xx",
        agree=count["right"] <= right + edge,
    )


def _duration_s(run: str, finished_ms: float | None, done: float, rate: float) -> float | None:
    """Give the time that the rate is over."""
    main = _MAIN.search(run)
    if main is not None and float(main["main"]):
        return float(main["main"])
    finished_s = None if finished_ms is None else finished_ms / 1e3
    if finished_s is None or not rate:
        return finished_s
    over_s = done / rate
    whole_s = round(over_s)
    return float(whole_s) if 0 < whole_s < finished_s and abs(over_s - whole_s) < _WHOLE * whole_s else finished_s


def _clients(run: str) -> float | None:
    return sum(float(found[1]) for found in _CLIENTS.finditer(run)) or None


def _kept_busy(run: str) -> bool:
    rates = _CLIENT_RATES.search(run)
    return _BY_TIME in run and rates is not None and float(rates["max"]) > _PACED * float(rates["min"])
