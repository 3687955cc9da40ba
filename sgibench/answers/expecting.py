"""An answer held against what was expected of it (pure): used before the load and under it, so that both agree."""

from __future__ import annotations

from collections.abc import Sequence

from sgibench.model import Expectation

SHOWN_BYTES = 80
MOST_TIMES = 4.0
MORE_BYTES = 1024
"""What a body may have more than sizes that were seen suggest."""


def misfit(expected: Expectation, status: int, content_type: str | None, body: bytes) -> str | None:
    """Say in one sentence how an answer is not what was expected; None when it is."""
    if status != expected.status:
        return f"expected status {expected.status}, but {status} came with {body[:SHOWN_BYTES]!r}"
    if expected.content_type is not None and media_type(content_type) != expected.content_type:
        return f"expected {expected.content_type}, but {media_type(content_type) or 'no Content-Type'} came"
    most = len(body) if expected.most_bytes is None else expected.most_bytes
    if not expected.least_bytes <= len(body) <= most:
        least = "" if expected.least_bytes == most else f"{expected.least_bytes} to "
        return f"expected {least}{most} bytes, but {len(body)} came"
    return None if expected.pieces is None else _strange(expected.pieces, body)


def media_type(content_type: str | None) -> str | None:
    """Give the media type of a Content-Type without its parameters."""
    return None if content_type is None else content_type.partition(";")[0].strip().lower()


def sizes_like(sizes: Sequence[int]) -> tuple[int, int]:
    """How few and how many bytes a body may have, by the sizes of some: all that can be held against one that varies.

    Beyond the smallest and the largest twice as far as they are apart, as ratios, and at least a factor of two; upwards
    four at most. What a few samples did not show is no fault of the app's; no body where each had one is.
    """
    least, most = min(sizes), max(sizes)
    room = max(2.0, (most / max(least, 1)) ** 2)
    return (max(1, int(least / room)) if least else 0), int(most * min(room, MOST_TIMES)) + MORE_BYTES


def _strange(pieces: Sequence[bytes], body: bytes) -> str | None:
    """Find the first piece that a body lacks."""
    if len(pieces) == 1:
        if body == pieces[0]:
            return None
        return "expected {!r}, but {!r} came".format(*_where_apart(pieces[0], body))
    first, *between, last = pieces
    if not body.startswith(first):
        return "expected the body to begin with {!r}, but {!r} came".format(*_where_apart(first, body))
    at, end = len(first), len(body) - len(last)
    for piece in between:
        found = body.find(piece, at, end)
        if found < 0:
            return f"expected {piece[:SHOWN_BYTES]!r} in the body after byte {at}, but it is not there"
        at = found + len(piece)
    if end < at or not body.endswith(last):
        apart = _where_apart(last[::-1], body[::-1])
        return "expected the body to end with {!r}, but {!r} came".format(*(one[::-1] for one in apart))
    return None


def _where_apart(expected: bytes, came: bytes) -> tuple[bytes, bytes]:
    """Give of both as much as is shown, so that the first byte in which they differ is in it."""
    least = min(len(expected), len(came))
    place = next((place for place in range(least) if expected[place] != came[place]), least)
    start = max(0, place - SHOWN_BYTES // 2) if place >= SHOWN_BYTES else 0
    return expected[start : start + SHOWN_BYTES], came[start : start + SHOWN_BYTES]
