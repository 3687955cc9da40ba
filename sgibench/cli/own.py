"""The options about an app of the user's own, and what their words mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click

from sgibench import bench, secrets, units
from sgibench.bench import sources
from sgibench.bench.asking import read_header, read_requests, told_apart, with_headers
from sgibench.cli.options import Folder, Place
from sgibench.cli.subjects import option
from sgibench.errors import ResultsError, UsageError, shown
from sgibench.model import Asked, Interface
from sgibench.results import strict

_NAME = re.compile(r"[A-Za-z_]\w*")
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*")
LONGEST_SIZE = 20
MOST_BYTES = 64 * 2**20
"""Of a file that is a body, or that holds variables."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Own:
    """What is said about an app of the user's own, which `--app module:attribute` names."""

    interface: Interface | None = option(
        "--interface",
        type=click.Choice([each for each in get_args(Interface) if each != "rsgi"]),
        help="What your app is, when it can't be seen by looking at it.",
    )
    project: Path = option(
        "--project",
        type=Folder(),
        default=Path(),
        help="Folder of your app: where servers are started.  [default: here]",
    )
    venv: Path | None = option(
        "--venv",
        type=Place(),
        help="Your app's environment, which is never changed.  [default: ./.venv or $VIRTUAL_ENV]",
    )
    requirements: tuple[Path, ...] = option(
        "--requirements",
        multiple=True,
        type=Place(),
        help="Make an environment from this file instead. Repeatable.",
    )
    env: tuple[str, ...] = option(
        "--env",
        multiple=True,
        metavar="NAME=VALUE",
        help="Variable for your app, never stored. Repeatable.",
    )
    env_file: tuple[Path, ...] = option(
        "--env-file", multiple=True, type=Place(), help="File of such variables. Repeatable."
    )
    prepare: tuple[str, ...] = option(
        "--prepare", multiple=True, metavar="COMMAND", help="Run before each start of a server. Repeatable."
    )
    copy: bool | None = option(
        "--copy/--no-copy",
        default=None,
        help="Give each server a copy of the project, so that no write stays.  [default: when a request writes]",
    )
    ready: str | None = option(
        "--ready", metavar="PATH", help="A server is ready when this is answered; any answer under 500 by default."
    )
    memory: str | None = option("--memory", metavar="SIZE", help="All servers together may take so much, e.g. 2G.")
    requests: tuple[str, ...] = option(
        "--request", multiple=True, metavar="REQUEST", help="Asked of your app: '3 GET /path' (3 = weight). Repeatable."
    )
    har: tuple[Path, ...] = option(
        "--har", multiple=True, type=click.Path(path_type=Path), help="Ask what a browser recorded. Repeatable."
    )
    access_log: tuple[Path, ...] = option(
        "--access-log",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Ask the most frequent requests of a log, in its proportions. Repeatable.",
    )
    openapi: tuple[Path, ...] = option(
        "--openapi",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Ask the operations of an OpenAPI document that need no invented data. Repeatable.",
    )
    body: tuple[str, ...] = option(
        "--body", multiple=True, metavar="TEXT|@FILE", help="Body of the next POST, PUT or PATCH. Repeatable."
    )
    header: tuple[str, ...] = option(
        "--header", multiple=True, metavar="'NAME: VALUE'", help="Sent with every request. Repeatable."
    )


def own_request(own: Own) -> bench.OwnRequest:
    """Read the words; raises UsageError. From here on no value of a variable is ever said."""
    variables = {**_from_files(own.env_file), **_from_words(own.env)}
    secrets.keep(variables)
    return bench.OwnRequest(
        project=own.project,
        interface=own.interface,
        venv=own.venv,
        requirements=own.requirements,
        variables=variables,
        prepare=own.prepare,
        ready=_path("--ready", own.ready),
        memory_bytes=_size(own.memory),
        asked=told_apart(_asked(own)),
        copy=own.copy,
    )


def _asked(own: Own) -> tuple[Asked, ...]:
    """Read the requests of all sources, and say what was taken of each and what was not."""
    if (own.body or own.header) and not (own.requests or own.har or own.access_log or own.openapi):
        raise UsageError("--body and --header belong to a request: expected --request as well")
    named = read_requests(own.requests, [_body(text) for text in own.body], own.header)
    headers = tuple(read_header(text) for text in own.header)
    found = [
        *(("--har", sources.read_har(path)) for path in own.har),
        *(("--access-log", sources.read_access_log(path)) for path in own.access_log),
        *(("--openapi", sources.read_openapi(path, authorised=bool(headers))) for path in own.openapi),
    ]
    for flag, source in found:
        click.echo(source.said(flag), err=True)
    return (*named, *(with_headers(one, headers) for _, source in found for one in source.asked))


def _body(text: str) -> bytes:
    if not text.startswith("@"):
        return text.encode("utf-8", "surrogateescape")  # bytes of the command line that are no text go as they are
    return _contents(f"--body {shown(text)}", Path(text[1:]))


def _contents(said: str, path: Path) -> bytes:
    """Read a file that the user names: a regular one, of bearable size, and never waited for; raises UsageError."""
    try:
        with strict.open_regular(path) as file:
            data = file.read(MOST_BYTES + 1)
    except ResultsError as error:
        raise UsageError(f"{said}: {error}") from None
    except OSError as error:
        raise UsageError(f"{said}: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise UsageError(f"{said}: expected at most {units.size(MOST_BYTES)}")
    return data


def _path(flag: str, path: str | None) -> str | None:
    if path is not None and (not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path):
        raise UsageError(f"{flag}: expected a path such as /health, got {shown(path)}")
    return path


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    found = _SIZE.fullmatch(text.strip()) if len(text) <= LONGEST_SIZE else None
    size = int(float(found[1]) * 1024 ** ("KMGT".find(found[2].upper()) + 1 if found[2] else 0)) if found else 0
    if size < 1:
        raise UsageError(f"--memory: expected a size such as 800M or 2G, got {shown(text)}")
    return size


def _from_words(words: Sequence[str]) -> Mapping[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise UsageError(f"--env: expected NAME=VALUE, got {shown(name)}{'=…' if equals else ''}")
        found[name] = _whole(f"--env {name}", value)
    return found


def _from_files(files: Sequence[Path]) -> Mapping[str, str]:
    """Read lines of NAME=VALUE; quotes around a value and lines of comment are left out."""
    found = {}
    for file in files:
        try:
            lines = _contents(f"--env-file {file}", file).decode().splitlines()
        except ValueError as error:
            raise UsageError(f"--env-file {file}: expected UTF-8, but {error}") from None
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _LINE.fullmatch(line)
            if match is None:
                raise UsageError(f"--env-file {file} line {number}: expected NAME=VALUE")
            found[match[1]] = _whole(f"--env-file {file} line {number}", unquoted(match[2]))
    return found


def _whole(said: str, value: str) -> str:
    """Refuse what no variable can hold; raises UsageError."""
    if "\0" in value:
        raise UsageError(f"{said}: expected a text without NUL, which no variable can hold")
    return value


def unquoted(value: str) -> str:
    """Give a value of a file of variables without its quotes, or without the comment after it."""
    if len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]:
        return value[1:-1]
    return re.sub(r"\s#.*$", "", value)
