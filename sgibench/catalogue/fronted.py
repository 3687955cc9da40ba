"""A server and a front made one: `nginx+gunicorn-gthread`, a server like any other to all that comes after (pure).

What the two are together follows from what each declares; no file knows a pair.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sgibench.errors import DeclarationError
from sgibench.model import Expected, FrontEntry, FrontLaunch, Launch, ServerEntry

LEAST_REUSED = 512
"""Connections to a server are kept alive when it serves so many side by side. One that gives each connection a thread
of its own would serve those that came first and no others: it is asked on a new connection each time."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """What a front's launch holds that its servers' launches don't say."""

    program: str = "front"
    scratch: Path = Path("scratch")
    port: int = 8000
    backends: tuple[str, ...] = ()
    """Where the servers listen; example addresses when empty."""
    static: Path = Path("static")
    script: Path | None = None
    user: str | None = None


def unfit(server: ServerEntry, front: FrontEntry) -> str | None:
    """Why a server can't stand behind a front; None when it can."""
    variant, wanted = server.variant, front.variant
    if server.front is not None:
        return f"it always stands behind {server.front.id}"
    if wanted.speech != variant.behind:
        return f"it speaks {variant.behind} behind a front, and {front.id} speaks {wanted.speech}"
    if wanted.link == "unix" and not variant.unix:
        return f"it can't listen on a Unix socket, and {front.id} reaches servers over one"
    return None


def of_sizes(front: FrontEntry, fronts: Sequence[FrontEntry], sizes: Sequence[int]) -> list[FrontEntry]:
    """What stands before so many servers and is otherwise like a front, in the order of the sizes.

    One that balances keeps its way; before one that does not, all ways that there are. Empty when a size has none.
    """
    base = front.variant.one or front.id
    kin = [
        one
        for one in fronts
        if base in {one.id, one.variant.one}
        if one.id == base or not front.variant.one or one.variant.balance == front.variant.balance
    ]
    found = {size: [one for one in kin if one.variant.backends == size] for size in sizes}
    return [one for some in found.values() for one in some] if all(found.values()) else []


def behind(server: ServerEntry, front: FrontEntry) -> ServerEntry:
    """Put a server behind a front; the caller has asked whether it fits."""
    return _joined(server, front, f"{front.id}+{server.id}")


def behind_its_own(server: ServerEntry, fronts: Sequence[FrontEntry]) -> ServerEntry:
    """Put a server that always stands behind a front behind it, under its own name; raises DeclarationError."""
    wanted = server.variant.front
    if wanted is None:
        return server
    front = next((one for one in fronts if one.id == wanted), None)
    if front is None:
        near = difflib.get_close_matches(wanted, [one.id for one in fronts], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DeclarationError(server.path, "a front of the catalogue", f"{server.id} names {wanted!r}{hint}")
    if wrong := unfit(server, front):
        raise DeclarationError(server.path, f"a front that {server.id} fits", wrong)
    return _joined(server, front, server.id)


def _joined(server: ServerEntry, front: FrontEntry, name: str) -> ServerEntry:
    def expect(launch: Launch) -> Expected:
        placed = front_launch(server, front, launch, Where())
        return together(front.expected(placed), server.expected(launch), placed)

    variant = replace(
        server.variant,
        id=name,
        keep_alive=True,
        speaks=front.variant.speaks,
        needs=(*server.variant.needs, front.need),
        lacks={**front.lacks, **server.variant.lacks, **server.variant.lacks_behind},
        manager=True,
        summary=f"{server.variant.summary} Behind {front.id}.",
    )
    notes = (*server.notes, *front.notes)
    return replace(server, variant=variant, front=front, behind=server, expect=expect, notes=notes)


def together(front: Expected, server: Expected, launch: FrontLaunch) -> Expected:
    """What a front and the servers behind it should turn out to be, seen from outside."""
    count = len(launch.backends)
    limits = [front.connections, count * server.connections if launch.reuse and server.connections else None]
    processes = None
    if front.processes is not None and server.processes is not None:
        processes = front.processes + count * server.processes
    threads = None
    if front.threads is not None and server.threads is not None:
        threads = (max(front.threads[0], server.threads[0]), max(front.threads[1], server.threads[1]))
    connections = min((limit for limit in limits if limit is not None), default=None)
    return replace(front, connections=connections, processes=processes, threads=threads)


def reuses(server: ServerEntry, launch: Launch) -> bool:
    """Whether connections from a front to that server are kept alive."""
    if not server.variant.keep_alive or server.variant.behind != "http" or launch.configuration == "default":
        return False
    most = server.expected(launch).connections
    return most is None or most >= LEAST_REUSED


def front_launch(server: ServerEntry, front: FrontEntry, launch: Launch, where: Where) -> FrontLaunch:
    """What a front is launched with before servers that are launched like `launch`; `server` without its front."""
    variant = front.variant
    example = tuple(
        f"{launch.host}:{launch.port + number}" if variant.link == "tcp" else str(where.scratch / f"{number}.sock")
        for number in range(1, variant.backends + 1)
    )
    return FrontLaunch(
        program=where.program,
        scratch=where.scratch,
        host=launch.host,
        port=where.port,
        backends=where.backends or example,
        link=variant.link,
        speech=variant.speech,
        reuse=reuses(server, launch),
        limit=server.expected(launch).connections,
        options=variant.options,
        balance=variant.balance,
        workers=launch.workers,
        backlog=launch.backlog,
        keep_alive_s=launch.keep_alive_s,
        configuration=launch.configuration,
        protocol=launch.protocol,
        static=where.static,
        script=where.script or (Path(server.variant.script) if server.variant.script else None),
        user=where.user,
    )
