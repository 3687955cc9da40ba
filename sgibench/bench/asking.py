"""What the user writes for a request, read into what is asked (pure): `3 GET /path`, `POST /login 302`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

from sgibench.errors import UsageError, shown
from sgibench.model import Asked

_WORDS = re.compile(
    r"\s*(?:(?P<weight>\d{1,6})\s+)?(?:(?P<method>[A-Za-z]+)\s+)?(?P<path>/\S*)(?:\s+(?P<status>\d{3}))?\s*"
)
_HEADER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*:\s*([\t\x20-\x7e\x80-\xff]*)")
"""RFC 9110, section 5.5; what lies beyond Latin-1 has no bytes in a header."""
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
KEPT = "".join(chr(code) for code in range(0x21, 0x7F))
"""What may stand in a path as it is; everything else is percent-encoded."""
LEAST_STATUS, MOST_STATUS = 200, 599
HOME = Asked(method="GET", path="/")
"""Asked when the user names nothing."""


def read_requests(texts: Sequence[str], bodies: Sequence[bytes], headers: Sequence[str]) -> tuple[Asked, ...]:
    """Read all of them; raises UsageError.

    The headers go with every request, the n-th body with the n-th request whose method sends one.
    """
    sent = tuple(read_header(text) for text in headers)
    left = [*bodies]
    asked = []
    for text in texts:
        if text.lstrip().startswith("{"):
            asked.append(read_table(text, sent))
            continue
        one = read_request(text)
        body = left.pop(0) if left and one.method in BODY_METHODS else b""
        asked.append(with_parts(one, body, sent))
    if left:
        raise UsageError(f"--body: expected at most one for each POST, PUT and PATCH, got {len(left)} more")
    return tuple(asked)


def told_apart(asked: Sequence[Asked]) -> tuple[Asked, ...]:
    """Take those that are the same in all as one, asked as often as all; number those of one method and path."""
    weights: dict[Asked, int] = {}
    for one in asked:
        key = replace(one, weight=1)
        weights[key] = weights.get(key, 0) + one.weight
    seen: Counter[str] = Counter()
    found = []
    for one, weight in weights.items():
        seen[one.line] += 1
        found.append(replace(one, weight=weight, twin=seen[one.line] if seen[one.line] > 1 else 0))
    return tuple(found)


def read_table(text: str, headers: tuple[tuple[str, str], ...]) -> Asked:
    """Read one with a body and headers of its own, as JSON: `request`, `body`, `header`; raises UsageError."""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        table = {}
    named, body, own = table.get("request"), table.get("body", ""), table.get("header", [])
    own = [own] if isinstance(own, str) else own
    if (
        not isinstance(named, str)
        or not isinstance(body, str)
        or not isinstance(own, list)
        or not all(isinstance(each, str) for each in own)
        or table.keys() - {"request", "body", "header"}
    ):
        raise UsageError(
            "--request: expected {request = '3 POST /path', body = '…', header = ['Name: value']}, got " + shown(text)
        )
    return with_parts(read_request(named), body.encode("utf-8", "surrogatepass"), (*headers, *map(read_header, own)))


def read_request(text: str) -> Asked:
    """Read one; raises UsageError."""
    found = _WORDS.fullmatch(text)
    weight = int(found["weight"] or 1) if found else 0
    status = int(found["status"]) if found and found["status"] else None
    if found is None or weight < 1 or not (status is None or LEAST_STATUS <= status <= MOST_STATUS):
        raise UsageError(f"--request: expected a request such as '3 GET /path' or 'POST /items 201', got {shown(text)}")
    return Asked(
        method=(found["method"] or "GET").upper(),
        path=quote(found["path"].partition("#")[0], safe=KEPT),
        weight=weight,
        status=status,
    )


def read_header(text: str) -> tuple[str, str]:
    """Read `Name: value`; raises UsageError."""
    found = _HEADER.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--header: expected 'Name: value', got {shown(text.partition(':')[0])}")
    return found[1], found[2].strip()


def with_parts(asked: Asked, body: bytes, headers: tuple[tuple[str, str], ...]) -> Asked:
    """Give a request its body and headers; JSON is called JSON when nobody says otherwise."""
    names = {name.lower() for name, _ in headers}
    extra = (("Content-Type", _type_of(body)),) if body and "content-type" not in names else ()
    return Asked(
        method=asked.method,
        path=asked.path,
        weight=asked.weight,
        status=asked.status,
        headers=(*headers, *extra),
        body=body,
    )


def with_headers(asked: Asked, headers: tuple[tuple[str, str], ...]) -> Asked:
    """Give a request headers of the user's, which win over its own."""
    names = {name.lower() for name, _ in headers}
    return replace(asked, headers=(*(pair for pair in asked.headers if pair[0].lower() not in names), *headers))


def _type_of(body: bytes) -> str:
    return "application/json" if body.lstrip()[:1] in {b"{", b"["} else "application/x-www-form-urlencoded"
