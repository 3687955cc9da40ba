"""What a stranger's file holds, before anybody asks which tool wrote it. Nothing in here can hang or run code.

Every file is hostile until read: only a regular file of a bounded size is opened; bytes become text by their byte order
mark, as UTF-8, or as Windows' Latin letters; text becomes plain lines of bounded length (terminal colours, Markdown's
quotes and odd line ends are taken off) and, where it is JSON, parsed values of bounded depth.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 64 * 2**20
"""The largest file that is read; the outputs that people keep are a thousand times smaller."""
MOST_DEPTH = 100
"""JSON nested deeper is nobody's summary, and Python's parser stops near a thousand."""
MOST_DOCUMENTS = 1000
LONGEST_LINE = 2000
"""Longer lines are cut for the readers of text: no figure of a tool stands behind that column, and a pattern's time is
bounded by it."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LINE_END = re.compile(r"\r*\n|\r")
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){3,}")
"""A pattern that looks across lines must not look across a million of them, nor a loop over lines."""
_LAST_BLANKS = 6
"""Signs of line ends behind the last line that are kept."""
_QUOTE = re.compile(r"^[ \t]*(?:(?:>|//)[ \t]?)+")
"""Of Markdown, and of a comment in a script."""
_CITED = re.compile(r"^[ \t]*(?:>[ \t]?)+", re.MULTILINE)
"""Of Markdown alone: no line of JSON begins so."""
_NAME = re.compile(r"(?:\[[\w./ :-]{1,80}\]|[\w./-]{1,80} *\|)")
"""`loadgen-1  | ` of docker compose, `[pod/load/wrk] ` of kubectl."""
_MOMENT = re.compile(
    r"\[?[0-9]{4}(?:-[0-9]{2}){2}[T ][0-9]{2}(?::[0-9]{2}){2}(?:[.,][0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2})?\]?"
    r"(?:[ \t]|$)"
)
PREFIXED = 0.8
"""So many of all lines begin alike when something else than the tool wrote their beginnings ..."""
FEWEST_LINES = 5
"""... and that of so many, at least, or all of a text that is shorter."""
MOST_PREFIXES = 3
_DOCUMENT_START = re.compile(r"^[ \t]*(?=\{\s{0,200}[\"}]|\[\s{0,200}[\[{\"\]])", re.MULTILINE)
_BETWEEN = re.compile(r"[\s,]*")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True, kw_only=True)
class Material:
    """One file, as its readers see it."""

    name: str
    """The file's name: labels rows that carry none."""
    text: str
    """All of it, with plain line ends, without colours and what a log wrote before each line."""
    plain: str
    """Its lines without Markdown's quote marks, each of a bounded length."""
    documents: tuple[object, ...]
    """The JSON values it holds one after the other; other lines may stand before and between them."""
    broken_json: str
    """Why what begins like JSON is none; empty when it is, or does not begin like it."""


def read_material(path: Path) -> Material:
    """Read a file. Raises ValueError with what was expected when it is no text that a load tool could have written."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("is no regular file: expected the output of a load tool, CSV or JSON")
        # Opened without waiting, in case it has become a pipe since.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise ValueError(f"is larger than {MOST_BYTES >> 20} MiB: expected the summary of a load test, not its log")
    return material_of(_decoded(data), path.name)


def material_of(text: str, name: str) -> Material:
    """Prepare text whose origin is `name`."""
    written = text.rstrip("\r\n")
    text = _COLOURS.sub("", (text[: len(written) + _LAST_BLANKS]).lstrip("\ufeff"))
    text = _without_log_prefix(_LINE_END.sub("\n", text) if "\r" in text else text)
    lines = (_QUOTE.sub("", line[:LONGEST_LINE]).rstrip() for line in _BLANK_LINES.sub("\n\n\n", text).split("\n"))
    documents, broken = _documents(_CITED.sub("", text) if ">" in text else text)
    plain = _BLANK_LINES.sub("\n\n\n", "\n".join(lines)).replace("\u00a0", " ")
    return Material(name=name, text=text, plain=plain, documents=documents, broken_json=broken)


def _without_log_prefix(text: str) -> str:
    """Take off what a container's log or a CI's writes before each line: a time, the container's name, or both."""
    for _ in range(MOST_PREFIXES):
        told = [line for line in _BLANK_LINES.sub("\n", text).split("\n") if line.strip()]
        names = Counter(match[0] for line in told if (match := _NAME.match(line)))
        name, named = names.most_common(1)[0] if names else ("", 0)
        enough = PREFIXED * len(told) if len(told) >= FEWEST_LINES else len(told)
        if told and named >= enough and (len(told) >= FEWEST_LINES or _is_object(told[0][len(name) :])):
            text = "\n".join(line.removeprefix(name).removeprefix(" ") for line in text.split("\n"))
        elif told and sum(_MOMENT.match(line) is not None for line in told) >= enough:
            text = "\n".join(_MOMENT.sub("", line) for line in text.split("\n"))
        else:
            break
    return text


def _is_object(line: str) -> bool:
    return _MOMENT.sub("", line.lstrip()).startswith("{")


def _decoded(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _as(data, encoding)
    if b"\0" in data[:200]:  # UTF-16 without a mark: every other byte of what is written with Latin letters is 0
        return _as(data, "utf-16-le" if data[1:2] == b"\0" else "utf-16-be")
    try:
        return _text(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _text(data.decode("cp1252", errors="replace"))


def _as(data: bytes, encoding: str) -> str:
    try:
        return _text(data.decode(encoding))
    except UnicodeDecodeError:
        raise ValueError("is no text: expected the output of a load tool, CSV or JSON") from None


def _text(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("is no text: expected the output of a load tool, CSV or JSON")
    return text


def _documents(text: str) -> tuple[tuple[object, ...], str]:
    start = _DOCUMENT_START.search(text)
    if start is None:
        return (), ""
    found: list[object] = []
    decoder, place = json.JSONDecoder(), start.end()
    try:
        while place < len(text) and text[place] in "[{" and len(found) < MOST_DOCUMENTS:
            value, place = decoder.raw_decode(text, place)
            found.append(value)
            between = _BETWEEN.match(text, place)
            place = between.end() if between else place
            if place < len(text) and text[place] not in "[{":  # prose, then perhaps the next one
                after = _DOCUMENT_START.search(text, place)
                place = after.end() if after else len(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        return tuple(found), f"its JSON breaks off or is broken at {where} ({error.msg})"
    except RecursionError:
        return tuple(found), f"its JSON is nested more than {MOST_DEPTH} levels deep"
    except ValueError:
        return tuple(found), "its JSON has a number of more than 4,300 digits"
    if any(_depth_over(value, MOST_DEPTH) for value in found):
        return (), f"its JSON is nested more than {MOST_DEPTH} levels deep"
    return tuple(found), ""


def _depth_over(value: object, most: int) -> bool:
    level: list[object] = [value]
    for _ in range(most):
        level = [
            member
            for each in level
            if isinstance(each, (dict, list))
            for member in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True
