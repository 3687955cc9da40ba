"""How many servers of a big app may live at the same time, and who lives with whom (pure, but for what is free)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from sgibench import units
from sgibench.errors import UsageError
from sgibench.model import ServerEntry

SHARE = 0.8
"""Of what is free: the load process and everything else grow, too."""
OF_THEIR_OWN = 24 * 2**20
"""About what a server takes beside the app."""
CGROUP = Path("/sys/fs/cgroup")


def free_bytes() -> int:
    """What servers may take here: of the memory that is free, and of what a container's limit leaves."""
    available = int(psutil.virtual_memory().available)
    try:
        limit = (CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((CGROUP / "memory.current").read_text(encoding="ascii"))
        available = min(available, max(0, int(limit) - used)) if limit.isdigit() else available
    except (OSError, ValueError):
        pass
    return int(available * SHARE)


def need_of(server: ServerEntry, app_bytes: int, workers: int) -> int:
    """About what one server takes: a copy of the app in each worker, and in a manager that imports it, too."""
    processes = workers if server.variant.workers else 1
    return (app_bytes + OF_THEIR_OWN) * (processes + server.variant.manager)


def split(needs: Mapping[str, int], limit: int, reference: str, *, control: bool) -> tuple[tuple[str, ...], ...]:
    """Say which servers live together; one part when all of them fit. Raises UsageError when not even two do.

    The reference is in every part, and stands first in it. With `control`, there is room for one server twice.
    """
    spare = max(needs.values(), default=0) if control else 0
    if sum(needs.values()) + spare <= limit:
        return (tuple(needs),)
    parts: list[list[str]] = [[reference]]
    taken = needs[reference] + spare
    for server in needs:
        if server == reference:
            continue
        if needs[reference] + needs[server] + spare > limit:
            needed = units.size(needs[reference] + needs[server] + spare)
            raise UsageError(
                f"--memory: {reference} and {server} need about {needed} together, and {units.size(limit)} may be "
                "taken: give them more, fewer --workers, or --no-control"
            )
        if taken + needs[server] > limit:
            parts.append([reference])
            taken = needs[reference] + spare
        parts[-1].append(server)
        taken += needs[server]
    return tuple(map(tuple, parts))


def told(parts: Sequence[Sequence[str]], limit: int) -> str:
    """Say how a group was split."""
    return (
        f"the servers don't fit into {units.size(limit)} together: measured in {len(parts)} parts, "
        f"each with {parts[0][0]}, over which the others are compared"
    )
