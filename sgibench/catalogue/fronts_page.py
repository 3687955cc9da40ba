"""The part of docs/servers.md that is about fronts, written from their declarations alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from sgibench.model import FrontEntry, FrontLaunch

INTRODUCTION = """\
# The fronts

What stands before a server is named before it: `nginx+waitress`. Any server stands behind any front that it fits: over
a Unix socket those that can listen on one, over another protocol than HTTP those that speak it. The configurations
below are those for servers with two workers; `scratch` is a folder that lives as long as the front.
[deployments.md](deployments.md) says what a front changes, with figures.
"""
LINKS = {"tcp": "loopback TCP", "unix": "a Unix socket"}


def fronts_section(fronts: Sequence[FrontEntry]) -> Iterator[str]:
    """Write it, as Markdown."""
    yield INTRODUCTION
    lines = ["| Front | Servers behind it | Reached over | In | Clients ask in |", "|---|---|---|---|---|"]
    for front in fronts:
        variant = front.variant
        count = f"{variant.backends}, {variant.balance}" if variant.balance else str(variant.backends)
        spoken = ", ".join(variant.speaks)
        cells = (f"[{front.id}](#{front.id})", count, LINKS[variant.link], variant.speech, spoken)
        lines.append(f"| {' | '.join(cells)} |")
    yield "\n".join([*lines, ""])
    for name, members in groupby(sorted(fronts, key=lambda one: (one.family, one.id)), key=lambda one: one.family):
        yield from _family(name, list(members))


def _family(name: str, members: Sequence[FrontEntry]) -> Iterator[str]:
    first = members[0]
    own = [note for note in first.notes if note not in first.variant.notes]
    facts = [f"Needs the program `{first.need.name}`: `{first.need.how}`", *own]
    facts += [f"Not held of the contract (`{what}`): {why}" for what, why in first.lacks.items()]
    verified = f"{first.homepage}. Last verified: {first.verified or 'never'}."
    yield "\n".join([f"## fronts/{name}.py", "", verified, "", *(f"- {fact}" for fact in facts), ""])
    for member in members:
        yield _variant(member)


def _variant(front: FrontEntry) -> str:
    launch = _example(front)
    notes = [f"- {note}" for note in front.variant.notes]
    notes += [""] if notes else []
    texts = [text for name, content in front.files(launch).items() for text in (f"# {name}", *content.splitlines())]
    return "\n".join(
        [
            *(f"### {front.id}", "", front.variant.summary, "", *notes),
            *("```sh", shlex.join(front.command(launch)), "```", ""),
            *("```", *(text for text in texts if text.strip()), "```", ""),
        ]
    )


def _example(front: FrontEntry) -> FrontLaunch:
    variant = front.variant
    numbers = range(1, variant.backends + 1)
    return FrontLaunch(
        program=front.need.name,
        scratch=Path("scratch"),
        host="127.0.0.1",
        port=8000,
        backends=tuple(f"127.0.0.1:{8000 + n}" if variant.link == "tcp" else f"{n}.sock" for n in numbers),
        link=variant.link,
        speech=variant.speech,
        reuse=variant.speech == "http",
        limit=None,
        options=variant.options,
        balance=variant.balance,
        workers=2,
        backlog=1024,
        keep_alive_s=75,
        configuration="equal",
        protocol="http",
        static=Path("static"),
        script=Path("scratch/script") if variant.alone else None,
        user=None,
    )
