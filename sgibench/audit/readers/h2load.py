"""h2load's text output; several runs may follow one another.

Its rate counts every answer that arrived, of whatever status; `failed` are answers of 4xx and 5xx and what was never
answered (`errored`, which holds the time-outs). A client may have several requests under way (`-m`, not printed), so
more than one for each client refutes nothing. Fewer refute only where clients were kept busy: in a run by time whose
clients differ in speed at all (`--rps` paces each alike and is not printed either), and where clients died with their
share of the requests (`errored`): those ask no more, and the clients' own rates, each over its own life, tell for how
long they did. In a run by number a quick client ends early, and is idle for a reason. In a run by time the rate is over
the main duration, while `finished in` holds the warm-up before it and the last answers after it, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from sgibench.audit.figures import Figures, Twice
from sgibench.audit.readers.fields import TIME, counted, known_times, labels, measured_ms, sections, time_ms
from sgibench.audit.readers.material import Material
from sgibench.audit.readers.moments import Moments
from sgibench.units import seconds, significant

FINISHED = re.compile(rf"finished in (?P<time>{TIME}), (?P<rate>[0-9]+(?:\.[0-9]+)?) req/s")
REQUESTS = re.compile(
    r"requests: (?P<total>[0-9]+) total, (?P<started>[0-9]+) started, (?P<done>[0-9]+) done, "
    r"(?P<right>[0-9]+) succeeded, (?P<failed>[0-9]+) failed, (?P<errored>[0-9]+) errored, (?P<late>[0-9]+) timeout"
)
START = re.compile(r"^.{0,40}?starting benchmark\.\.\.", re.MULTILINE)
_STATUSES = re.compile(r"status codes: ([0-9]+) 2xx, ([0-9]+) 3xx, ([0-9]+) 4xx, ([0-9]+) 5xx")
_CLIENTS = re.compile(r"spawning thread #[0-9]+: ([0-9]+) total client")
_LATENCY = re.compile(
    rf"time for request:\s+(?P<min>{TIME})\s+(?P<max>{TIME})\s+(?P<mean>{TIME})\s+(?P<spread>{TIME})\s"
)
_LATENCY_NOW = re.compile(
    rf"request[ \t]+:[ \t]+(?P<min>{TIME})[ \t]+(?P<max>{TIME})[ \t]+(?P<p50>{TIME})[ \t]+(?P<p95>{TIME})[ \t]+"
    rf"(?P<p99>{TIME})[ \t]+(?P<mean>{TIME})\s+(?P<spread>{TIME})\s"
)
"""What versions after 1.68 print: median and percentiles as well."""
_N = r"[0-9]+(?:\.[0-9]+)?"
_CLIENT_RATES = re.compile(
    rf"req/s[ \t]*:[ \t]+(?P<min>{_N})[ \t]+(?P<max>{_N})(?:(?:[ \t]+{_N}){{3}})?[ \t]+(?P<mean>{_N})"
    rf"[ \t]+{_N}[ \t]+{_N}%"
)
"""A line that is whole; what versions after 1.68 print has three percentiles before the mean."""
_CELLS = re.compile(r"^(?:time for )?request[ \t]*:[ \t]+(?P<cells>\S[^\n]*?)[ \t]+[0-9]+(?:\.[0-9]+)?%", re.MULTILINE)
_BY_TIME = "Timing-based test"
_MAIN = re.compile(
    r"Timing-based test with [0-9.]+s of warm-up time and (?P<main>[0-9]+(?:\.[0-9]+)?)s of main duration"
)
_WHOLE = 0.002
"""A run by time whose heading was cut off: its rate is over whole seconds, as near as its figures are printed."""
_HALF_CENT = 0.0051
"""Half of the last digit that it prints."""
_RESOLUTION_MS = 0.001
"""It cuts latencies to whole microseconds."""
_STREAMS = 100.0
"""Requests that one client has under way at once, at most, where more were begun than ended (`-m`)."""
_STALLED = 2.0
"""So many times as many as on average may be under way when a run begins or ends."""
_BY_NUMBER = re.compile(r"total client\(s\)\..{0,80}? [0-9]+ total requests")
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
    died = _BY_TIME in run or (count["errored"] > 0 and not count["late"])
    lived = _lived(run, rate, clients) if died else None
    # A client whose connection is closed asks no more, and what it had begun is counted nowhere.
    lost = (
        max(count["started"] - count["done"], 0.0) if _BY_TIME in run and lived is not None and lived < _RAMPED else 0.0
    )
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
        twice=(
            *moments.told_twice(),
            *_rate_twice(run, finished, count),
            *_clients_twice(run),
            *_told_twice(count, [float(each) for each in told], edge),
        ),
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
    """Give the share of a run that its clients lived: the rate of each is over its own life."""
    rates = _CLIENT_RATES.search(run)
    of_all = float(rates["mean"]) * clients if rates and clients else 0.0
    return rate / of_all if of_all > rate * _LIVED else None


def _rate_twice(run: str, finished: re.Match[str], count: Mapping[str, float]) -> Iterator[Twice]:
    """Divide again what it divides: whole answers by its main duration, or by what `finished in` prints."""
    rate, over_s, main = float(finished["rate"]), time_ms(finished["time"]), _MAIN.search(run)
    if main is None and not _BY_NUMBER.search(run):
        over_s, of_time = None, _WHOLE  # a heading that was cut off
    else:
        of_time = 0.0 if main else _half_a_digit(finished["time"])
    lasted_s = float(main["main"]) if main else (over_s or 0.0) / 1e3
    if not lasted_s:
        lasted_s = _duration_s(run, time_ms(finished["time"]), count["done"], rate) or 0.0
    if not lasted_s or not rate:
        return
    # Streams that the server reset are done and errored, and in no rate.
    least, most = max(count["done"] - count["errored"], 0.0) / lasted_s, count["done"] / lasted_s
    room = _HALF_CENT + of_time * rate
    yield Twice(
        told=f"{significant(rate, 6)}/s",
        parts=f"{count['done']:,.0f} answers in {seconds(lasted_s)} are {significant(most, 6)}/s",
        agree=least - room <= rate <= most + room,
    )


def _clients_twice(run: str) -> Iterator[Twice]:
    rates = _CLIENT_RATES.search(run)
    if rates:
        least, most, mean = map(float, rates.group("min", "max", "mean"))
        yield Twice(
            told=f"{significant(mean)}/s of a client on average",
            parts=f"{significant(least)} to {significant(most)}/s of all",
            agree=least - 2 * _HALF_CENT <= mean <= most + 2 * _HALF_CENT,
        )


def _half_a_digit(printed: str) -> float:
    """Give the share by which a time of two digits behind the point, or of whole microseconds, may be off."""
    figure = re.match(r"[0-9.]+", printed)
    value = float(figure[0]) if figure else 0.0
    half = _HALF_CENT if figure and "." in figure[0] else 0.5
    return half / value if value else math.inf


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
