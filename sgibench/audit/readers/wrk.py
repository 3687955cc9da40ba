"""wrk's and wrk2's text output, with or without `--latency`; several runs may follow one another in one file.

wrk counts answers with a status of 400 and more as requests; socket errors are not among its requests. wrk2 holds a
rate (open loop), which its histogram's title tells.
"""

from __future__ import annotations

import re

from sgibench.audit.figures import Figures
from sgibench.audit.readers.fields import time_ms

_RUN = re.compile(r"^Running .+? test @ (?P<url>\S+)", re.MULTILINE)
_CONNECTIONS = re.compile(r"^\s*\d+ threads? and (\d+) connections", re.MULTILINE)
_LATENCY = re.compile(r"^\s*Latency\s+(?P<mean>[\d.]+\w+)\s+[\d.]+\w+\s+(?P<max>[\d.]+\w+)", re.MULTILINE)
_PERCENTILE = re.compile(r"^\s*(?P<percent>[\d.]+)%\s+(?P<value>[\d.]+(?:us|ms|s|m))\s*$", re.MULTILINE)
_TOTAL = re.compile(r"^\s*(?P<requests>\d+) requests in (?P<time>[\d.]+\w+)", re.MULTILINE)
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)", re.MULTILINE)
_NOT_OK = re.compile(r"^\s*Non-2xx or 3xx responses: (\d+)", re.MULTILINE)
_SOCKET = re.compile(r"^\s*Socket errors: (connect (\d+), read (\d+), write (\d+), timeout (\d+))", re.MULTILINE)


def recognises(text: str) -> bool:
    """Look for wrk's first line and its rate."""
    return _RUN.search(text) is not None and "Requests/sec:" in text


def read(text: str, name: str) -> list[Figures]:
    """Read every run of the text."""
    starts = [match.start() for match in _RUN.finditer(text)]
    runs = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    return [_row(run, name if len(runs) == 1 else f"{name}#{place}") for place, run in enumerate(runs, start=1)]


def _row(run: str, name: str) -> Figures:
    total, rate, latency = _TOTAL.search(run), _RATE.search(run), _LATENCY.search(run)
    if total is None or rate is None:
        raise ValueError(f"{name} has no line such as `1000 requests in 10.00s` with its Requests/sec")
    url, connections = _RUN.search(run), _CONNECTIONS.search(run)
    not_ok, socket = _NOT_OK.search(run), _SOCKET.search(run)
    wrong = int(not_ok[1]) if not_ok else 0
    broken = sum(int(found) for found in socket.groups()[1:]) if socket else 0
    said = [f"{wrong} answers that are neither 2xx nor 3xx"] if wrong else []
    at = {float(found["percent"]): time_ms(found["value"]) for found in _PERCENTILE.finditer(run)}
    duration_ms = time_ms(total["time"])
    return Figures(
        id=name,
        label=url["url"] if url else "",
        load="open" if "HdrHistogram" in run else "closed",
        connections=float(connections[1]) if connections else None,
        duration_s=None if duration_ms is None else duration_ms / 1e3,
        requests_ok=int(total["requests"]) - wrong,
        errors=wrong + broken,
        error_text=", ".join([*said, *([socket[1]] if socket and broken else [])]),
        rps=float(rate[1]),
        mean_ms=time_ms(latency["mean"]) if latency else None,
        p50_ms=at.get(50.0),
        p90_ms=at.get(90.0),
        p99_ms=at.get(99.0),
        max_ms=time_ms(latency["max"]) if latency else None,
    )
