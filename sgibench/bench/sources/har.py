"""A browser's HAR file (HTTP Archive 1.2): the requests to the app's own host, as the browser sent them."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from sgibench.bench.asking import KEPT
from sgibench.bench.sources.source import Source, parse_json, read_source, refuse_none, weighted
from sgibench.errors import UsageError
from sgibench.model import Asked

FLAG = "--har"
STATIC_TYPES = ("image/", "font/", "audio/", "video/", "text/css", "text/javascript", "application/javascript",
                "application/x-javascript", "application/font", "application/wasm")  # fmt: skip
STATIC_ENDS = (".js", ".mjs", ".css", ".map", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".ico", ".webp", ".avif",
               ".woff", ".woff2", ".ttf", ".otf", ".eot", ".mp4", ".webm", ".wasm")  # fmt: skip
NOT_SENT = frozenset({
    "host", "connection", "keep-alive", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect",
    "proxy-connection", "accept-encoding", "if-none-match", "if-modified-since", "if-match", "if-unmodified-since",
    "if-range", "range", "cache-control", "pragma", "origin", "referer", "priority", "dnt", "user-agent",
    "upgrade-insecure-requests",
})  # fmt: skip
"""Of the connection, of caches, or of the browser; without them the whole answer comes, and always the same."""
OK, BAD, NOT_MODIFIED = 200, 400, 304


def read_har(path: Path) -> Source:
    """Read a HAR file; raises UsageError."""
    data = parse_json(FLAG, path, read_source(FLAG, path))
    log = data.get("log") if isinstance(data, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        raise UsageError(f"{FLAG} {path}: expected a HAR file, an object with log.entries in it")
    if not entries:
        raise UsageError(f"{FLAG} {path}: expected requests, but log.entries is empty: record a page load first")
    host = _own_host(entries)
    left_out: Counter[str] = Counter()
    counts: dict[Asked, int] = {}
    for entry in entries:
        try:
            reason = _reason(entry, host)
            asked = None if reason else _asked(entry)
        except (AttributeError, TypeError, ValueError, KeyError, binascii.Error):
            reason, asked = "that no browser writes", None
        if asked is None:
            left_out[reason or "that no browser writes"] += 1
        else:
            counts[asked] = counts.get(asked, 0) + 1
    return refuse_none(FLAG, path, Source(asked=weighted([*counts.items()]), left_out=left_out))


def _own_host(entries: list[Any]) -> str:
    """Give the host of the first page; of the first request when no page is in it."""
    hosts: list[str] = []
    for entry in entries:
        try:
            host = urlsplit(str(entry["request"]["url"])).netloc
            kind = str(entry["response"]["content"].get("mimeType", ""))
        except (AttributeError, TypeError, ValueError, KeyError):
            continue
        if kind.startswith("text/html"):
            return host
        hosts.append(host)
    return Counter(hosts).most_common(1)[0][0] if hosts else ""


def _reason(entry: dict[str, Any], host: str) -> str | None:
    """Say why an entry is left out; None when it is not."""
    request, response = entry["request"], entry["response"]
    url = urlsplit(request["url"])
    status = int(response.get("status") or 0)
    kind = str((response.get("content") or {}).get("mimeType", "")).lower()
    rules = (
        (url.scheme not in {"http", "https"}, "that are no HTTP requests"),
        (url.netloc != host, f"to other hosts than {host}"),
        (_is_cached(entry) or status == NOT_MODIFIED, "from the browser's cache"),
        (status == 0 or bool(response.get("_error")), "that were aborted or got no answer"),
        (status < OK, "that became something else than HTTP"),
        (kind.startswith(STATIC_TYPES) or url.path.lower().endswith(STATIC_ENDS), "for static files"),
        (status >= BAD, "that were answered 400 or more"),
        (str(request["method"]).upper() in {"OPTIONS", "CONNECT", "TRACE"}, "that a browser asks by itself"),
        (not str(request["method"]).isalpha(), "that no browser writes"),
    )
    return next((reason for applies, reason in rules if applies), None)


def _is_cached(entry: dict[str, Any]) -> bool:
    """Whether the browser says that it asked nobody: Chrome and Safari have names of their own for that."""
    return bool(entry.get("_fromCache")) or "cache" in str(entry.get("_fetchType", "")).lower()


def _asked(entry: dict[str, Any]) -> Asked:
    """Read one entry. Its status is what is wanted, so that a redirect is asked for once, and a lost login shows."""
    request = entry["request"]
    url = urlsplit(request["url"])
    path = quote(url.path or "/", safe=KEPT) + (f"?{quote(url.query, safe=KEPT)}" if url.query else "")
    headers = tuple((str(each["name"]), str(each["value"])) for each in request.get("headers", []) if _is_sent(each))
    return Asked(
        method=str(request["method"]).upper(),
        path=path,
        headers=headers,
        body=_body(request.get("postData")),
        status=int(entry["response"]["status"]),
    )


def _is_sent(header: dict[str, Any]) -> bool:
    name, value = str(header["name"]).lower(), str(header["value"])
    plain = value.isascii() and value.isprintable()
    return plain and not name.startswith((":", "sec-")) and name not in NOT_SENT


def _body(data: Any) -> bytes:
    if not isinstance(data, dict):
        return b""
    text = data.get("text")
    if text is None:
        return urlencode([(each["name"], each.get("value", "")) for each in data.get("params", [])]).encode()
    return base64.b64decode(text) if data.get("encoding") == "base64" else str(text).encode()
