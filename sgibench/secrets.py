"""What must never be said: values of environment variables that the user gave, kept out of results, pages and messages.

One list for the whole process, because whatever is written or shown has passed through many hands. A value is replaced
by its variable's name. Very short and very common values would make every text unreadable, and are no secrets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

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
        password = urlsplit(value).password
    except ValueError:
        password = None
    return (password, unquote(password)) if password else ()


def hidden(text: str) -> str:
    """Give a text without the values; the longest first, as one may lie inside another."""
    for value in sorted(_kept, key=len, reverse=True):
        text = text.replace(value, _kept[value])
    return text


def hidden_in(data: Any) -> Any:
    """Give JSON-ready data without the values, in keys and texts."""
    if not _kept:
        return data
    if isinstance(data, str):
        return hidden(data)
    if isinstance(data, dict):
        return {hidden(key): hidden_in(value) for key, value in data.items()}
    return [hidden_in(each) for each in data] if isinstance(data, list) else data


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
