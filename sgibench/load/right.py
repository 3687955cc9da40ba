"""Whether an answer is right: as its ask says, and nothing after its end. What is not is an error of a named kind."""

from __future__ import annotations

from sgibench.load.request import Ask
from sgibench.load.wire.answer import Answer, Unspoken, WireError


def verify(ask: Ask, answer: Answer) -> None:
    """Compare an answer with what the scenario expects; raises WireError."""
    if answer.head.status != ask.status:
        raise WireError("status", f"expected status {ask.status}, but got {answer.status}: {answer.body[:120]!r}")
    if answer.text_message is not ask.text_message:
        kinds = {True: "text", False: "binary", None: "HTTP"}
        raise WireError("body", f"expected {kinds[ask.text_message]} back, but {kinds[answer.text_message]} came")
    if ask.body is not None and answer.body != ask.body:
        if len(answer.body) != len(ask.body):
            raise WireError("length", f"expected {len(ask.body)} bytes, but got {len(answer.body)}")
        raise WireError("body", f"expected {ask.body[:60]!r}, but got {answer.body[:60]!r}")
    if ask.check is not None:
        try:
            problem = ask.check(answer)
        except Exception as error:  # noqa: BLE001 - a check that breaks on an answer says that the answer is wrong
            problem = f"the check function raised {type(error).__name__}: {error}"
        if problem:
            raise WireError("unspoken" if isinstance(problem, Unspoken) else "body", problem)


def refuse_leftover(leftover: bytes) -> None:
    """Raise WireError when bytes came after an answer's end: nothing was asked that they could answer."""
    if leftover:
        raise WireError("leftover", f"bytes after the answer's end: {leftover[:80]!r}")
