"""Figures that are no measurement: negative, not finite, beyond any clock or machine. They are doubted and set aside.

The rules that follow reckon with the rest, so a file of absurd figures raises a doubt and breaks nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, replace

from sgibench.audit.figures import Figures, doubt
from sgibench.model import Doubt

MOST = 1e13
"""A count, a rate, or three centuries in milliseconds."""
LEAST = 1e-9
"""A rate of once in thirty years; a thousandth of a nanosecond in milliseconds."""
_NEVER_NEGATIVE = frozenset(
    {
        *("rps", "round_rps", "duration_s", "run_s", "requests_ok", "errors", "connections", "at_once", "cut_off"),
        *("timed", "reconnects"),
    }
)
_REPEATED = frozenset({"run_s", "unseen_s", "untold_open_ms", "edge_ms", "printed_ms", "printed_mean_ms"})
"""What readers work out of other figures, or give twice."""
_WORDS = {"requests_ok": "right answers", "rps": "requests/s", "cut_off": "requests cut off", "duration_s": "duration"}
_UNTOLD = tuple(field.default for field in fields(Figures))
"""What a row has where nobody says anything: most of its fields, in their order."""


def without_nonsense(row: Figures) -> tuple[Figures, list[Doubt]]:
    """Set aside what can't be a figure, with a doubt that names all of it."""
    odd: dict[str, float] = {}
    cleared: dict[str, object] = {}
    for (name, value), untold in zip(vars(row).items(), _UNTOLD, strict=True):
        if value is untold or isinstance(value, str):
            continue
        possible = _measurable if name.endswith("_ms") or name in _NEVER_NEGATIVE else _finite
        if isinstance(value, float) and possible(value):
            continue
        wrong = next((each for each in _numbers(value) if not possible(each)), None)
        if wrong is not None:
            odd[name] = wrong
            cleared[name] = () if isinstance(value, tuple) else None
    if not odd:
        return row, []
    printed = {name: value for name, value in odd.items() if name not in _REPEATED} or odd
    said = ", ".join(f"{_word(name)} of {value:.6g}" for name, value in printed.items())
    return replace(row, **cleared), [doubt("WrongCount", f"{said}: no measurement gives that")]  # type: ignore[arg-type]


def _measurable(value: float) -> bool:
    return value == 0 or LEAST <= value <= MOST


def _finite(value: float) -> bool:
    return -MOST <= value <= MOST


def _numbers(value: object) -> Iterator[float]:
    """Give the numbers of a field; what is not a number at all compares as outside of every bound."""
    if isinstance(value, tuple):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, (int, float)):
        yield math.inf if math.isnan(value) else float(value)


def _word(field: str) -> str:
    name, _dot, unit = field.rpartition("_")
    if field in _WORDS:
        return _WORDS[field]
    return f"{name.replace('_', ' ')} ({unit})" if unit in ("ms", "s") else field.replace("_", " ")
