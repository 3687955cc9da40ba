"""An access log: common or combined format, whatever was put before or behind it, as gunicorn and uvicorn write it too.

Only what changes nothing is asked. Paths that differ only in an id are one request, asked by the most frequent of them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path
from urllib.parse import quote, urlsplit

from sgibench.bench.asking import KEPT
from sgibench.bench.sources.source import Source, read_source, refuse_none, weighted
from sgibench.errors import UsageError
from sgibench.model import Asked

FLAG = "--access-log"
TOP = 20
"""Requests that are taken, the most frequent ones."""
LEAST_READ = 0.5
"""Of the lines must be read, or it is another format."""
SHOWN = 120
BAD = 400
_LINE = re.compile(r'"(?P<method>[A-Z]{3,10}) (?P<target>[^ "]+)(?: HTTP/\d(?:\.\d)?)?" (?P<status>\d{3})\b')
_OTHER = re.compile(r'"(?P<words>[^"]*)" (?P<status>\d{3})\b')
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""As uvicorn and werkzeug write on a terminal."""
_ID = re.compile(
    r"\d+|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{16,}|(?=[^/]*\d)[A-Za-z0-9_-]{20,}", re.IGNORECASE
)
STATIC = re.compile(r"\.(?:js|mjs|css|map|png|jpe?g|gif|svg|ico|webp|woff2?|ttf|otf|eot|mp4|webm|wasm)$", re.IGNORECASE)


def read_access_log(path: Path, top: int = TOP) -> Source:
    """Read a log; raises UsageError."""
    text = _COLOUR.sub("", read_source(FLAG, path).decode("utf-8", errors="replace"))
    left_out: Counter[str] = Counter()
    groups: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    lines = read = 0
    for line in text.splitlines():
        if not line.strip():
            continue
        lines += 1
        found = _LINE.search(line)
        if found is None:
            read += bool(_OTHER.search(line))
            left_out["lines without a request"] += 1
            continue
        read += 1
        method, target = found["method"], _path_of(found["target"])
        reason = _reason(method, target, int(found["status"]))
        if reason or target is None:
            left_out[reason or "that ask for no path"] += 1
        else:
            groups[method, group_of(target)][target] += 1
    if read < LEAST_READ * lines:
        first = next(line for line in text.splitlines() if line.strip())
        raise UsageError(
            f"{FLAG} {path}: expected the common or combined log format ('… \"GET / HTTP/1.1\" 200 …'), "
            f"but only {read} of {lines} lines are like that; the first is {first[:SHOWN]!r}"
        )
    ranked = sorted(groups.items(), key=lambda item: -item[1].total())
    taken, rest = ranked[:top], ranked[top:]
    for (method, group), counts in rest[:3]:
        left_out[f"to {method} {group}, which is rarer than the {top} most frequent"] += counts.total()
    if more := sum(counts.total() for _, counts in rest[3:]):
        left_out[f"to {len(rest) - 3} more that are rarer still"] += more
    asked = [(Asked(method=method, path=counts.most_common(1)[0][0]), counts.total()) for (method, _), counts in taken]
    return refuse_none(FLAG, path, Source(asked=weighted(asked), left_out=left_out))


def _path_of(target: str) -> str | None:
    """Give path and query of a request line's target; None for what is neither."""
    try:
        parts = urlsplit(target) if not target.startswith("/") else None
    except ValueError:
        return None
    if parts is not None:
        if parts.scheme not in {"http", "https"}:
            return None
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return quote(target, safe=KEPT) if "\\x" not in target else None


def _reason(method: str, target: str | None, status: int) -> str | None:
    if target is None:
        return "that ask for no path"
    if method not in {"GET", "HEAD"}:
        return f"{method} requests, which may change something"
    if status >= BAD:
        return "that were answered 400 or more"
    return "for static files" if STATIC.search(target.partition("?")[0]) else None


def group_of(target: str) -> str:
    """Give what a path has in common with those that differ only in an id, or in the values of the query."""
    path, _, query = target.partition("?")
    parts = "/".join("{id}" if _ID.fullmatch(part) else part for part in path.split("/"))
    names = sorted({pair.partition("=")[0] for pair in query.split("&") if pair})
    return f"{parts}?{'&'.join(names)}" if names else parts
