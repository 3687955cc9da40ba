"""What a plan needs of the machine, counted before anything starts; what can't be had is refused in one line (pure).

A limit that is met in the middle of a run would be the generator's failure, and look like the servers'. The figures per
process are less than any of them takes, so only what can't work is refused for memory and processes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sgibench import units
from sgibench.errors import UsageError
from sgibench.limits import Room
from sgibench.model import Cell, Terms

OWN_FILES = 64
"""Open files of any process of ours, or of a server, beside its connections; the load process has about 30."""
FILES_OF_SERVER = 3
"""What the engine holds for each server: two ends of pipes, and its log for a moment."""
SERVER_BYTES = 15 * 2**20
LOAD_BYTES = 60 * 2**20
"""Of one load process."""
CONNECTION_BYTES = 8 * 1024
"""Both ends, in the kernel and in Python."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """What one stage needs while it runs."""

    servers: int
    """Started side by side, the A/A control included."""
    connections: int
    """To each of them at most."""
    workers: int
    load_workers: int
    held: int = 0
    """Further connections, held open to one server at a time."""

    @property
    def files_of_load(self) -> int:
        """Open files of the load process that has the most."""
        return self.servers * (-(-self.connections // self.load_workers) + 1) + self.held + OWN_FILES

    @property
    def files_of_server(self) -> int:
        """Open files of a server process to which all connections go."""
        return self.connections + self.held + OWN_FILES

    @property
    def files_of_engine(self) -> int:
        """Open files of the engine."""
        return self.servers * FILES_OF_SERVER + OWN_FILES

    @property
    def processes(self) -> int:
        """Processes: servers, their guards, the load."""
        return self.servers * (self.workers + 1) + self.load_workers + 3

    @property
    def memory_bytes(self) -> int:
        """Memory of servers and load."""
        servers = self.servers * (self.workers * SERVER_BYTES + self.connections * CONNECTION_BYTES)
        return servers + self.held * CONNECTION_BYTES + self.load_workers * LOAD_BYTES


def needs_of(
    cells: Iterable[Cell], load_workers: int, *, control: bool, terms: Mapping[str, Terms] | None = None
) -> list[Need]:
    """Count what each stage of these cells needs: what differs only in load shares one process per server."""
    stages: dict[object, list[Cell]] = defaultdict(list)
    for cell in cells:
        stages[cell.scenario, cell.settings, cell.load.connection].append(cell)
    return [
        Need(
            servers=len({(cell.server, cell.app, cell.control) for cell in stage}) + control,
            connections=max(cell.load.connections for cell in stage),
            workers=stage[0].settings.workers,
            load_workers=load_workers,
            held=(terms or {}).get(stage[0].scenario, Terms()).held,
        )
        for stage in stages.values()
    ]


def refuse_too_much(needs: Sequence[Need], room: Room) -> None:
    """Raise UsageError in one line when some stage needs more than there is."""
    for need in needs:
        problem = _files(need, room) or _ports(need, room) or _memory(need, room) or _processes(need, room)
        if problem:
            raise UsageError(problem)


def _files(need: Need, room: Room) -> str | None:
    """Say which process would need more open files than the hard limit grants."""
    side = (
        f"{need.servers} servers × {need.connections:,} connections"
        if need.servers > 1
        else f"{need.connections:,} connections"
    )
    for what, files in (
        (f"the load process ({side})", need.files_of_load),
        (f"a server ({need.connections:,} connections)", need.files_of_server),
        (f"the engine ({need.servers} servers)", need.files_of_engine),
    ):
        if files > room.files:
            return (
                f"{what} would need {files:,} open files, and the hard limit is {room.files:,}: raise it "
                f"(ulimit -Hn, as root) or ask for less{_fitting(need, room)}"
            )
    return None


def _fitting(need: Need, room: Room) -> str:
    """Say how many connections would fit."""
    if need.files_of_engine > room.files:
        return ": fewer servers"
    left = room.files - OWN_FILES
    most = min((left // need.servers - 1) * need.load_workers, left)
    return f", e.g. --connections {most}" if 0 < most < need.connections else ": fewer servers or connections"


def _ports(need: Need, room: Room) -> str | None:
    if room.ports is None or need.connections <= room.ports:
        return None
    return (
        f"{need.connections:,} connections to one server need as many client ports, and this system has "
        f"{room.ports:,} (net.ipv4.ip_local_port_range): ask for less, e.g. --connections {room.ports // 2}"
    )


def _memory(need: Need, room: Room) -> str | None:
    if room.memory_bytes is None or need.memory_bytes <= room.memory_bytes:
        return None
    return (
        f"{need.servers} servers with {need.workers} workers, {need.connections:,} connections each, and "
        f"{need.load_workers} load processes need at least {units.size(need.memory_bytes)} of memory, and "
        f"{units.size(room.memory_bytes)} are free: ask for less"
    )


def _processes(need: Need, room: Room) -> str | None:
    if room.processes is None or need.processes <= room.processes:
        return None
    return (
        f"{need.servers} servers with {need.workers} workers and the load need {need.processes:,} processes, and "
        f"{room.processes:,} may be started here: ask for less, or raise the limit (ulimit -u, pids.max)"
    )
