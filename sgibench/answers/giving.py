"""What one answer gives and later requests of a session take: fields of a JSON object, written `{id}` where they go.

Pure, and the same before the load, under it and without a server, so that all of them ask the same questions. Only a
field that some request of the session gives is a blank; braces around anything else are what they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from functools import cache

Values = Mapping[str, bytes]
"""Field -> its value as it is written into a request."""

FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_WRITABLE = re.compile(r"[A-Za-z0-9._~-]{1,512}")
"""What stands for itself in a path, a header and a JSON text alike (RFC 3986, section 2.3)."""
SHOWN_BYTES = 60


@cache
def blank(field: str) -> bytes:
    """Write the blank that a field goes into."""
    return b"{%s}" % field.encode()


def blanks_in(fields: Collection[str], *texts: str | bytes) -> tuple[str, ...]:
    """Name those of the fields that have a blank in one of the texts, sorted."""
    whole = b"\n".join(text.encode() if isinstance(text, str) else text for text in texts)
    return tuple(sorted(field for field in fields if blank(field) in whole))


def filled(text: bytes, values: Values) -> bytes:
    """Fill the blanks."""
    for field, value in values.items():
        text = text.replace(blank(field), value)
    return text


def filled_text(text: str, values: Values) -> str:
    """Fill the blanks of a path or a header."""
    return filled(text.encode(), values).decode()


def given(body: bytes, fields: Collection[str]) -> dict[str, bytes]:
    """Read the fields from an answer; raises ValueError with one sentence when it does not give them."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    return given_by(document, body, fields)


def given_by(document: object, body: bytes, fields: Collection[str]) -> dict[str, bytes]:
    """Do the same with an answer that was read already; `body` is what is shown of one that is no object."""
    if not isinstance(document, dict):
        raise ValueError(  # noqa: TRY004 - the value of an answer, not an argument's type
            f"expected a JSON object with {', '.join(fields)}, but {body[:SHOWN_BYTES]!r} came"
        )
    return {field: _written(field, document) for field in fields}


def _written(field: str, document: Mapping[str, object]) -> bytes:
    value = document.get(field)
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not _WRITABLE.fullmatch(text):
        came = repr(value)[:SHOWN_BYTES] if field in document else "it is not there"
        raise ValueError(f"expected {field} to be a number or a word that fits into a path, but {came}")
    return text.encode()
