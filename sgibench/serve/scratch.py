"""Scratch folders: one for each command that starts processes, gone with it, or at the next start when it was killed.

A folder is locked for as long as its owner lives, by a lock that the system takes back whatever ends the owner. One
that nobody locks is rubbish, and so is what still writes into it. A folder is only ever taken away when its mark shows
that it was made here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sgibench.errors import ResultsError
from sgibench.paths import remove
from sgibench.serve.orphans import bury_writers

PREFIX = "sgibench-run-"
MARK = ".sgibench-scratch"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder that is gone afterwards; those of dead owners are taken away first. Raises ResultsError."""
    try:
        parent = Path(tempfile.gettempdir())
        sweep(parent)
        folder, lock = _made(parent)
    except OSError as error:
        raise ResultsError(f"there is no room for scratch files ({error.strerror}): set TMPDIR to a folder") from None
    try:
        yield folder
    finally:
        _take_away(folder)
        os.close(lock)


def _made(parent: Path) -> tuple[Path, int]:
    """Make a folder and lock it; another process that sweeps may be quicker, then make another."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        lock = _lock(folder)
        if lock is None:
            continue
        with contextlib.suppress(FileNotFoundError):
            (folder / MARK).touch()
            if os.path.samestat(os.fstat(lock), folder.stat()):
                return folder, lock
        os.close(lock)


def sweep(parent: Path) -> None:
    """Take away the folders whose owner has died."""
    for folder in parent.glob(f"{PREFIX}*"):
        lock = _lock(folder)
        if lock is None:
            continue
        try:
            with contextlib.suppress(OSError):
                if (folder / MARK).exists():
                    bury_writers(folder.resolve())
                    _take_away(folder)
                elif not any(folder.iterdir()):
                    _take_away(folder)
        finally:
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Lock a folder of this user's; None when it is somebody's."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        if os.fstat(fd).st_uid == os.geteuid():
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
    os.close(fd)
    return None


def _take_away(folder: Path) -> None:
    """Take a folder away, its mark at last: what can't be deleted now is tried again at the next start."""
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            if entry.name == MARK:
                continue
            if entry.is_dir() and not entry.is_symlink():
                remove(entry)
            else:
                entry.unlink(missing_ok=True)
        if {entry.name for entry in folder.iterdir()} <= {MARK}:
            (folder / MARK).unlink(missing_ok=True)
            folder.rmdir()
