"""The table of checks, in the order they are made, and the loop that makes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sgibench.errors import ServerError
from sgibench.verify.checks.answering import (
    check_block,
    check_bodies,
    check_cached,
    check_error,
    check_pid,
    check_static,
    check_stream,
    check_wait,
)
from sgibench.verify.checks.comparing import ALL_BYTES, Check, Problem, Target, asking, get
from sgibench.verify.checks.connections import check_broadcast, check_chunked, check_keep_alive, check_websocket
from sgibench.verify.checks.items import check_items, check_query, check_raise
from sgibench.verify.checks.jobs import check_jobs
from sgibench.verify.client import Question

CHECKS: dict[str, Check] = {
    "plaintext": asking(*get("/plaintext"), Question(method="POST", path="/plaintext", body=b"surplus")),
    "json": asking(*get("/json")),
    "bytes": asking(*get("/bytes/0", "/bytes/1", "/bytes/10240", "/bytes/1048577", "/bytes/16777217", "/bytes/many")),
    "echo": asking(
        Question(method="POST", path="/echo"),
        Question(method="POST", path="/echo", body=b"ping"),
        Question(method="POST", path="/echo", body=ALL_BYTES),
        Question(method="GET", path="/echo"),
    ),
    "upload": asking(
        Question(method="POST", path="/upload"),
        Question(method="POST", path="/upload", body=ALL_BYTES * 25),
    ),
    "wait": check_wait,
    "block": check_block,
    "cpu": asking(*get("/cpu/0", "/cpu/100")),
    "page": asking(*get("/page")),
    "cached": check_cached,
    "static": check_static,
    "items": check_items,
    "raise": check_raise,
    "query": check_query,
    "jobs": check_jobs,
    "stream": check_stream,
    "pid": check_pid,
    "unknown": asking(
        *get("/", "/nothing", "/items/", "/bytes/1/2"), Question(method="POST", path="/nothing", body=b"x")
    ),
    "chunked": check_chunked,
    "keep-alive": check_keep_alive,
    "bodies": check_bodies,
    "websocket": check_websocket,
    "broadcast": check_broadcast,
    "error": check_error,
}
"""Name -> check, in the order they are made; the exception comes last."""


def run(names: Iterable[str], target: Target) -> Iterator[Problem]:
    """Make the named checks; one that gets no answer at all is a finding too."""
    for name in names:
        try:
            for severity, detail in CHECKS[name](target):
                yield Problem(check=name, severity=severity, detail=detail)
        except ServerError as error:
            yield Problem(check=name, severity="wrong", detail=error.detail)
