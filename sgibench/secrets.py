"""What must never be said: values of environment variables that the user gave, kept out of results, pages and messages.

One list for the whole process, because whatever is written or shown has passed through many hands. A value is replaced
by its variable's name. Very short and very common values would make every text unreadable, and are no secrets. In data,
the names of fields, words from fixed lists and ids stay as they are, whatever a variable holds (`ROLE=server`): by them
it is read back, and trials find their cells.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from sgibench.model import RunInfo, Stopped, Trial

LEAST_LENGTH = 4
COMMON = frozenset({"true", "false", "none", "null", "test", "prod", "production", "development", "debug", "info"})

_kept: dict[str, str] = {}
"""Value -> what is said instead."""


def keep(variables: Mapping[str, str]) -> None:
    """Never say these values from now on, nor the password in one that is an address."""
    for name, value in variables.items():
        for part in (value, *_passwords(value)):
            if len(part) >= LEAST_LENGTH and part.lower() not in COMMON and not (part.isdigit() and len(part) < 6):  # noqa: PLR2004 - a port is no secret
                _kept[part] = f"[{name}]"
                _kept[json.dumps(part)[1:-1]] = f"[{name}]"


def _passwords(value: str) -> tuple[str, ...]:
    try:
        parts = urlsplit(value)
        found = [*([parts.password] if parts.password else []), *parse_qs(parts.query).get("password", [])]
    except ValueError:
        return ()
    return tuple(one for password in found for one in (password, unquote(password)))


def hidden(text: str) -> str:
    """Give a text without the values; the longest first, as one may lie inside another."""
    for value in sorted(_kept, key=len, reverse=True):
        text = text.replace(value, _kept[value])
    return text


def hidden_in(data: Any) -> Any:
    """Give JSON-ready data without the values, in texts and in keys that are no plain words."""
    return _hidden_in(data, "") if _kept else data


def _hidden_in(data: Any, field: str) -> Any:
    if field in _as_they_are():
        return data
    if isinstance(data, str):
        return hidden(data)
    if isinstance(data, dict):
        return {_hidden_key(key): _hidden_in(value, key) for key, value in data.items()}
    return [_hidden_in(each, field) for each in data] if isinstance(data, list) else data


_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")
IDS = frozenset({"app", "baseline", "behind", "cell", "parts", "run", "scenario", "server", "servers", "service",
                 "slowest", "stopped"})  # fmt: skip
"""Fields that hold ids: names of files, or of what the command line named."""


def _hidden_key(key: str) -> str:
    """A plain word is a field's name or an id; anything else may hold what somebody asked for."""
    return key if _PLAIN.fullmatch(key) else hidden(key)


@cache
def _as_they_are() -> frozenset[str]:
    """Fields whose values are ids or come from a fixed list."""
    return IDS.union(*map(_fixed, (RunInfo, Trial, Stopped)))


def _fixed(noun: Any) -> Iterator[str]:
    """Fields of a noun, and of those in it, that take words from a list."""
    for name, hint in typing.get_type_hints(noun).items():
        for part in _parts(hint):
            if typing.get_origin(part) is Literal:
                yield name
            elif dataclasses.is_dataclass(part):
                yield from _fixed(part)


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    if typing.get_origin(hint) is not Literal:
        for inner in typing.get_args(hint):
            yield from _parts(inner)


def hidden_words(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Give a command line whose variables, headers and bodies have names and no values."""
    said: list[str] = []
    option = ""
    for word in argv:
        flag, equals, value = word.partition("=")
        if option in SECRET and not word.startswith("--"):
            said.append(_named(word, SECRET[option]))
        elif flag in SECRET and equals:
            said.append(f"{flag}={_named(value, SECRET[flag])}")
        else:
            said.append(word)
        option = word
    return tuple(said)


SECRET = {"--env": "=", "--header": ":", "--body": ""}
"""Options with values that are not recorded, and what ends the name before the value."""


def _named(word: str, separator: str) -> str:
    return word.partition(separator)[0] + f"{separator}…" if separator and separator in word else "…"
