"""A page for clients that accept gzip: compressed by the app, by what stands before it, or not at all."""

from __future__ import annotations

import zlib

from sgibench.load.pages import page_of, whole
from sgibench.load.user import Answer, BenchUser, get

GZIP = 16 + zlib.MAX_WBITS


def whole_once_unpacked(answer: Answer) -> str | None:
    """Whether it is a page from its first to its last line, once it is unpacked."""
    body = answer.body
    if answer.header("content-encoding") == "gzip":
        try:
            body = zlib.decompress(body, GZIP)
        except zlib.error as error:
            return f"expected gzip, but {error}"
    return whole(body)


class Compressed(BenchUser):
    """A page for clients that accept gzip: compressed by the app, by what stands before it, or not at all."""

    requests = (
        get("/page", headers=(("Accept-Encoding", "gzip"),), expect=whole_once_unpacked, example=page_of(rows=100)),
    )
