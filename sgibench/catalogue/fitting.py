"""Whether a live value fits a type hint, whole: what stands in a declaration is believed only after this (pure).

Driven by the hints of the nouns alone, so a field that is added to one is checked without a line changed here. Python
checks none of this by itself: `variants=(Variant(...))` without its comma is no tuple, and nobody notices until a loop
meets it in the middle of a run.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union

LONGEST_TEXT = 65_536
"""Characters; a declaration that holds more in one text is a slip."""


def misfit(hint: Any, value: Any, where: str) -> str | None:
    """Say in one sentence what does not fit, as `where: expected ..., got ...`; None when all of it does."""
    return next(_misfits(hint, value, where), None)


def _misfits(hint: Any, value: Any, where: str) -> Iterator[str]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {Union, types.UnionType}:
        if value is not None or type(None) not in arguments:
            yield from _misfits(next(a for a in arguments if a is not type(None)), value, where)
    elif origin is tuple:
        yield from _tuple_misfits(arguments, value, where)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        yield from _mapping_misfits(arguments, value, where)
    elif dataclasses.is_dataclass(hint):
        yield from _noun_misfits(hint, value, where)
    elif expected := _plain_misfit(hint, value):
        yield _said(where, expected, value)


def _plain_misfit(hint: Any, value: Any) -> str | None:
    """What was expected, where a value is no one thing of that type."""
    if typing.get_origin(hint) is Literal:
        known = typing.get_args(hint)
        return (
            None
            if any(value is one or (type(value) is type(one) and value == one) for one in known)
            else (" or ".join(map(str, known)))
        )
    if typing.get_origin(hint) is Callable:
        return None if callable(value) else "a function"
    name, fits = PLAIN[hint]
    return None if fits(value) else name


def _tuple_misfits(arguments: tuple[Any, ...], value: Any, where: str) -> Iterator[str]:
    endless = arguments[-1] is Ellipsis
    if not isinstance(value, tuple):
        yield _said(where, "a tuple, such as ('one',) with its comma", value)
    elif not endless and len(value) != len(arguments):
        yield _said(where, f"a tuple of {len(arguments)}", value)
    else:
        for place, item in enumerate(value):
            yield from _misfits(arguments[0] if endless else arguments[place], item, f"{where}[{place}]")


def _mapping_misfits(arguments: tuple[Any, ...], value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield _said(where, "a mapping, such as {'name': 'text'}", value)
        return
    for key, item in value.items():
        yield from _misfits(arguments[0], key, f"a key of {where}")
        yield from _misfits(arguments[1], item, f"{where}[{shown(key)}]")


def _noun_misfits(hint: Any, value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, hint):
        yield _said(where, f"{hint.__name__}(...)", value)
        return
    hints = _hints(hint)
    for field in dataclasses.fields(hint):
        yield from _misfits(hints[field.name], getattr(value, field.name), f"{where}.{field.name}")


@functools.cache
def _hints(noun: Any) -> dict[str, Any]:
    return typing.get_type_hints(noun)


def is_text(value: Any) -> bool:
    """Whether something is text that a file, a command line and a page can hold."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or "\0" in value:
        return False
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


PLAIN: Mapping[Any, tuple[str, Callable[[Any], bool]]] = {
    str: ("text", is_text),
    bool: ("True or False", lambda value: isinstance(value, bool)),
    int: ("a whole number", _is_whole),
    float: ("a number", _is_number),
    Path: ("a Path", lambda value: isinstance(value, Path)),
}
"""Type -> what a person calls it, and whether a value is one."""


def _said(where: str, expected: str, value: Any) -> str:
    return f"{where}: expected {expected}, got {shown(value)}"


def shown(value: Any) -> str:
    """Show any value in a few characters of one line, even one whose `repr` fails."""
    try:
        text = repr(value)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's method may do anything
        text = f"a {type(value).__name__} whose repr raises {type(error).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - a part of one line
