"""The user's requests as a user class, so that they are loaded like any scenario of the catalogue."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sgibench.answers.expecting import misfit
from sgibench.errors import DeclarationError, ResultsError
from sgibench.load.request import Request
from sgibench.load.user import BenchUser
from sgibench.load.wire.answer import Answer
from sgibench.model import Asked, Expectation
from sgibench.results.asked import read_asked

OK = 200


class Fits:
    """A check function: whether an answer is what was expected of it."""

    __slots__ = ("_expected",)

    def __init__(self, expected: Expectation) -> None:
        self._expected = expected

    def __call__(self, answer: Answer) -> str | None:
        """None when it is."""
        return misfit(self._expected, answer.status, answer.header("content-type"), answer.body)


@cache
def load_asked(path: Path) -> type[BenchUser]:
    """Make the user class of a file of requests; raises DeclarationError."""
    try:
        scenario = read_asked(path)
        requests = tuple(_request(asked) for asked in scenario.requests)
        return type(
            "AskedUser",
            (BenchUser,),
            {
                "__doc__": scenario.summary,
                "requests": requests,
                "interfaces": scenario.interfaces,
            },
        )
    except (ResultsError, ValueError, TypeError) as error:
        raise DeclarationError(path, "a file of requests", str(error)) from None


def _request(asked: Asked) -> Request:
    """Declare a request; one whose answer was never seen is right with the status that was asked for."""
    expected = asked.expectation or Expectation(status=asked.status or OK)
    return Request(
        method=asked.method,
        path=asked.path,
        name=asked.name,
        weight=asked.weight,
        headers=asked.headers,
        body=asked.body,
        status=expected.status,
        expect=Fits(expected),
        example=asked.example,
        example_type=expected.content_type,
    )
