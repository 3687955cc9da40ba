"""JSON that somebody else may have written: read within stated limits, or refused in one line.

A regular file (never a pipe, a socket or a device, which could block for ever), of at most so many bytes, nested at
most DEEPEST levels, whose numbers are finite and of bearable size (`codec` looks at those). Nothing in it is executed.
"""

from __future__ import annotations

import json
import os
import re
import reprlib
import stat
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, NoReturn

from sgibench.errors import ResultsError

DEEPEST = 32
"""Levels of nesting; the schema needs eleven."""
LONGEST_LINE_BYTES = 16 * 2**20
"""Of trials.jsonl; an ordinary trial takes a few kilobytes."""
LARGEST_FILE_BYTES = 128 * 2**20
"""Of run.json; the whole catalogue in ten blocks takes a few megabytes."""
_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}
# Possessive, so that a text without its end takes one pass as well.
_TEXTS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)
_NO_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 60


def shown(value: Any) -> str:
    """Show a value in a few characters of one line, however deep or long it is."""
    try:
        return " ".join(_short.repr(value)[:80].split())
    except (ValueError, RecursionError):  # a number of more digits than Python prints
        return f"a very long {type(value).__name__}"


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file to read, without ever waiting; raises ResultsError, FileNotFoundError when it is absent."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} can't be read: {_why(path, error)}") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise ResultsError(f"{path} can't be read: expected a file, but it is {_kind(mode)}")
    return os.fdopen(descriptor, "rb")


def _why(path: Path, error: OSError | ValueError) -> str:
    """A socket can't even be opened."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        mode = stat.S_IFREG
    if not stat.S_ISREG(mode):
        return f"expected a file, but it is {_kind(mode)}"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _kind(mode: int) -> str:
    return next((name for is_one, name in _KINDS.items() if is_one(mode)), "something else")


def read_object(path: Path) -> Any:
    """Read one JSON value from a file; raises ResultsError, FileNotFoundError when it is absent."""
    with open_regular(path) as file:
        try:
            data = file.read(LARGEST_FILE_BYTES + 1)
            if len(data) > LARGEST_FILE_BYTES:
                raise ValueError(f"it is larger than {LARGEST_FILE_BYTES // 2**20} MiB")  # noqa: TRY301
            return parse(data)
        except OSError as error:
            raise ResultsError(f"{path} can't be read: {error.strerror}") from None
        except ValueError as error:
            raise ResultsError(f"{path} can't be read: {error}") from None


def read_lines(path: Path) -> Iterator[bytes]:
    """Give the lines of a file with their ends, one at a time; raises ResultsError, FileNotFoundError when absent."""
    with open_regular(path) as file:
        number = 0
        while True:
            number += 1
            try:
                line = file.readline(LONGEST_LINE_BYTES + 1)
            except OSError as error:
                raise ResultsError(f"{path} can't be read: {error.strerror}") from None
            if len(line) > LONGEST_LINE_BYTES:
                raise ResultsError(f"{path} line {number}: it is longer than {LONGEST_LINE_BYTES // 2**20} MiB")
            if not line:
                return
            yield line


def parse(data: bytes) -> Any:
    """Read JSON as the standard has it: no NaN, no infinity, not too deep; raises ValueError in one line."""
    brackets = _TEXTS.sub(b"", data).translate(None, _NO_BRACKETS)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEEPEST:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except (UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {error}") from None
    except ValueError as error:
        said = str(error)
        if "integer string conversion" in said:  # Python's own limit, in words for programmers
            raise ValueError("it holds a number of thousands of digits") from None
        raise ValueError(f"it is no JSON: {said}" if isinstance(error, json.JSONDecodeError) else said) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
