"""`[tool.sgibench]` of a project's pyproject.toml, or its sgibench.toml: options that need not be typed again.

A key is an option's name without its dashes; what the command line says wins. Paths are relative to the file.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from sgibench import units
from sgibench.catalogue.reading import nearest
from sgibench.errors import UsageError, shown
from sgibench.paths import is_file

COMMANDS = ("run", "capacity", "check", "ui")
"""They measure, or begin to."""
OWN_FILE = "sgibench.toml"
PATHS = frozenset({
    "venv", "requirements", "env-file", "catalogue", "har", "access-log", "openapi", "results", "reports",
})  # fmt: skip
NOT_HELD = frozenset({"project", "resume", "json", "help", "quiet"})
"""Options that say nothing about a project."""


def defaults_for(name: str, words: Sequence[str], commands: Mapping[str, click.Command]) -> dict[str, Any] | None:
    """Give the defaults of a command from the project's file; None when there is none. Raises UsageError."""
    if name not in COMMANDS:
        return None
    project = project_of(words)
    held = read(project)
    if held is None:
        return None
    file, values = held
    known = {key: option for command in commands.values() for key, option in _options(command).items()}
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{file}: unknown key {key!r}: {nearest(key, known)}")
        _value(file, known[key], key, value)
    mine = _options(commands[name])
    found = {mine[key].name: _value(file, mine[key], key, value) for key, value in values.items() if key in mine}
    return {str(parameter): value for parameter, value in found.items()}


def read(project: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """Read what a project says, and in which file; None when it says nothing. Raises UsageError."""
    own, shared = project / OWN_FILE, project / "pyproject.toml"
    if is_file(own):
        return own, _toml(own)
    if is_file(shared):
        tool = _toml(shared).get("tool")
        held = tool.get("sgibench") if isinstance(tool, dict) else None
        if held is not None and not isinstance(held, dict):
            raise UsageError(f"{shared}: expected a table [tool.sgibench]")
        return None if held is None else (shared, held)
    return None


def without_table(text: str) -> str:
    """Give the text of a pyproject.toml without its table of sgibench."""
    kept, inside = [], False
    for line in text.splitlines():
        if line.lstrip().startswith("["):
            inside = line.strip().split("]")[0].lstrip("[").strip().startswith("tool.sgibench")
        if not inside:
            kept.append(line)
    return "\n".join(kept)


MOST_BYTES = 4 * 2**20
"""Of a project's file; what people write is a thousand times smaller."""


def _toml(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UsageError(f"{file}: expected TOML of at most {units.size(MOST_BYTES)}")
        return tomllib.loads(data.decode())
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: expected TOML, but {error}") from None
    except RecursionError:
        raise UsageError(f"{file}: expected TOML, but it is nested too deeply") from None


def project_of(words: Sequence[str]) -> Path:
    """Find `--project` among words that nobody has read yet."""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if word == "--project" and following:
            return Path(following)
        if word.startswith("--project="):
            return Path(word.partition("=")[2])
    return Path()


def _options(command: click.Command) -> dict[str, click.Option]:
    """Give a command's options by the names that a file has for them."""
    named = {
        flag.removeprefix("--"): parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for flag in parameter.opts
        if flag.startswith("--")
    }
    return {name: parameter for name, parameter in named.items() if name not in NOT_HELD}


def _value(file: Path, option: click.Option, key: str, value: Any) -> Any:
    """Turn a value of TOML into what the command line would have given."""
    if option.is_flag:
        if not isinstance(value, bool):
            raise UsageError(f"{file}: {key}: expected true or false, got {shown(value)}")
        return value
    if isinstance(value, dict) and key == "env":
        value = [f"{name}={one}" for name, one in value.items()]
    items = value if isinstance(value, list) else [value]
    told = [_text(file, key, item) for item in items]
    if option.multiple:
        return tuple(told)
    if len(told) != 1 and not all(isinstance(item, int) for item in items):
        raise UsageError(f"{file}: {key}: expected one value, got {shown(value)}")
    return ",".join(told)


def _text(file: Path, key: str, value: Any) -> str:
    """Write one value as a word of the command line."""
    if isinstance(value, dict) and key == "request":
        return json.dumps(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise UsageError(f"{file}: {key}: expected a text or a number, got {shown(value)}")
    if "\0" in str(value):
        raise UsageError(f"{file}: {key}: expected a text without NUL, as on a command line")
    return _placed(file.parent, key, value) if isinstance(value, str) else str(value)


def _placed(folder: Path, key: str, value: str) -> str:
    """Give a value in which a path is one from here: paths are relative to the file that they stand in."""
    if key == "body" and value.startswith("@"):
        return f"@{folder / value[1:]}"
    is_path = key in PATHS or (key == "scenario" and value.endswith(".py"))
    return str(folder / value) if is_path else value
