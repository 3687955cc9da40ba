"""From answers that were seen to what is expected: what is refused, what is found, what is checked and how (pure).

One request at a time. The rules look at how answers move: from one time to the next, from one process to another, from
one server to the others. Each rule names its kind.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sgibench.answers.expecting import SHOWN_BYTES, media_type, sizes_like
from sgibench.answers.refusals import csrf_hint
from sgibench.answers.template import Common, Sample, common_of
from sgibench.model import Asked, Expectation

LEAST_SHARE, LEAST_FIXED = 0.2, 8
"""Less of the body in common, or fewer bytes, is no template: then status, type and size are what can be checked."""
MOST_GROWN = 3
"""Sizes in a row, each larger than the last, that make growth."""
ODD_SHARE = 0.25
"""A server without which so much more of the body is common to the others answers otherwise."""
SLOW_SHARE = 0.1
"""As much of the body, at most, may move slowly."""
ALONE, ALONE_PORT = "", 8000
"""The app without a server, and the port that it is told to be at (`drive.py`)."""
STARTED_AGAIN = ", started again,"
OK_BELOW = 400
TOO_MANY = 429


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer that a server gave while answers were learned."""

    server: str
    round: int
    """Rounds lie apart in time; the first is 0."""
    start: int = 0
    """A server that was started again is asked by another process."""
    port: int = 0
    status: int | None = None
    """None: no answer came."""
    content_type: str | None = None
    body: bytes = b""
    error: str = ""
    """Why none came."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What the answers to one request say."""

    asked: Asked
    """With its expectation, unless it is refused."""
    refused: str | None = None
    """Why it can't be measured."""
    findings: tuple[tuple[str, str], ...] = ()
    """Server and how it answers otherwise than the others."""
    said: str = ""
    """How its answers are checked, and what varies."""


def learn(asked: Asked, answers: Sequence[Answer], *, workers: int = 1) -> Learned:
    """Say what is expected of a request's answers. `answers` are of all servers, in the order they came."""
    by_server: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_server[answer.server + (STARTED_AGAIN if answer.start else "")].append(answer)
    silent = {name: each for name, each in by_server.items() if any(one.status is None for one in each)}
    heard = {name: each for name, each in by_server.items() if name not in silent}
    findings = [(name, f"{name} gives no answer to {asked.name}: {_error_of(each)}") for name, each in silent.items()]
    if not heard:
        return Learned(asked=asked, refused=f"no server answers it: {_error_of(next(iter(silent.values())))}")
    if refused := _unsteady(heard, workers):
        return Learned(asked=asked, refused=refused)
    status = _usual_status(heard)
    odd = {name: each for name, each in heard.items() if {one.status for one in each} != {status}}
    findings += [(name, _oddly(asked, name, each, status)) for name, each in odd.items()]
    usual = {name: each for name, each in heard.items() if name not in odd}
    one_alone = len(_servers(by_server)) == 1
    if odd and (one_alone or not usual):
        return Learned(asked=asked, refused=_kept(heard) if one_alone else _changing(heard, workers))
    body = next(one.body for each in usual.values() for one in each)
    if asked.status != status and (csrf := csrf_hint(asked, status, body)):
        return Learned(asked=asked, refused=csrf)
    if refused := _unwanted(asked, status):
        return Learned(asked=asked, refused=refused)
    if refused := _growing(usual):
        return Learned(asked=asked, refused=refused)
    moving = any(_grew(each) or still_grows(each) for each in usual.values())  # then bodies differ by when they came
    if asked.method != "HEAD" and not moving and not one_alone:
        for name in _otherwise(asked, usual):
            shown = usual.pop(name)[0].body[:SHOWN_BYTES]
            findings.append((name, f"{name} answers {asked.name} with another body than the others: {shown!r}"))
    return _expected(asked, status, usual, tuple(findings))


def _error_of(answers: Sequence[Answer]) -> str:
    return next(one.error for one in answers if one.status is None) or "the connection ends"


def _statuses(answers: Sequence[Answer]) -> list[int]:
    return [one.status for one in answers if one.status is not None]


def _unsteady(heard: dict[str, list[Answer]], workers: int) -> str | None:
    """Say why a request can't be asked many times, when its status changes under most servers."""
    changing = {name: each for name, each in heard.items() if len(set(_statuses(each))) > 1}
    if 2 * len(_servers(changing)) <= len(_servers(heard)):
        return None
    return _changing(changing, workers)


def _servers(heard: dict[str, list[Answer]]) -> set[str]:
    """Give the names of servers, however often each was started."""
    return {each[0].server for each in heard.values()}


def _kept(heard: dict[str, list[Answer]]) -> str:
    """Say that what a request did stays when the server is started again."""
    told = ", then ".join(str(_statuses(each)[0]) for each in heard.values())
    return (
        f"it is answered {told} when the server is started again: what it does stays from one start to the next. Put "
        "it back with --prepare 'COMMAND', or ask something that can be asked many times"
    )


def _changing(heard: dict[str, list[Answer]], workers: int) -> str:
    """Say in which way the status of a request changes."""
    seen = next((found for each in heard.values() if len(set(found := _statuses(each))) > 1), [])
    seen = seen or [status for each in heard.values() for status in _statuses(each)]
    told = ", then ".join(str(one) for one, _ in _runs(seen)[:4])
    if TOO_MANY in seen:
        return f"it is answered {told}: the app limits how often it may be asked. Turn that limit off for the run"
    back = len(_runs(seen)) > 2  # noqa: PLR2004 - there and back
    if back and workers > 1:
        return (
            f"it is answered {told} in turn: the answer depends on which of {workers} processes is asked, so the app "
            "keeps something in memory that all of them need. Run it with --workers 1, or ask something else"
        )
    if back:
        return f"it is answered {told} in turn, each time the same was asked. Ask something that is answered alike"
    return (
        f"it is answered {told} when it is asked again: it can't be asked many times with the same words. "
        "Ask something that can be"
    )


def _runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """Give (value, how many in a row)."""
    runs: list[tuple[int, int]] = []
    for value in values:
        if runs and runs[-1][0] == value:
            runs[-1] = (value, runs[-1][1] + 1)
        else:
            runs.append((value, 1))
    return runs


def _usual_status(heard: dict[str, list[Answer]]) -> int:
    """Give the status that most servers answer with; of equally many, the lowest."""
    votes = Counter(Counter(_statuses(each)).most_common(1)[0][0] for each in heard.values())
    most = max(votes.values())
    return min(status for status, count in votes.items() if count == most)


def _oddly(asked: Asked, name: str, answers: Sequence[Answer], usual: int) -> str:
    statuses = sorted(set(_statuses(answers)))
    if len(statuses) > 1:
        return f"{name} answers {asked.name} with {' and '.join(map(str, statuses))} in turn, the others with {usual}"
    body = next((one.body for one in answers if one.body), b"")
    came = f" ({body[:SHOWN_BYTES]!r})" if body else ""
    return f"{name} answers {statuses[0]} to {asked.name}{came}, the others {usual}"


def _unwanted(asked: Asked, status: int) -> str | None:
    if asked.status is not None and status != asked.status:
        return f"expected status {asked.status}, but it is answered {status}"
    if asked.status is None and status >= OK_BELOW:
        return f"it is answered {status}: ask for what the app has, or say that you want that: '{asked.line} {status}'"
    return None


def _growing(usual: dict[str, list[Answer]]) -> str | None:
    """Say that an answer grows, when it does so each time under every server; one that ended to is a list's limit."""
    if not all(still_grows(answers) and not _grew(answers) for answers in usual.values()):
        return None
    longest = max(usual.values(), key=len)
    sizes_said = ", ".join(str(len(one.body)) for one in longest[:4])
    return (
        f"its answer grows each time ({sizes_said} … {len(longest[-1].body)} bytes, {len(longest)} answers): each "
        "request is more work than the last and no number would hold. Ask for a part of a fixed size, or leave out "
        "what adds to it"
    )


def _steps(answers: Sequence[Answer]) -> list[int]:
    """By how much an answer's size changes from one round to the next."""
    last_of_round = {one.round: len(one.body) for one in answers}
    sizes = [last_of_round[number] for number in sorted(last_of_round)]
    return [after - before for before, after in pairwise(sizes)]


def still_grows(answers: Sequence[Answer]) -> bool:
    """Whether the last answers of one server to a request each were larger than the one before."""
    steps = _steps(answers)[-MOST_GROWN:]
    return len(steps) == MOST_GROWN and min(steps) > 0


def _grew(answers: Sequence[Answer]) -> int:
    """How often an answer grew before it stopped to; 0 when it did not grow, or never stopped."""
    steps = _steps(answers)
    grown = next((number for number, step in enumerate(steps) if step < 1), len(steps))
    return grown if MOST_GROWN <= grown < len(steps) else 0


def _expected(
    asked: Asked, status: int, usual: dict[str, list[Answer]], findings: tuple[tuple[str, str], ...]
) -> Learned:
    """Make the expectation, and say how much of it is pinned down."""
    every = [one for each in usual.values() for one in each]
    types = {media_type(one.content_type) for one in every}
    sizes = [len(one.body) for one in every]
    samples = [Sample(body=one.body, port=one.port) for one in every]
    whole = _common(asked, samples) if asked.method != "HEAD" else None
    common = whole if whole is not None and _is_enough(whole) else None
    exact = common is not None and len(common.pieces) == 1
    slack = 0 if exact else max(64, (max(sizes) - min(sizes)) * 2)
    least, most = (max(0, min(sizes) - slack), max(sizes) + slack) if common else sizes_like(sizes)
    expectation = Expectation(
        status=status,
        content_type=types.pop() if len(types) == 1 else None,
        pieces=None if common is None else common.pieces,
        least_bytes=least,
        most_bytes=None if asked.method == "HEAD" else most,
    )
    told = replace(asked, expectation=expectation, example=every[-1].body)
    said = "its length" if asked.method == "HEAD" else _said(common)
    if grown := max(map(_grew, usual.values())):
        said += f"; it grew {grown} times and then no more"
    return Learned(asked=told, findings=findings, said=f"{status}, {said}")


def _common(asked: Asked, samples: Sequence[Sample]) -> Common | None:
    """Find what bodies have in common, also with what the app answered without a server, a good while before.

    What moves slowly (free space, a count of others' doing) shows there; an answer that is another one is left out.
    """
    whole = common_of(samples)
    if whole is None or not asked.example:
        return whole
    before = common_of([*samples, Sample(body=asked.example, port=ALONE_PORT)])
    return whole if before is None or before.share < whole.share - SLOW_SHARE else before


def _is_enough(common: Common) -> bool:
    fixed = sum(map(len, common.pieces))
    return len(common.pieces) == 1 or (common.share >= LEAST_SHARE and fixed >= LEAST_FIXED)


def _said(common: Common | None) -> str:
    if common is None:
        return "checked by status, type and size: too little of the body stays the same"
    if len(common.pieces) == 1:
        return "the whole body is checked"
    varies = " and ".join(common.varies) or "the rest"
    return f"{common.share:.0%} of the body stays the same and is checked; what varies: {varies}"


def _otherwise(asked: Asked, usual: dict[str, list[Answer]]) -> tuple[str, ...]:
    """Name the one server without which all other bodies are one and the same, but for what varies in each of them.

    Its answers are others, so what it does for them is other work: it is not to be compared. Between two servers the
    app's answer without one decides.
    """
    voters = {name: [Sample(body=one.body, port=one.port) for one in each] for name, each in usual.items()}
    if len(usual) == 2 and asked.example:  # noqa: PLR2004 - one against one
        voters[ALONE] = [Sample(body=asked.example, port=ALONE_PORT)]
    if len(voters) < 3:  # noqa: PLR2004 - one against two
        return ()
    whole = common_of([sample for each in voters.values() for sample in each])
    if whole is not None and len(whole.pieces) == 1:
        return ()
    found = []
    for name in voters:
        without = common_of([sample for other, each in voters.items() if other != name for sample in each])
        if without is not None and without.share > (whole.share if whole else 0.0) + ODD_SHARE:
            found.append(name)
    return tuple(found) if len(found) == 1 and found[0] in usual else ()
