"""Frozen dataclasses to JSON-ready values and back, driven by their type hints alone (pure).

It knows no class by name: a field added to a noun is stored without a line changed here. Reading is strict about
types and lenient about absence: a missing field takes its default, an unknown one is ignored, so that a run written
by an older or newer sgibench of the same schema can be read. Numbers are finite, whole ones fit 64 bits, others are at
most LARGEST: beyond that lies no measurement, and arithmetic on it would overflow in whoever reads it.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from sgibench.results.strict import shown

T = TypeVar("T")
LARGEST = 1e15
"""Of any number that is not whole: a petabyte, thirty years in microseconds."""
_WHOLE = 2**63 - 1


def encode(value: Any) -> Any:
    """Turn nouns, tuples, mappings and paths into what `json.dumps` takes."""
    if isinstance(value, str):
        return printable_utf8(value)
    if isinstance(value, (int, float, type(None))):
        return value
    if dataclasses.is_dataclass(value):
        return {name: encode(getattr(value, name)) for name in _field_names(typing.cast("Any", type(value)))}
    if isinstance(value, Mapping):
        return {printable_utf8(str(key)): encode(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    return printable_utf8(str(value))


def printable_utf8(text: str) -> str:
    """Replace halves of surrogates, which no file and no page can hold (an argument that is no UTF-8 has them)."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def decode(kind: type[T], data: Any) -> T:
    """Build `kind` from what `json.loads` gave; raises ValueError naming the field that does not fit."""
    return typing.cast("T", _decoder(typing.cast("Any", kind))(data, kind.__name__))


@functools.cache
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@functools.cache
def _decoder(kind: Any) -> Any:
    """Make the function `(data, where) -> value` for a type hint, once."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return functools.partial(_decode_dataclass, kind)
    if origin in {Union, types.UnionType}:
        return functools.partial(_decode_optional, _decoder(next(a for a in arguments if a is not type(None))))
    if origin is Literal:
        return functools.partial(_decode_literal, arguments)
    if origin is tuple:
        return _tuple_decoder(arguments)
    if origin is not None and issubclass(origin, Mapping):
        return functools.partial(_decode_mapping, _decoder(arguments[1]))
    if kind is Path:
        return lambda data, where: Path(_decode_text(data, where))
    return {str: _decode_text, int: _decode_whole, float: _decode_number, bool: _decode_truth}[kind]


def _tuple_decoder(arguments: tuple[Any, ...]) -> Any:
    """A tuple of any length of one type, or of exactly so many."""
    if arguments == (int, ...):
        return _decode_whole_numbers
    if arguments[-1] is ...:
        return functools.partial(_decode_tuple, _decoder(arguments[0]))
    return functools.partial(_decode_fixed, tuple(map(_decoder, arguments)))


def _decode_dataclass(kind: Any, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise _misfit(where, "an object", data)
    hints = _hints(kind)
    if missing := [name for name in _needed(kind) if name not in data]:
        raise ValueError(
            f"{where}: expected {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} missing"
        )
    known = {name: _decoder(hints[name])(data[name], f"{where}.{name}") for name in hints if name in data}
    try:
        return kind(**known)
    except (TypeError, ValueError) as error:  # the noun itself refuses what it is made of
        raise ValueError(f"{where}: {error}") from None


@functools.cache
def _needed(kind: Any) -> tuple[str, ...]:
    """Fields without a default."""
    none = dataclasses.MISSING
    return tuple(
        each.name for each in dataclasses.fields(kind) if each.default is none and each.default_factory is none
    )


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {name: hints[name] for name in _field_names(kind)}


def _decode_optional(inner: Any, data: Any, where: str) -> Any:
    return None if data is None else inner(data, where)


def _decode_literal(allowed: tuple[Any, ...], data: Any, where: str) -> Any:
    if data not in allowed:
        raise _misfit(where, f"one of {', '.join(map(str, allowed))}", data)
    return data


def _decode_tuple(inner: Any, data: Any, where: str) -> tuple[Any, ...]:
    return tuple(inner(item, f"{where}[]") for item in _listed(data, where))


def _decode_fixed(inner: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
    if len(_listed(data, where)) != len(inner):
        raise ValueError(f"{where}: expected {len(inner)} values, got {len(data)}")
    return tuple(one(item, f"{where}[]") for one, item in zip(inner, data, strict=True))


def _decode_whole_numbers(data: Any, where: str) -> tuple[int, ...]:
    """Histograms hold thousands of plain numbers: they are looked at all at once."""
    if set(map(type, _listed(data, where))) - {int} or (data and (max(data) > _WHOLE or min(data) < -_WHOLE)):
        return tuple(_decode_whole(item, f"{where}[]") for item in data)
    return tuple(data)


def _listed(data: Any, where: str) -> list[Any]:
    if not isinstance(data, list):
        raise _misfit(where, "a list", data)
    return data


def _decode_mapping(inner: Any, data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise _misfit(where, "an object", data)
    return {printable_utf8(key): inner(item, f"{where}.{key[:60]}") for key, item in data.items()}


def _decode_text(data: Any, where: str) -> str:
    if not isinstance(data, str):
        raise _misfit(where, "text", data)
    return printable_utf8(data)


def _decode_truth(data: Any, where: str) -> bool:
    if not isinstance(data, bool):
        raise _misfit(where, "true or false", data)
    return data


def _decode_whole(data: Any, where: str) -> int:
    if not isinstance(data, int) or isinstance(data, bool) or abs(data) > _WHOLE:
        raise _misfit(where, "a whole number of at most 64 bits", data)
    return data


def _decode_number(data: Any, where: str) -> Any:
    if not isinstance(data, (int, float)) or isinstance(data, bool) or not abs(data) <= LARGEST:
        raise _misfit(where, f"a number of at most {LARGEST:g}", data)
    return data


def _misfit(where: str, expected: str, data: Any) -> ValueError:
    return ValueError(f"{where}: expected {expected}, got {shown(data)}")
