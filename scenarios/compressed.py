"""A page for clients that accept gzip: compressed by the app, by what stands before it, or not at all."""

from __future__ import annotations

import zlib

from sgibench.load.user import Answer, BenchUser, get

PAGE = b"<!doctype html>\n" + b"<p>row</p>\n" * 100 + b"</html>\n"
GZIP = 16 + zlib.MAX_WBITS


def whole_page(answer: Answer) -> str | None:
    """Whether it is a page from its first to its last line, once it is unpacked."""
    body = answer.body
    if answer.header("content-encoding") == "gzip":
        try:
            body = zlib.decompress(body, GZIP)
        except zlib.error as error:
            return f"expected gzip, but {error}"
    whole = body.startswith(b"<!doctype html>") and body.endswith(b"</html>\n")
    return None if whole else f"expected a whole page, but {body[:40]!r} came"


class Compressed(BenchUser):
    """A page for clients that accept gzip: compressed by the app, by what stands before it, or not at all."""

    requests = (get("/page", headers=(("Accept-Encoding", "gzip"),), expect=whole_page, example=PAGE),)
