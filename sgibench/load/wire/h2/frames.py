"""Frames as bytes: what their types, flags and settings are called, and how those that a client sends are written."""

from __future__ import annotations

import struct
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_SIZE = 9
"""Bytes before a frame's payload: three of length, one of type, one of flags, four of the stream's number."""
MAX_FRAME_SIZE = 16384
"""Largest payload that a peer must take; no larger one is allowed here."""
FIRST_WINDOW = 65535
MAX_WINDOW = 2**31 - 1
MAX_STREAM_ID = 2**31 - 1
CONNECTION_KEY = b"\0\0\0\0"
"""The stream number of what concerns the whole connection."""


class Type(IntEnum):
    """Frame types (section 6)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20


class Setting(IntEnum):
    """Settings (section 6.5.2)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


CANCEL = 8
"""The error code with which a client gives a stream up."""
CODES = (
    *("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED"),
    *("FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM"),
    *("INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"),
)


def code_named(code: int) -> str:
    """Name an error code (section 7)."""
    return CODES[code] if code < len(CODES) else f"error {code}"


def front(size: int, kind: int, flags: int) -> bytes:
    """Write what stands before the stream's number."""
    return size.to_bytes(3, "big") + bytes((kind, flags))


def frame(kind: int, flags: int, key: bytes, payload: bytes = b"") -> bytes:
    """Write a whole frame; `key` is the stream's number as four bytes."""
    return front(len(payload), kind, flags) + key + payload


def settings(values: dict[int, int]) -> bytes:
    """Write a SETTINGS frame."""
    payload = b"".join(struct.pack(">HI", name, value) for name, value in values.items())
    return frame(Type.SETTINGS, 0, CONNECTION_KEY, payload)


def window_update(key: bytes, more: int) -> bytes:
    """Write a WINDOW_UPDATE frame."""
    return frame(Type.WINDOW_UPDATE, 0, key, more.to_bytes(4, "big"))


def request_parts(block: bytes, upload: bytes, *, more: bool = False) -> tuple[bytes, ...]:
    """Write a request, ready to be joined by the stream's number: HEADERS, as many CONTINUATION as it takes, DATA.

    `upload` must fit into one frame; without one, HEADERS ends the stream, unless `more` is sent apart.
    """
    ends = 0 if upload or more else END_STREAM
    pieces = [block[at : at + MAX_FRAME_SIZE] for at in range(0, len(block), MAX_FRAME_SIZE)]
    last = len(pieces) - 1
    frames: list[tuple[int, int, bytes]] = [
        (Type.HEADERS if not number else Type.CONTINUATION, ends * (not number) | END_HEADERS * (number == last), piece)
        for number, piece in enumerate(pieces)
    ]
    return joinable([*frames, (Type.DATA, END_STREAM, upload)] if upload else frames)


def joinable(frames: list[tuple[int, int, bytes]]) -> tuple[bytes, ...]:
    """Give parts of which `key.join(parts)` is these frames, one behind the other, all of one stream."""
    parts = [b""]
    for kind, flags, payload in frames:
        parts[-1] += front(len(payload), kind, flags)
        parts.append(payload)
    return tuple(parts)
