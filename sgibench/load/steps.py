"""Sessions of declared requests: each connection goes through its own, because later steps need what it was given.

A pass holds every request as often as its weight says, spread evenly, givers before those that take from them. All
connections walk the same passes, each from a place of its own, so that at any moment they are spread over all steps and
whatever a window holds has the declared mix. Who lacks what a step needs, because it joined in the middle, asks for
that first; who met an error begins a new pass, as a task would. A session is a whole pass in which all answers were
right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from random import Random
from typing import Protocol

from sgibench.answers.giving import blanks_in, filled
from sgibench.load.request import Ask, Foretold, Request, spread

GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, lie evenly however many there are (Weyl's theorem; Knuth, volume 3, section 6.4)."""
LEAST_STEPS = 256
"""Of all passes, before they come again in the same order."""


class Writing(Protocol):
    """What makes asks; a program is one."""

    seed: int
    sessions: int
    write: Callable[[Request], bytes] | None

    @property
    def weights(self) -> Mapping[int, int]:
        """Weight of each request by its place."""

    def ask_for(self, request: Request) -> Ask:
        """Make one ask whose latencies are recorded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One request of a pass."""

    ask: Ask
    """Ready to be sent; where there are blanks, a pattern of it."""
    request: Request
    needs: tuple[str, ...]
    """Fields that have blanks in it."""
    plain: bool
    """Whether it neither gives nor takes."""
    in_place: bool
    """Whether blanks may be filled in the bytes that were written: they are HTTP/1.1, and none is in the body."""
    foretold: Foretold
    """What the next answer to it will be."""


def needs_of(requests: Sequence[Request]) -> tuple[tuple[str, ...], ...]:
    """Say which fields each request takes."""
    fields = {field for request in requests for field in request.gives}
    return tuple(
        blanks_in(
            fields,
            request.path,
            request.body,
            *(value for pair in request.headers for value in pair),
            *([request.expect] if isinstance(request.expect, bytes) else []),
        )
        for request in requests
    )


def problem_of(requests: Sequence[Request]) -> str | None:
    """Say what is wrong with the requests as a session; None when nothing is, or when they are none."""
    given_by: dict[str, Request] = {}
    taken: set[str] = set()
    for request, needs in zip(requests, needs_of(requests), strict=True):
        if early := [field for field in needs if field not in given_by]:
            return f"{request.method} {request.path} takes {early[0]}, which only a later request gives"
        taken.update(needs)
        for field in request.gives:
            if field in given_by:
                return f"{field} is given by {given_by[field].path} and by {request.path}: only one request may give it"
            given_by[field] = request
    if unused := sorted(given_by.keys() - taken):
        return f"{given_by[unused[0]].path} gives {unused[0]}, and no request has {{{unused[0]}}} in it"
    if given_by and any(request.make for request in requests):
        return "expected requests that are declared, because some depend on others, but one is made (`make`)"
    return None


def in_order(deck: Sequence[int], needs: Sequence[Sequence[str]], gives: Sequence[Sequence[str]]) -> list[int]:
    """Put a pass right: a step that needs what nobody gave yet changes places with the next one that gives it."""
    steps, known = list(deck), set[str]()
    for at in range(len(steps)):
        while lacking := [field for field in needs[steps[at]] if field not in known]:
            giver = next(place for place, fields in enumerate(gives) if lacking[0] in fields)
            later = steps.index(giver, at)
            steps[at], steps[later] = steps[later], steps[at]
        known.update(gives[steps[at]])
    return steps


class Course:
    """All passes of a program, as every connection walks them."""

    def __init__(self, requests: Sequence[Request], variants: Sequence[Sequence[Request]], program: Writing) -> None:
        needs, gives = needs_of(requests), [request.gives for request in requests]
        self.program = program
        self.steps = [
            [_step(each, needs[place], program) for each in variants[place]] for place in range(len(requests))
        ]
        self.giver_of = {field: self.steps[place][0] for place, fields in enumerate(gives) for field in fields}
        self.length = sum(program.weights.values())
        rounds = max(*map(len, variants), -(-LEAST_STEPS // self.length))
        random = Random(program.seed)
        turns = [cycle(steps).__next__ for steps in self.steps]
        self.passes = [
            [turns[place]() for place in in_order(spread(program.weights, random), needs, gives)] for _ in range(rounds)
        ]

    def walk(self, index: int) -> Walk:
        """Give the way of one connection."""
        within = int(index * GOLDEN % 1 * self.length)
        return Walk(self, index % len(self.passes) * self.length + within)


def _step(request: Request, needs: tuple[str, ...], program: Writing) -> Step:
    ask = program.ask_for(request)
    ask.remember = ask.remember and not (needs or request.gives)
    return Step(
        ask=ask,
        request=request,
        needs=needs,
        plain=not (needs or request.gives),
        in_place=program.write is None and not blanks_in(needs, request.body),
        foretold=Foretold(),
    )


class Walk:
    """Where one connection is, and what it was given."""

    __slots__ = ("_course", "broken", "next", "values")

    def __init__(self, course: Course, at: int) -> None:
        self._course = course
        self.values: dict[str, bytes] = {}
        self.broken = False
        """Whether a request of this pass failed."""
        self.next: Callable[[], Ask] = self._asks(at).__next__

    def _asks(self, at: int) -> Iterator[Ask]:
        """Go on for ever."""
        course = self._course
        number, skipped = divmod(at, course.length)
        while True:
            for step in course.passes[number][skipped:]:
                if step.plain:
                    yield step.ask
                else:
                    while (first := self._first(step)) is not step and not self.broken:
                        yield self._filled(first)
                    if not self.broken:
                        yield self._filled(step)
                if self.broken:
                    self.broken = False
                    self.values.clear()
                    break
            else:
                course.program.sessions += not skipped  # who joined in the middle has made none
            number, skipped = (number + 1) % len(course.passes), 0

    def _first(self, step: Step) -> Step:
        """Give the step that has to come before this one, or itself when it lacks nothing."""
        for field in step.needs:
            if field not in self.values:
                return self._first(self._course.giver_of[field])
        return step

    def _filled(self, step: Step) -> Ask:
        """Make the ask of a step; what it is about to give is known no more."""
        for field in step.request.gives:
            self.values.pop(field, None)
        if not step.needs:
            return step.ask
        if not step.in_place:
            ask = self._course.program.ask_for(step.request.filled(self.values))
            ask.remember = False
            return ask
        pattern, values = step.ask, self.values
        ask = Ask(step.request, filled(pattern.payload, values), pattern.record)
        if step.request.distinct:
            ask.check, ask.gives = pattern.check, pattern.gives
        if pattern.body is not None:
            ask.body = filled(pattern.body, values)
        # A check function has to see each answer; bytes that are expected exactly can be foretold.
        if ask.remember and ask.body is not None:
            ask.foretold = step.foretold
            ask.whole = step.foretold.whole(ask.body)
        else:
            ask.remember = False
        return ask
