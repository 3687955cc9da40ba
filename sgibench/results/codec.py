"""Frozen dataclasses to JSON-ready values and back, driven by their type hints alone (pure).

It knows no class by name: a field added to a noun is stored without a line changed here. Reading is strict about
types and lenient about absence: a missing field takes its default, an unknown one is ignored, so that a run written
by an older or newer sgibench of the same schema can be read.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Turn nouns, tuples, mappings and paths into what `json.dumps` takes."""
    if isinstance(value, (str, int, float, type(None))):
        return value
    if dataclasses.is_dataclass(value):
        return {name: encode(getattr(value, name)) for name in _field_names(typing.cast("Any", type(value)))}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    return str(value)


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
        return functools.partial(_decode_tuple, None if arguments[0] is int else _decoder(arguments[0]))
    if origin is not None and issubclass(origin, Mapping):
        return functools.partial(_decode_mapping, _decoder(arguments[1]))
    if kind is Path:
        return lambda data, _where: Path(data)
    accepted = (int, float) if kind is float else kind
    return functools.partial(_decode_plain, accepted)


def _decode_dataclass(kind: Any, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"{where}: expected an object, got {data!r:.80}")  # noqa: TRY004 - one kind of error here
    hints = _hints(kind)
    known = {name: _decoder(hints[name])(data[name], f"{where}.{name}") for name in hints if name in data}
    try:
        return kind(**known)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from None


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {name: hints[name] for name in _field_names(kind)}


def _decode_optional(inner: Any, data: Any, where: str) -> Any:
    return None if data is None else inner(data, where)


def _decode_literal(allowed: tuple[Any, ...], data: Any, where: str) -> Any:
    if data not in allowed:
        raise ValueError(f"{where}: expected one of {', '.join(map(str, allowed))}, got {data!r:.80}")
    return data


def _decode_tuple(inner: Any, data: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise ValueError(f"{where}: expected a list, got {data!r:.80}")  # noqa: TRY004 - one kind of error here
    # Histograms hold thousands of plain numbers: they are taken whole.
    return tuple(data) if inner is None else tuple(inner(item, f"{where}[]") for item in data)


def _decode_mapping(inner: Any, data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError(f"{where}: expected an object, got {data!r:.80}")  # noqa: TRY004 - one kind of error here
    return {str(key): inner(item, f"{where}.{key}") for key, item in data.items()}


def _decode_plain(accepted: Any, data: Any, where: str) -> Any:
    if not isinstance(data, accepted) or (isinstance(data, bool) and accepted is not bool):
        raise ValueError(f"{where}: expected {getattr(accepted, '__name__', 'a number')}, got {data!r:.80}")
    return data
