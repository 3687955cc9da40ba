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
from sgibench.audit.readers.fields import TIME, counted, known_times, labels, measured_ms, sections, time_ms
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
_N = r"\d+(?:\.\d+)?"
_CLIENT_RATES = re.compile(
    rf"req/s[ \t]*:[ \t]+(?P<min>{_N})[ \t]+(?P<max>{_N})(?:(?:[ \t]+{_N}){{3}})?[ \t]+(?P<mean>{_N})"
    rf"[ \t]+{_N}[ \t]+{_N}%"
)
"""A line that is whole; what versions after 1.68 print has three percentiles before the mean."""
_CELLS = re.compile(r"^(?:time for )?request[ \t]*:[ \t]+(?P<cells>\S[^\n]*?)[ \t]+\d+(?:\.\d+)?%", re.MULTILINE)
_BY_TIME = "Timing-based test"
_MAIN = re.compile(r"Timing-based test with \d+s of warm-up time and (?P<main>\d+)s of main duration")
_WHOLE = 0.002
"""A run by time whose heading was cut off: its rate is over whole seconds, as near as its figures are printed."""
_RESOLUTION_MS = 0.001
"""It cuts latencies to whole microseconds."""
_STREAMS = 100.0
"""Requests that one client has under way at once, at most, where more were begun than ended (`-m`)."""
_STALLED = 2.0
"""So many times as many as on average may be under way when a run begins or ends."""
_BY_NUMBER = re.compile(r"total client\(s\)\..{0,80}? \d+ total requests")
_LIVED = 1.02
"""The rates of all clients, each over its own life, over the rate of the run; of clients that lived they are one."""
_RAMPED = 0.4
"""Clients that are started one after the other (`-r`) live for half of the run, on average, and lose nothing."""
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
    cells = _CELLS.search(run)
    known_times(name, "request", cells["cells"].split() if cells else ())
    count = {key: float(value) for key, value in requests.groupdict().items()}
    statuses = _STATUSES.search(run)
    refused = (
        {f"{kind} answers": float(statuses[place]) for kind, place in (("4xx", 3), ("5xx", 4))} if statuses else {}
    )
    told = statuses.groups() if statuses else ()
    named = {key: measured_ms(value) for key, value in latency.groupdict().items()} if latency else {}
    moments = Moments(
        mean_ms=named.get("mean"),
        spread_ms=time_ms(latency["spread"]) if latency else None,
        max_ms=named.get("max"),
        min_ms=named.get("min") or 0.0,
        count=count["done"],
        step_ms=_RESOLUTION_MS,
    )
    rate, clients = float(finished["rate"]), _clients(run)
    lived = _lived(run, rate, clients)
    # A client whose connection is closed asks no more, and what it had begun is counted nowhere.
    lost = max(count["started"] - count["done"], 0.0) if lived is not None and lived < _RAMPED else 0.0
    edge = _edge(run, count, rate * (named.get("mean") or 0.0) / 1e3)
    at = {q: named.get(key) for q, key in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))}
    return Figures(
        id=name,
        connections=clients if count["errored"] or _kept_busy(run) else None,
        mean_raised=True,
        edge_ms=moments.edge_ms,
        duration_s=_duration_s(run, time_ms(finished["time"]), count["done"], rate),
        requests_ok=count["right"],
        errors=count["failed"] + lost,
        lived=lived,
        answered_wrong=sum(refused.values()),
        timed=count["done"],
        cut_off=max(count["started"] - count["done"] - lost, 0.0) if _BY_TIME in run else None,
        error_text=counted(
            refused
            | {"errored": count["errored"], "time-outs among them": count["late"]}
            | {"begun and lost with its connection": lost}
        ),
        rps=rate,
        mean_ms=moments.mean_ms,
        p50_ms=at.get(0.5),
        p95_ms=at.get(0.95),
        p99_ms=at.get(0.99),
        max_ms=moments.max_ms,
        quantiles_ms=tuple((q, value) for q, value in at.items() if value is not None),
        resolution_ms=_RESOLUTION_MS,
        twice=(*moments.told_twice(), *_told_twice(count, [float(each) for each in told], edge)),
    )


def _edge(run: str, count: Mapping[str, float], busy: float) -> float:
    """Give how many requests may be under way when a run by time begins and ends: clients × streams.

    The streams are not printed: of `busy` on average not many more than that, or what was begun and did not end.
    """
    if _BY_NUMBER.search(run):
        return 0.0
    clients = _clients(run) or 1.0
    open_at_end = min(max(count["started"] - count["done"], 0.0), _STREAMS * clients)
    return max(clients, _STALLED * busy, open_at_end)


def _lived(run: str, rate: float, clients: float | None) -> float | None:
    """Give the share of a run by time that its clients lived: the rate of each is over its own life."""
    rates = _CLIENT_RATES.search(run)
    of_all = float(rates["mean"]) * clients if rates and clients else 0.0
    return rate / of_all if _BY_TIME in run and of_all > rate * _LIVED else None


def _told_twice(count: Mapping[str, float], statuses: Sequence[float], edge: float) -> Iterator[Twice]:
    """Compare what it counts of the same requests; a status is counted when it comes, an answer at its end.

    What is neither right nor failed when it writes its summary is added to the failed and errored.
    """
    total, done, right, failed = (count[key] for key in ("total", "done", "right", "failed"))
    begun, errored = max(count["started"], done), count["errored"]
    yield Twice(told=f"{total:,.0f} requests in total", parts=f"{done:,.0f} done", agree=done <= total + edge)
    yield Twice(
        told=f"{done:,.0f} requests done",
        parts=f"{count['started']:,.0f} started",
        agree=done <= count["started"] + edge,
    )
    yield Twice(told=f"{right:,.0f} succeeded", parts=f"{done:,.0f} done", agree=right <= done)
    yield Twice(
        told=f"{total:,.0f} requests in total",
        parts=f"{right:,.0f} succeeded and {failed:,.0f} failed",
        agree=total == right + failed,
    )
    yield Twice(told=f"{errored:,.0f} errored", parts=f"{failed:,.0f} failed", agree=errored <= failed)
    if not statuses:
        return
    answers, good = sum(statuses), sum(statuses[:2])
    yield Twice(
        told=f"{answers:,.0f} answers by status",
        parts=f"{begun:,.0f} requests started, {done:,.0f} of them done",
        agree=done - errored - edge <= answers <= begun + edge,
    )
    yield Twice(
        told=f"{right:,.0f} succeeded",
        parts=f"{good:,.0f} answers of 2xx and 3xx",
        agree=good - errored - edge <= right <= good + edge,
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
