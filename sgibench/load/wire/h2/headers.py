"""Header blocks: requests are written without any table, answers are read by `hpack` and checked (section 8).

The server is told that its table has no room, so what a block means depends on its bytes alone, and blocks that were
read are remembered. A server that uses a table all the same is an error of the kind `protocol`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from hpack import Decoder, HPACKError, OversizedHeaderListError

from sgibench.load.wire.answer import Head, WireError
from sgibench.load.wire.answer import length_of as content_length_of
from sgibench.model.kinds import MOST_HEAD_BYTES, ErrorKind

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"(?:[^\x00\n\r\t ](?:[^\x00\n\r]*[^\x00\n\r\t ])?)?")
_STATUS = re.compile(rb"[1-9][0-9][0-9]")
FORBIDDEN = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
"""Fields that speak of an HTTP/1.1 connection (section 8.2.2)."""
NOT_SENT = frozenset({"connection", "host", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})

_GET, _POST, _HTTP, _HTTPS = b"\x82", b"\x83", b"\x86", b"\x87"
_AUTHORITY, _METHOD, _PATH = 1, 2, 4
_METHODS = {"GET": _GET, "POST": _POST}
_SCHEMES = {"http": _HTTP, "https": _HTTPS}


def request_block(method: str, scheme: str, authority: str, path: str, fields: tuple[tuple[str, str], ...]) -> bytes:
    """Write a request's header block: from the static table, or literally and never to be remembered."""
    block = _METHODS.get(method) or _literal(_METHOD, method)
    block += _SCHEMES[scheme] + _literal(_AUTHORITY, authority) + _literal(_PATH, path)
    for name, value in fields:
        if name.lower() not in NOT_SENT:
            block += b"\x00" + _text(name.lower()) + _text(value)
    return block


def _literal(index: int, value: str) -> bytes:
    """Write a field whose name stands in the static table; without indexing (RFC 7541 section 6.2.2)."""
    return bytes((index,)) + _text(value)


def _text(text: str) -> bytes:
    """Write a string without Huffman's code (RFC 7541 section 5.2)."""
    raw = text.encode("latin-1")
    return _number(len(raw), 7) + raw


def _number(value: int, bits: int) -> bytes:
    """Write a number with a prefix of so many bits (RFC 7541 section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((value,))
    out, value = bytearray((most,)), value - most
    while value >= 0x80:  # noqa: PLR2004 - seven bits a byte
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


def decoded(block: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Decode a block without a dynamic table; raises WireError."""
    decoder = Decoder(max_header_list_size=MOST_HEAD_BYTES)
    decoder.max_allowed_table_size = 0
    decoder.header_table_size = 0
    try:
        return tuple((bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True))
    except (HPACKError, IndexError, ValueError) as error:
        kind: ErrorKind = "too-large" if isinstance(error, OversizedHeaderListError) else "protocol"
        raise WireError(kind, f"expected a header block, but: {error} (COMPRESSION_ERROR)") from error


@lru_cache(maxsize=1024)
def head_of(block: bytes) -> Head:
    """Read the head of an answer, interim ones too; raises WireError."""
    fields = decoded(block)
    pseudo = [field for field in fields if field[0].startswith(b":")]
    if [name for name, _ in pseudo] != [b":status"] or fields[0] != pseudo[0] or not _STATUS.fullmatch(pseudo[0][1]):
        raise WireError("protocol", f"expected one :status before all fields, but got {fields[:3]!r}")
    told = _checked(fields[1:])
    return Head(
        status=int(pseudo[0][1]),
        fields=told,
        length=content_length_of(told),
        chunked=False,
        closes=False,
        size=len(block),
    )


@lru_cache(maxsize=64)
def check_trailers(block: bytes) -> None:
    """Look at the trailers of an answer, which mean nothing here; raises WireError."""
    _checked(decoded(block))


def _checked(fields: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[str, str], ...]:
    """Check names and values as section 8.2 wants."""
    for name, value in fields:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or name in FORBIDDEN:
            raise WireError("protocol", f"expected a field that HTTP/2 allows, but got {name[:40]!r}: {value[:40]!r}")
    return tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in fields)
