"""wrk's and wrk2's text output, with or without `--latency`; several runs may follow one another, in Markdown too.

wrk counts answers with a status of 400 and more as requests; connect, read and write errors are not among its requests.
It opens floor(connections / threads) for each thread but prints what was asked for. Answers later than its time-out are
requests, are left out of the latency, and are what `timeout N` counts. wrk 4 adds the answers that it thinks a stall
swallowed to its latencies, so its mean is raised, never lowered. Opening a connection is in no latency; only the
command above a run tells that each request did (`Connection: close`), and nothing that a server (HTTP/1.0) had it so.
wrk2 holds a rate (open loop): it calibrates first, in runs of more than 10 s; in shorter ones its `Req/Sec` is `-nan`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sgibench.audit.figures import Figures, Twice
from sgibench.audit.readers.fields import (
    NUMBER,
    TIME,
    known_times,
    labels,
    measured_ms,
    plain_number,
    sections,
    time_ms,
)
from sgibench.audit.readers.material import Material
from sgibench.audit.readers.moments import Moments
from sgibench.errors import shown
from sgibench.units import seconds, significant

RUN = re.compile(r"Running (?P<time>\S{1,20}) test @ (?P<url>\S{1,500}+)(?!\s*\n\s*[0-9]+ connections)")
"""autocannon's first line is the same, and its second has no threads."""
_STATS = r"[ \t]*Thread Stats[ \t]+Avg"
START = re.compile(
    rf"{RUN.pattern}|^[ \t]*[0-9]{{1,6}} threads? and [0-9]{{1,9}} connections[ \t]*\n(?=\s*Thread )|^{_STATS}",
    re.MULTILINE,
)
"""A paste may lack the first lines of a run."""
RATE = re.compile(rf"Requests/sec:[ \t]+({NUMBER})(?:(?<=\.[0-9][0-9])(?![\w.,])|(?=[ \t]*\n))")
"""At the end of a text two digits behind the point, as wrk prints them, tell that none was lost."""
TOTAL = re.compile(rf"(?<![0-9.,])(?P<requests>{NUMBER}) requests in (?P<time>{TIME})")
_ODD_RATE = re.compile(r"Requests/sec:[ \t]+(\S{1,40})[^\n]*\n")
_CONNECTIONS = re.compile(r"(?P<threads>[0-9]+) threads? and (?P<connections>[0-9]+) connections")
_LATENCY = re.compile(rf"Latency[ \t]+(?P<mean>{TIME})[ \t]+(?P<spread>{TIME})[ \t]+(?P<max>{TIME})")
_PERCENTILE = re.compile(rf"^[ \t]*(?P<percent>[0-9]+(?:\.[0-9]+)?)%[ \t]+(?P<value>{TIME})\s*$", re.MULTILINE)
_TABLE = re.compile(rf"^{_STATS}", re.MULTILINE)
_CELLS = re.compile(rf"^{_STATS}[^\n]*\n[ \t]*Latency[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)", re.MULTILINE)
_SHARES = re.compile(r"Latency Distribution[^\n]*\n(?P<lines>(?:[ \t]*[0-9]+(?:\.[0-9]+)?%[ \t]+\S+[ \t]*\n){1,20})")
_UNSAMPLED = re.compile(r"Req/Sec[ \t]+-?nan")
_NOT_OK = re.compile(r"Non-2xx or 3xx responses: ([0-9]+)")
_SOCKET = re.compile(r"Socket errors: (connect (-?[0-9]+), read (-?[0-9]+), write (-?[0-9]+), timeout (-?[0-9]+))")
_BYTES = r"(?P<many>[0-9]+\.[0-9][0-9])(?P<unit>[KMGTP]?)B"
_READ = re.compile(rf" requests in [^\n]{{1,40}}, {_BYTES} read")
_TRANSFER = re.compile(rf"Transfer/sec:[ \t]+{_BYTES}")
_WITHIN = re.compile(r"^[ \t]*(Latency|Req/Sec)(?:[ \t]+[0-9.]+\w*){3}[ \t]+([0-9]+\.[0-9]+)%", re.MULTILINE)
_HALF_DIGIT = 0.005
"""All its figures have two digits behind the point ..."""
_MARGIN = 0.002
"""... and floating-point numbers some more."""
_ALL = 100.0
_CLOSES = re.compile(r"Connection:\s*close", re.IGNORECASE)
_MOST_OPENED = 100_000.0
"""Connections that one thread can open in a second, at most: a dozen system calls and a handshake take 10 µs."""
_OWN = re.compile(r"https?://(?:localhost|127\.|\[::1\])")
_TURNS = 3.0
"""Of its loop: the connection is there, the request may be written, and one of those that others hold the CPU for."""
_TURN_MS, _EVENT_MS = 0.5, 0.15
"""What a turn takes at most, and each connection in it, where servers want the same CPUs: measured were 0.08 ms."""
_UNCORRECTED = "Uncorrected Latency"
_OPEN = re.compile(r"Thread calibration:|HdrHistogram")


def read(material: Material) -> list[Figures]:
    """Read every run of the text."""
    runs = _runs(material.plain)
    # The command of a run stands above it, so behind the figures of the one before.
    above = [START.split(runs[0], maxsplit=1)[0], *(run.rpartition("Requests/sec:")[2] for run in runs[:-1])]
    runs = [run[found.start() :] if (found := START.search(run)) else run for run in runs]
    named = zip(runs, labels(material.name, runs), above, strict=True)
    return [_row(run, name, closes=_CLOSES.search(before) is not None) for run, name, before in named]


def _runs(text: str) -> list[str]:
    """Cut before each run: its first line, the line about its connections and its table are of one."""
    runs: list[str] = []
    for each in sections(text, START, above=True):
        has_table = bool(runs) and _TABLE.search(runs[-1]) is not None
        goes_on = runs and not has_table and not RUN.match(each)
        if goes_on and (_TABLE.match(each) or not _CONNECTIONS.search(runs[-1])):
            runs[-1] += each
        else:
            runs.append(each)
    return runs


def _row(run: str, name: str, *, closes: bool) -> Figures:
    total, rate, latency = TOTAL.search(run), RATE.search(run), _LATENCY.search(run)
    if total is None or rate is None:
        odd = _ODD_RATE.search(run)
        if total is not None and odd is not None:
            raise ValueError(f"{name} has `Requests/sec:` {shown(odd[1])}, which is no number such as 1234.56")
        missing = "line such as `1000 requests in 10.00s`" if total is None else "`Requests/sec:`"
        raise ValueError(f"{name} has no {missing}: its output breaks off")
    transfer, read_bytes = _TRANSFER.search(run), _READ.search(run)
    run = run[: rate.end()]  # what follows is of nobody's run
    url, found = RUN.search(run), _CONNECTIONS.search(run)
    not_ok, socket = _NOT_OK.search(run), _SOCKET.search(run)
    connect, read_, write, late = (float(each) for each in socket.groups()[1:]) if socket else (0.0,) * 4
    broken = connect + read_ + write
    wrong = float(not_ok[1]) if not_ok else 0.0
    requests, rps = plain_number(total["requests"]), plain_number(rate[1])
    duration_s = (time_ms(total["time"]) or 0.0) / 1e3
    said = [f"{wrong:.0f} answers that are neither 2xx nor 3xx"] if wrong else []
    own_table = run.partition(_UNCORRECTED)[0]
    cells, shares = _CELLS.search(own_table), _SHARES.search(own_table)
    known_times(name, "Latency", cells.groups() if cells else ())
    known_times(name, "Latency Distribution", shares["lines"].split()[1::2] if shares else ())
    at = {float(each["percent"]): measured_ms(each["value"]) for each in _PERCENTILE.finditer(own_table)}
    moments = _moments(latency, max(requests - late, 0.0))
    return Figures(
        id=name,
        label=url["url"] if url else "",
        load="open" if _OPEN.search(run) or _UNSAMPLED.search(run) else "closed",
        connections=None if found is None else _opened(found),
        new_connections=closes,
        mean_raised=True,
        unseen_s=late * duration_s,
        reconnects=requests if closes else read_ + write,
        untold_open_ms=_untold_open_ms(found, url["url"] if url else "", at.get(50.0) or moments.mean_ms, rps),
        duration_s=duration_s,
        run_s=duration_s,
        requests_ok=max(requests - wrong, 0.0),
        errors=wrong + broken + late,
        answered_wrong=wrong,
        timed=max(requests - late, 0.0),
        error_text=", ".join([*said, *([socket[1]] if socket and broken + late else [])]),
        rps=rps,
        edge_ms=moments.edge_ms,
        mean_ms=moments.mean_ms,
        p50_ms=at.get(50.0),
        p90_ms=at.get(90.0),
        p99_ms=at.get(99.0),
        max_ms=moments.max_ms,
        quantiles_ms=tuple((percent / 100, value) for percent, value in sorted(at.items()) if value is not None),
        twice=(
            *moments.told_twice(),
            *_rates_twice(total, rate, (read_bytes, transfer)),
            *_never(found, (connect, read_, write, late), _WITHIN.findall(run)),
        ),
    )


def _rates_twice(
    total: re.Match[str], rate: re.Match[str], transferred: tuple[re.Match[str] | None, re.Match[str] | None]
) -> Iterator[Twice]:
    """Divide again what it divides: requests and bytes by the same time."""
    requests, lasted_s = plain_number(total["requests"]), (time_ms(total["time"]) or 0.0) / 1e3
    printed, per_s = float(re.match(r"[0-9.]+", total["time"])[0]), plain_number(rate[1])  # type: ignore[index]
    if not lasted_s or not printed or not per_s:
        return
    room = _MARGIN + _HALF_DIGIT / printed
    yield Twice(
        told=f"{significant(per_s)}/s",
        parts=f"{requests:,.0f} requests in {seconds(lasted_s)} are {significant(requests / lasted_s)}/s",
        agree=abs(requests / lasted_s - per_s) <= room * per_s + _HALF_DIGIT,
    )
    read_bytes, each_s = transferred
    if read_bytes and each_s and float(read_bytes["many"]) and float(each_s["many"]):
        of_time = _bytes(read_bytes) / lasted_s
        room += _HALF_DIGIT / float(read_bytes["many"]) + _HALF_DIGIT / float(each_s["many"])
        yield Twice(
            told=f"{each_s['many']}{each_s['unit']}B/s transferred",
            parts=f"{read_bytes['many']}{read_bytes['unit']}B were read in {seconds(lasted_s)}",
            agree=abs(of_time - _bytes(each_s)) <= room * max(of_time, _bytes(each_s)),
        )


def _bytes(found: re.Match[str]) -> float:
    return float(found["many"]) * 1024.0 ** " KMGTP".index(found["unit"] or " ")


def _never(found: re.Match[str] | None, errors: Sequence[float], within: Sequence[tuple[str, str]]) -> Iterator[Twice]:
    """Say what it never prints: it refuses to run with more threads than connections."""
    if found and float(found["threads"]) > float(found["connections"]):
        refused = f"{found['connections']} connections: it refuses that"
        yield Twice(told=f"{found['threads']} threads", parts=refused, agree=False)
    yield Twice(told=f"{min(errors):.0f} socket errors", parts="no count is less than 0", agree=min(errors) >= 0)
    for name, share in within:
        told = f"{share}% of {name} within a standard deviation"
        yield Twice(told=told, parts="there is no more than all", agree=float(share) <= _ALL)


def _moments(latency: re.Match[str] | None, count: float) -> Moments:
    mean, spread, most = latency.group("mean", "spread", "max") if latency else (None, None, None)
    return Moments(mean_ms=measured_ms(mean), spread_ms=time_ms(spread), max_ms=measured_ms(most), count=count)


def _untold_open_ms(found: re.Match[str] | None, url: str, typical_ms: float | None, rps: float) -> float | None:
    """Give how long it may take to open a connection, which it does after each answer of a server that closes it.

    It prints nothing of that. An answer is noted in the turn of its loop after it came; until a request is sent on a
    new connection there are two more: no longer than two typical answers take, or four where TLS is begun as well. On
    one machine there is no network, only the turns, each of as many connections as have something to do.
    """
    if found is None or typical_ms is None or not float(found["threads"]):
        return None
    threads, connections = float(found["threads"]), _opened(found)
    if rps > threads * _MOST_OPENED:
        return None
    most_ms = (2.0 if not url.startswith("https:") else 4.0) * typical_ms
    if _OWN.match(url):
        ready = min(rps / threads * _TURNS * _EVENT_MS / 1e3, 1.0) * connections / threads
        most_ms = min(most_ms, _TURNS * (_TURN_MS + _EVENT_MS * ready))
    return most_ms


def _opened(found: re.Match[str]) -> float:
    threads, connections = float(found["threads"]), float(found["connections"])
    return connections // threads * threads if threads else connections
