"""The types that options read: what a word on the command line means, or one line on what was expected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from sgibench import units
from sgibench.errors import shown
from sgibench.model import Metric
from sgibench.stats import METRICS, SHORT_NAMES

LEAST_DELTA, MOST_DELTA = 0.001, 0.5
LONGEST_S = 86_400.0
"""Of one window."""
MOST_COUNTS = 32
"""Points of one curve."""
LEAST_SHARE = 0.0001
LEAST_RATE = 1e-4
"""One request in three hours; what is due in a window is looked at when the window is known."""
MOST_RATE = 1e7
"""Beyond what any generator sends; catches slips of the keyboard."""


class Place(click.Path):
    """A file or folder that is there or could be made; gives a Path."""

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it, or say why the system can have nothing of that name."""
        if not str(value):
            self.fail("expected a name, got nothing", param, ctx)
        try:
            Path(value).stat()
        except FileNotFoundError:
            pass
        except OSError as error:
            self.fail(f"{shown(value)}: {error.strerror}", param, ctx)
        return super().convert(value, param, ctx)


class Folder(Place):
    """A folder that is there or could be made; gives a Path."""

    def __init__(self) -> None:
        super().__init__(file_okay=False)


class Duration(click.ParamType[float]):
    """A length of time such as `100ms`, `3s` or `2min`; gives seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or say what was expected."""
        if isinstance(value, float):
            return value
        try:
            seconds = units.parse_seconds(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not 0 < seconds <= LONGEST_S:
            self.fail(
                f"expected more than nothing and at most {units.seconds(LONGEST_S)}, got {shown(value)}", param, ctx
            )
        return seconds


class Number(click.ParamType[float]):
    """A number in a range; unlike click's own, `nan` lies in none."""

    name = "number"

    def __init__(self, least: float, most: float) -> None:
        self._least, self._most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or say what was expected."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not self._least <= number <= self._most:
            self.fail(f"expected a number from {self._least:g} to {self._most:g}, got {shown(value)}", param, ctx)
        return number


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
        try:
            counts = tuple(dict.fromkeys(units.parse_whole(part, 1, self._most) for part in str(value).split(",")))
        except ValueError:
            counts = ()
        if not 1 <= len(counts) <= MOST_COUNTS:
            expected = f"at most {MOST_COUNTS} whole numbers from 1 to {self._most} such as 64 or 1,4,16"
            self.fail(f"expected {expected}, got {shown(value)}", param, ctx)
        return counts


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
        if not LEAST_SHARE <= share <= 1:
            self.fail(f"expected a share from {LEAST_SHARE:%} to 100% such as 5%, got {shown(value)}", param, ctx)
        return share


class Figure(click.ParamType[Metric]):
    """A figure by which servers are judged: cpu, rps, p50, p99 or p999."""

    name = "figure"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Metric:
        """Read it, or say what was expected."""
        named: Mapping[str, Metric] = {**SHORT_NAMES, **{metric: metric for metric in METRICS}}
        found = named.get(str(value))
        if found is None:
            self.fail(f"expected {', '.join(SHORT_NAMES)}, got {value!r}", param, ctx)
        return found


class Until(click.ParamType[tuple[Metric, ...]]):
    """`settled`, or `settled:cpu,p99`; gives the figures that must be."""

    name = "settled[:figure,...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Metric, ...]:
        """Read it, or say what was expected."""
        if isinstance(value, tuple):
            return value
        word, colon, rest = str(value).partition(":")
        if word != "settled" or (colon and not rest):
            self.fail(f"expected settled or settled:cpu,p99, got {value!r}", param, ctx)
        return tuple(Figure().convert(name.strip(), param, ctx) for name in (rest or "cpu").split(","))


class Delta(Share):
    """What makes no difference: a share from 0.1 % to 50 %."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or say what was expected."""
        share = value if isinstance(value, float) else super().convert(value, param, ctx)
        if not LEAST_DELTA <= share <= MOST_DELTA:
            self.fail(f"expected a share from 0.1% to 50%, got {value!r}", param, ctx)
        return share


@dataclass(frozen=True)
class AskedRate:
    """The rate of open loads: a number, or a share of the slowest server's saturation, which the pilot block finds."""

    per_s: float | None = None
    """Requests per second, 0 for no open loads; None for a share."""
    share: float | None = None
    """None, without a number too, for the usual share."""


NAMED_RATES = {"auto": AskedRate(), "none": AskedRate(per_s=0.0), "half": AskedRate(share=0.5)}


class Rate(click.ParamType[AskedRate]):
    """Requests per second, a share such as `50%`, or one of NAMED_RATES."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> AskedRate:
        """Read it, or say what was expected."""
        if isinstance(value, AskedRate):
            return value
        if named := NAMED_RATES.get(str(value).strip().lower()):
            return named
        if str(value).strip().endswith("%"):
            return AskedRate(share=Share().convert(value, param, ctx))
        try:
            rate = float(str(value))
        except ValueError:
            rate = 0.0
        if not LEAST_RATE <= rate < MOST_RATE:
            expected = f"requests per second from {LEAST_RATE:g}, a share such as 50%, auto or none"
            self.fail(f"expected {expected}, got {shown(value)}", param, ctx)
        return AskedRate(per_s=rate)
