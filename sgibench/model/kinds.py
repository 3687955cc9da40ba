"""What can go wrong with a request, by kind: how heavily it weighs, and whose fault it is. One table, for everybody.

The load process counts by these kinds; the trial's judge, the giving up of a target and the audit read what they mean
from here and nowhere else. A kind without a row does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ErrorKind = Literal[
    "status",
    "length",
    "body",
    "protocol",
    "too-large",
    "leftover",
    "unspoken",
    "closed",
    "reset",
    "timeout",
    "unanswered",
    "unsent",
    "refused",
    "connect",
    "abandoned",
    "client",
    "task",
]
Weight = Literal["wrong", "lost", "void"]
"""`wrong`: the server answered, but not what was asked; one of them, counted or not, fails a trial. `lost`: no answer
came; tolerated up to a share of the requests, and always shown. `void`: the client did not ask what it was to ask; one
of them, and the trial says nothing about the server."""
Fault = Literal["server", "network", "client"]


MOST_HEAD_BYTES = 64 * 1024
"""Of an answer's head with its empty line, of its trailers and of a line of framing: more is `too-large` under load,
and refused when a server is asked before."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One row: a kind of error."""

    weight: Weight
    fault: Fault
    """Whose fault it is. On a loopback interface the network has none of its own, and what is `network` is likely the
    server's."""
    given_up: str
    """Why a target is given up on which this is what happens, and nothing else: the failure's reason."""
    says: str
    """What happened, for people."""


def _wrong(says: str) -> Kind:
    return Kind(weight="wrong", fault="server", given_up="no-right-answer", says=says)


def _lost(fault: Fault, given_up: str, says: str) -> Kind:
    return Kind(weight="lost", fault=fault, given_up=given_up, says=says)


KINDS: Mapping[str, Kind] = {
    "status": _wrong("another status than the expected one"),
    "length": _wrong("a body of another length than the one whose bytes the scenario names"),
    "body": _wrong(
        "a body of other bytes, or one that a check refused, be it for its length (all requests to an own app)"
    ),
    "protocol": _wrong("bytes that HTTP or WebSocket does not allow"),
    "too-large": _wrong("an answer without end: head, body or interim answers beyond every limit"),
    "leftover": _wrong("bytes after an answer's end, or that nobody asked for"),
    "unspoken": Kind(
        weight="wrong",
        fault="server",
        given_up="not-spoken",
        says="the server does not speak what the scenario needs: the trial is skipped, and no failure",
    ),
    "closed": _lost("server", "gone", "the server ended the connection before the answer"),
    "reset": _lost("network", "gone", "the connection was reset before the answer"),
    "timeout": _lost("server", "hung", "no whole answer in time"),
    "unanswered": _lost("server", "hung", "sent, and no whole answer when the window's drain was over"),
    "unsent": _lost("server", "hung", "due, and no connection free to send it when the window's drain was over"),
    "refused": _lost("server", "refused", "nobody listens where the connection should go"),
    "connect": _lost("network", "gone", "the connection could not be opened"),
    "abandoned": _lost("client", "hung", "the task that waited was interrupted, e.g. by a time-out of its own"),
    "client": Kind(
        weight="void",
        fault="client",
        given_up="client",
        says="the client's own system gave no descriptor, port or memory",
    ),
    "task": Kind(
        weight="void",
        fault="client",
        given_up="client",
        says="a task of the scenario raised an exception of its own, or a user left before the end",
    ),
}
FORGIVEN_SHARE = 0.01
"""Share of requests that may be lost before a trial is a failure."""
_UNKNOWN = _wrong("a kind of error that this version does not know")
_HEAVIEST_FIRST: tuple[Weight, ...] = ("void", "wrong", "lost")


def kind_named(name: str) -> Kind:
    """Look a kind up; one that nobody knows is judged by the strictest rule for servers."""
    return KINDS.get(name, _UNKNOWN)


def of_weight(errors: Mapping[str, int], weight: Weight) -> dict[str, int]:
    """Keep the errors of one weight."""
    return {name: count for name, count in errors.items() if count and kind_named(name).weight == weight}


def gravest(errors: Mapping[str, int]) -> str | None:
    """Name the kind that explains the others: the commonest of the heaviest weight; None without errors.

    A wrong answer costs its connection, so losses follow from it and not the other way round.
    """
    for weight in _HEAVIEST_FIRST:
        found = of_weight(errors, weight)
        if found:
            return max(found, key=lambda name: (found[name], name))
    return None


def told(errors: Mapping[str, int]) -> str:
    """Write errors for people: by weight, the heaviest first, with the word that their weight has."""
    words: Mapping[Weight, str] = {"void": "the client's own", "wrong": "wrong answers", "lost": "lost"}
    parts = [(words[weight], of_weight(errors, weight)) for weight in _HEAVIEST_FIRST]
    return "; ".join(
        f"{word}: {', '.join(f'{count} × {name}' for name, count in sorted(found.items()))}"
        for word, found in parts
        if found
    )
