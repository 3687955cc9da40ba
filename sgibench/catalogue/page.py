"""The page docs/servers.md, written from the declarations alone, so that it can't say anything else than they do.

Command lines and limits are what the declarations' pure functions give for one example: two workers, eight threads.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import get_args

from sgibench.catalogue.fronts_page import fronts_section
from sgibench.model import Configuration, FrontEntry, Launch, Protocol, ServerEntry, Variant

INTRODUCTION = """\
# The servers

This page is generated from the files in `servers/`: `sgibench list --markdown > docs/servers.md`.

A variant's id names the worker class, the parser and the loop where they matter, and never "auto". Besides, each can
be set up in three ways:

- `default`: as installed. The command line says only where to listen, what to serve, with how many workers, and to
  keep quiet: no access log, errors alone in the log.
- `equal`: the basis of every comparison. Workers, threads, a backlog of 1024, connections kept alive for 75 s without a
  limit of requests, and TCP_NODELAY are alike in all servers, as far as each can do it.
- `recommended`: what the server's own documentation says for production, with its source. Where it says no more than
  the defaults, this is the same as `default`.

Servers that close every connection are compared only with one connection per request, a class in which all can run.
"Threads" names the servers whose concurrency the `--threads` option limits. The command lines below are those for two
workers and eight threads; `bin` is the server's own environment, `launchers` is `servers/launchers`. What is listed
under "in effect" is read back from the system after each trial.
"""
MEANT = {
    "connections": "connections served side by side",
    "kept_alive": "connections kept alive",
    "backlog": "backlog",
    "nodelay": "TCP_NODELAY",
    "processes": "processes",
    "threads": "threads of a process",
}
"""Field of Expected -> what a person calls it."""


def servers_page(servers: Sequence[ServerEntry], fronts: Sequence[FrontEntry] = ()) -> str:
    """Write the whole page, as Markdown."""
    families = groupby(sorted(servers, key=lambda server: (server.family, server.id)), key=lambda server: server.family)
    parts = [INTRODUCTION, _overview(servers), *(_family(name, list(members)) for name, members in families)]
    return "\n".join([*parts, *(fronts_section(fronts) if fronts else ())])


def _overview(servers: Sequence[ServerEntry]) -> str:
    lines = ["| Server | Interface | Model | Connections | Threads | Optional |", "|---|---|---|---|---|---|"]
    for server in servers:
        variant = server.variant
        kept = "kept alive" if variant.keep_alive else "closed"
        threads, optional = ("yes" if value else "" for value in (variant.threads, variant.optional))
        cells = (
            f"[{server.id}](#{server.id})",
            variant.interface.upper(),
            variant.concurrency,
            kept,
            threads,
            optional,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _family(name: str, members: Sequence[ServerEntry]) -> str:
    first = members[0]
    own = [note for note in first.notes if note not in first.variant.notes]
    lines = [f"## servers/{name}.py", "", f"{first.homepage}. Last verified: {first.verified or 'never'}.", ""]
    lines += [f"- {note}" for note in own]
    lines += [""] if own else []
    return "\n".join([*lines, *(_variant(member) for member in members)])


def _variant(server: ServerEntry) -> str:
    variant = server.variant
    lines = [f"### {server.id}", "", variant.summary, "", *_facts(server), ""]
    lines += _limits(server)
    lines += ["```sh"]
    for configuration in _distinct(server):
        lines += [f"# {' and '.join(configuration)}", _command(server, configuration[0])]
    return "\n".join([*lines, "```", ""])


def _facts(server: ServerEntry) -> Iterator[str]:
    variant = server.variant
    yield f"- Packages: {', '.join(f'`{package}`' for package in variant.packages) or 'none'}"
    for need in variant.needs:
        kind = "the C header" if need.header else "the program"
        yield f"- Needs {kind} `{need.name}`: `{need.how}`"
    if server.front is not None:
        yield f"- Always behind [{server.front.id}](#{server.front.id})"
    elif variant.unix:
        yield "- Can listen on a Unix socket behind a front"
    if variant.optional:
        yield f"- Only when named, since {variant.optional}"
    if variant.apps:
        yield f"- Runs only the apps {', '.join(variant.apps)}"
    if not variant.workers:
        yield "- One process, whatever the `--workers` option says"
    for protocol in variant.speaks[1:]:
        yield f"- Over {protocol}: {_added(server, protocol) if server.front is None else 'by its front'}"
    yield from _not_held(variant)
    yield from (f"- {note}" for note in variant.notes)
    if variant.recommended:
        yield f"- Recommended: {variant.recommended.says} Source: {variant.recommended.source}"


def _not_held(variant: Variant) -> Iterator[str]:
    """Which parts of the contract it does not hold."""
    for pattern, reason in variant.lacks.items():
        yield f"- Not held of the contract (`{pattern.partition(':')[0].replace('*', 'HEAD')}`): {reason}"
    for pattern, reason in variant.lacks_behind.items():
        yield f"- Not held behind a front (`{pattern.partition(':')[0]}`): {reason}"


def _added(server: ServerEntry, protocol: Protocol) -> str:
    """What a protocol adds to the command line, in the configuration that is compared."""
    plain = _example(server, "equal")
    words = [word for word in server.command(replace(plain, protocol=protocol)) if word not in server.command(plain)]
    return f"`{shlex.join(words)}`" if words else "no option"


def _limits(server: ServerEntry) -> list[str]:
    """A table of what is expected in each configuration; nothing where nothing is declared."""
    columns = {name: server.expected(_example(server, name)) for name in get_args(Configuration)}
    rows = {field: [getattr(column, field) for column in columns.values()] for field in MEANT}
    known = {field: values for field, values in rows.items() if any(value is not None for value in values)}
    if not known:
        return []
    head = ["| In effect | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    body = [
        f"| {MEANT[field]} | " + " | ".join(_shown(value) for value in values) + " |" for field, values in known.items()
    ]
    return [*head, *body, ""]


def _shown(value: object) -> str:
    match value:
        case None:
            return "–"
        case True:
            return "set"
        case False:
            return "not set"
        case (fewest, most):
            return f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return f"{value}"


def _distinct(server: ServerEntry) -> list[tuple[Configuration, ...]]:
    """The configurations, those of one command line together."""
    names: tuple[Configuration, ...] = get_args(Configuration)
    lines: dict[str, list[Configuration]] = {}
    for name in names:
        lines.setdefault(_command(server, name), []).append(name)
    return [tuple(same) for same in lines.values()]


def _command(server: ServerEntry, configuration: Configuration) -> str:
    return folded(server.command(_example(server, configuration)))


def _example(server: ServerEntry, configuration: Configuration) -> Launch:
    app = server.variant.apps[0] if server.variant.apps else f"{server.variant.interface}_plain"
    return Launch(
        bin=Path("bin"),
        launchers=Path("launchers"),
        scratch=Path("scratch"),
        host="127.0.0.1",
        target=f"{app}:app",
        options=server.variant.options,
        configuration=configuration,
        port=8000,
        workers=2,
        threads=8,
        backlog=1024,
        keep_alive_s=75,
        socket=Path("server.sock") if server.front is not None and server.front.variant.link == "unix" else None,
    )


def folded(argv: Iterable[str], width: int = 100) -> str:
    """A command line as a person would type it, folded at its words."""
    lines = [""]
    for word in argv:
        quoted = shlex.quote(word)
        if lines[-1] and len(lines[-1]) + len(quoted) > width:
            lines[-1] += " \\"
            lines.append("    " + quoted)
        else:
            lines[-1] += (" " if lines[-1] else "") + quoted
    return "\n".join(lines)
