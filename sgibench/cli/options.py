"""The types that options read: what a word on the command line means, or one line on what was expected."""

from __future__ import annotations

from typing import Any

import click

from sgibench.units import parse_seconds

LEAST_DELTA, MOST_DELTA = 0.001, 0.5
MOST_RATE = 1e7
"""Beyond what any generator sends; catches slips of the keyboard."""


class Duration(click.ParamType[float]):
    """A length of time such as `100ms`, `3s` or `2min`; gives seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or say what was expected."""
        if isinstance(value, float):
            return value
        try:
            seconds = parse_seconds(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0:
            self.fail(f"expected more than nothing, got {value!r}", param, ctx)
        return seconds


class SliceLength(Duration):
    """A duration, or `none` for one unbroken window; gives seconds or 0."""

    name = "duration|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or say what was expected."""
        return 0.0 if str(value).lower() in {"none", "0.0"} else super().convert(value, param, ctx)


class Counts(click.ParamType[tuple[int, ...]]):
    """One whole number, or several with commas between; gives a tuple."""

    name = "n[,n...]"

    def __init__(self, most: int) -> None:
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Read them, or say what was expected."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(part.strip().isdigit() and 1 <= int(part) <= self._most for part in parts):
            self.fail(f"expected whole numbers from 1 to {self._most} such as 64 or 1,4,16, got {value!r}", param, ctx)
        return tuple(int(part) for part in parts)


class Share(click.ParamType[float]):
    """A share such as `5%`; gives 0.05."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or say what was expected."""
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / 100 if text.endswith("%") else -1.0
        except ValueError:
            share = -1.0
        if not 0 < share <= 1:
            self.fail(f"expected a share such as 5%, got {value!r}", param, ctx)
        return share


class Delta(Share):
    """What makes no difference: a share from 0.1 % to 50 %."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or say what was expected."""
        share = value if isinstance(value, float) else super().convert(value, param, ctx)
        if not LEAST_DELTA <= share <= MOST_DELTA:
            self.fail(f"expected a share from 0.1% to 50%, got {value!r}", param, ctx)
        return share


HALF = -1.0
"""Stands for "half of the slowest server's saturation" until the pilot block has found it."""


class Rate(click.ParamType[float]):
    """Requests per second; `none` gives 0 and `half` gives HALF."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or say what was expected."""
        named = {"none": 0.0, "half": HALF}.get(str(value).lower())
        if named is not None or value == HALF:
            return HALF if named is None else named
        try:
            rate = float(str(value))
        except ValueError:
            rate = 0.0
        if not 0 < rate < MOST_RATE:
            self.fail(f"expected requests per second, half or none, got {value!r}", param, ctx)
        return rate
