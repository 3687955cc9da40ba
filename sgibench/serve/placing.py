"""Where the parts of a server listen and keep their files: one server by itself, or several with a front before them.

A server without a front has the scratch folder and the port for itself. Behind a front each has a folder in it and an
address that nobody else knows; what clients ask is the front's.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sgibench import catalogue
from sgibench.catalogue.fronted import Where, front_launch
from sgibench.errors import ServerError
from sgibench.model import Launch, ServerEntry
from sgibench.paths import remove
from sgibench.serve import certificate
from sgibench.serve.needs import find_program

ONLY = "server"
FRONT = "front"
"""Names of the one server without a front, and of the front."""
LONGEST_SOCKET = 100
"""Characters of a Unix socket's path: Linux takes 107, macOS 103."""
TRY_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Placed:
    """One server, and where it is put."""

    name: str
    entry: ServerEntry
    """The server by itself."""
    launch: Launch

    @property
    def address(self) -> str:
        """Where it listens, as a front is told."""
        launch = self.launch
        return f"{launch.host}:{launch.port}" if launch.socket is None else str(launch.socket)

    def listens(self) -> bool:
        """Whether somebody accepts connections there."""
        launch = self.launch
        unix = launch.socket is not None
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as probe:
            probe.settimeout(TRY_S)
            try:
                probe.connect(str(launch.socket) if unix else (launch.host, launch.port))
            except OSError:
                return False
        return True


def servers(entry: ServerEntry, launch: Launch, free_port: Callable[[], int]) -> tuple[Placed, ...]:
    """Place the servers; raises ServerError."""
    if entry.front is None or entry.behind is None:
        return (Placed(name=ONLY, entry=entry, launch=launch),)
    variant = entry.front.variant
    placed = []
    for number in range(1, variant.backends + 1):
        own = replace(launch, scratch=launch.scratch / str(number), protocol="http")
        if variant.link == "unix":
            own = replace(own, port=0, socket=_socket(launch.scratch, number))
        else:
            own = replace(own, port=free_port())
        placed.append(Placed(name=f"{number} of {variant.backends}", entry=entry.behind, launch=own))
    return tuple(placed)


def _socket(scratch: Path, number: int) -> Path:
    """A path for a Unix socket, short enough for the system; nothing is there."""
    name = hashlib.sha256(os.fsencode(scratch)).hexdigest()[:8]
    path = scratch.parent / f"{name}-{number}"
    if len(os.fsencode(path)) > LONGEST_SOCKET:
        raise ServerError(
            "client", f"a Unix socket can't have so long a path as {path}: set TMPDIR to a folder with a shorter one"
        )
    path.unlink(missing_ok=True)
    return path


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write a declaration's files; one that begins with `#!` is a program."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
        if text.startswith("#!"):
            (folder / name).chmod(0o700)


def front(entry: ServerEntry, launch: Launch, placed: Sequence[Placed]) -> tuple[str, ...]:
    """Prepare the front before servers that listen; gives its command line. Raises ServerError."""
    if entry.front is None or entry.behind is None:
        raise AssertionError("there is no front")
    program = find_program(entry.front.need.name)
    if program is None:
        raise ServerError("not-started", f"{entry.front.need.name} is not here: {entry.front.need.how}")
    script = entry.behind.variant.script
    where = Where(
        program=program,
        scratch=launch.scratch / FRONT,
        port=launch.port,
        backends=tuple(one.address for one in placed),
        static=catalogue.home() / "apps" / "static",
        script=None if script is None else placed[0].launch.scratch / script,
        user=pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None,
    )
    found = front_launch(entry.behind, entry.front, launch, where)
    remove(where.scratch)
    where.scratch.mkdir(parents=True)
    if found.tls:
        certificate.make(found.certificate, found.key)
    write(where.scratch, entry.front.files(found))
    return tuple(entry.front.command(found))
