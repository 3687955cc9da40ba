"""The second line of defence: what a command started is found and killed where its guard was killed and could not.

A guard finds what left its command's group because it is its subreaper; when it is dead, that is lost. What is left to
go by is the group, which the command began, and its log, which whatever it started has open for writing. Where the
engine was killed with it, the next command that finds their scratch folder goes by the logs in it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

BURIED_S = 5.0
POLL_S = 0.01


def birth_of(pid: int) -> float | None:
    """When a process began, so that it can be told from a later one of the same number; None when it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def bury(leader: int, born: float | None, log: Path | None) -> None:
    """Kill what lives of the group that `leader` began, and what has its log open, until nothing of both is left."""
    _kill_all(lambda: _left_of(leader, born, log))


def bury_writers(folder: Path) -> None:
    """Kill what has a file of a dead owner's folder open for writing, such as a log, until nothing of it is left."""
    _kill_all(lambda: [one for one in psutil.process_iter() if one.pid != os.getpid() and _holds(one, folder)])


def _kill_all(left: Callable[[], list[psutil.Process]]) -> None:
    deadline = time.monotonic() + BURIED_S
    while (found := left()) and time.monotonic() < deadline:
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(POLL_S)


def _left_of(leader: int, born: float | None, log: Path | None) -> list[psutil.Process]:
    now = birth_of(leader)
    ours = now is None or now == born  # else the number is another process's by now, and so is its group
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and ((ours and _group(process.pid) == leader) or _holds(process, log))
        if _lives(process)
    ]


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _holds(process: psutil.Process, place: Path | None) -> bool:
    """Whether a process has that file open for writing, or one of that folder."""
    if place is None:
        return False
    try:
        written = [Path(one.path) for one in process.open_files() if getattr(one, "mode", "w") != "r"]
        return any(place == path or place in path.parents for path in written)
    except (psutil.Error, OSError):
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
