"""What every check is made of: the server under question, a question asked, an answer beside what the contract says.

The expectations are the contract's own: `apps/contract.py` is loaded by path, and its pure functions say what each
question must be answered.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from sgibench.errors import DeclarationError
from sgibench.model.terms import MULTIPLEXED, TLS, Protocol
from sgibench.results import strict
from sgibench.verify.client import Asker, Client, Question, Reply

SHOWN_BYTES = 60
"""How much of an unexpected body a message quotes."""
NO_CONTENT = 204
ALL_BYTES = bytes(range(256)) * 160
"""A body in which each byte stands, long enough to come in several pieces."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One finding: `wrong` breaks the contract, `note` is worth knowing but allowed."""

    check: str
    severity: Literal["wrong", "note"]
    detail: str
    """One sentence: what was asked, what was expected, what came."""

    def __str__(self) -> str:
        """Show it as a line."""
        return f"{self.check}: {self.detail}"


@dataclass(frozen=True, kw_only=True)
class Target:
    """The server under question and what is declared about it."""

    host: str
    port: int
    interface: str
    keep_alive: bool
    contract: Any
    """The module loaded from `apps/contract.py`."""
    protocol: Protocol = "http"

    def client(self) -> Asker:
        """Make a connection of its own for a check."""
        return client_for(self.host, self.port, self.protocol)


def client_for(host: str, port: int, protocol: Protocol) -> Asker:
    """Make a client that speaks a protocol."""
    if protocol not in MULTIPLEXED:
        return Client(host, port, tls=protocol in TLS)
    # Only those who speak it load HTTP/2.
    made: Asker = import_module("sgibench.verify.http2").Http2Client(host, port, tls=protocol in TLS)
    return made


Findings = Iterator[tuple[Literal["wrong", "note"], str]]
Check = Callable[[Target], Findings]


def load_contract(path: Path) -> Any:
    """Load the contract under a private name. Raises DeclarationError."""
    name = "_sgibench_contract"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise DeclarationError(path, "the contract of the apps", "there is no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


# --- comparing ------------------------------------------------------------------------------------------------------


def shown(body: bytes) -> str:
    """Quote a body in a message."""
    cut = body if len(body) <= SHOWN_BYTES else body[:SHOWN_BYTES]
    return f"{len(body)} bytes {cut!r}" + ("…" if len(cut) < len(body) else "")


def differences(question: Question, reply: Reply, expected: Any) -> Findings:
    """Compare an answer with the contract's `Answer` or `Parts`."""
    status = getattr(expected, "status", 200)
    if reply.status != status:
        yield "wrong", f"{question}: expected status {status}, but {reply.status} came with {shown(reply.body)}"
        return
    whole = b"".join(expected.parts) if hasattr(expected, "parts") else expected.body
    body = b"" if question.method == "HEAD" else whole
    if reply.body != body:
        yield "wrong", f"{question}: expected {shown(body)}, but {shown(reply.body)} came"
    wanted = dict(getattr(expected, "extra", ()))
    if status != NO_CONTENT:
        wanted["Content-Type"] = expected.content_type
        if getattr(expected, "length", 0) is not None:
            wanted["Content-Length"] = str(len(whole))
    for name, value in wanted.items():
        came = reply.all(name.lower())
        # To a HEAD a server may leave Content-Length out (RFC 9110, section 8.6).
        if came != [value] and not (question.method == "HEAD" and name == "Content-Length" and not came):
            yield "wrong", f"{question}: expected {name}: {value}, but {', '.join(came) or 'none'} came"


def ask(client: Asker, question: Question) -> Reply:
    """Ask once; the connection is used again only when the server keeps it."""
    reply = client.ask(question)
    if not reply.reusable:
        client.close()
    return reply


def ask_and_compare(client: Asker, target: Target, question: Question, expected: Any = None) -> Findings:
    """Ask once and compare; without `expected`, with what the contract answers to that question."""
    reply = ask(client, question)
    if expected is None:
        path, _, query = question.path.partition("?")
        expected = target.contract.respond(question.method, unquote(path), query, question.body)
    yield from differences(question, reply, expected)


def ask_for_at_least(
    client: Asker, target: Target, question: Question, least_ms: float, expected: Any = None
) -> Findings:
    """The same, and the answer must not come before its time."""
    started_s = time.monotonic()
    yield from ask_and_compare(client, target, question, expected)
    took_ms = (time.monotonic() - started_s) * 1000
    if took_ms < least_ms:
        yield (
            "wrong",
            f"{question}: expected an answer after {least_ms:g} ms at the earliest, but it came after {took_ms:.1f} ms",
        )


def id_of(reply: Reply) -> int | str | None:
    """The id in a JSON answer; None where there is none that can be a part of a path as it is."""
    document = document_of(reply)
    found = document.get("id") if isinstance(document, dict) else None
    if isinstance(found, str):
        return found if ID.fullmatch(found) else None
    return found if isinstance(found, int) else None


ID = re.compile(r"[A-Za-z0-9._~-]{1,200}")


def document_of(reply: Reply) -> object:
    """Read the JSON of an answer, whatever came: None for what is none, or is nested too deeply to be one."""
    try:
        return strict.parse(reply.body)
    except ValueError:
        return None


def asking(*questions: Question) -> Check:
    """Make a check that asks one question after the other, on one connection while the server keeps it."""

    def check(target: Target) -> Findings:
        with target.client() as client:
            for question in questions:
                yield from ask_and_compare(client, target, question)

    return check


def get(*paths: str) -> tuple[Question, ...]:
    """HEAD before GET: a body that is sent to a HEAD spoils the next answer on the connection, and so shows."""
    return tuple(Question(method=method, path=path) for path in paths for method in ("HEAD", "GET"))
