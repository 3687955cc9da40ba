"""A copy of the user's project for one start of a server: what is written there neither meets another server nor stays.

Environments, version control, caches and results are left out. An app that finds its files by `__file__` or by the
working folder finds the copy's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from sgibench import units
from sgibench.errors import ServerError
from sgibench.model import OwnApp
from sgibench.paths import is_file, make_writable, remove

LEFT_OUT = frozenset({
    ".git", ".hg", ".svn", ".tox", ".nox", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__",
    "node_modules",
})  # fmt: skip
MOST_BYTES = 200 * 2**20
"""A larger project is not copied for each start of each server."""
MOST_FILES = 50_000
"""About so many are looked at for changes."""


def copy_in(scratch: Path) -> Path:
    """Say where in a scratch folder the copy of a project lies."""
    return scratch / "project"


def in_copy(own: OwnApp, scratch: Path) -> OwnApp:
    """Copy the project into `scratch` and give the app as it lies there; raises ServerError."""
    target = copy_in(scratch)
    remove(target)
    if (size := size_of(own.project)) > MOST_BYTES:
        raise ServerError(
            "not-copied",
            f"the project has {units.size(size)} of files, too much to copy for each start: put its state back with "
            "--prepare 'COMMAND', and say --no-copy",
        )
    try:
        shutil.copytree(own.project, target, symlinks=True, ignore=_left_out, ignore_dangling_symlinks=True)
        make_writable(target)
    except shutil.Error as error:
        source, _target, why = error.args[0][0]
        raise ServerError("not-copied", f"the project can't be copied: {source}: {why}") from None
    except OSError as error:
        raise ServerError("not-copied", f"the project can't be copied: {error}") from None
    return replace(
        own,
        project=target,
        paths=tuple(_moved(path, own.project, target) for path in own.paths),
        source=own.source.replace(f"{str(own.project)!r}"[:-1] + os.sep, f"{str(target)!r}"[:-1] + os.sep),
    )


def size_of(project: Path) -> int:
    """Bytes that a copy of the project takes; counts no further than is too much."""
    total = 0
    for folder, names, files in os.walk(project):
        names[:] = [name for name in names if name not in _left_out(folder, names)]
        for name in files:
            try:
                total += (Path(folder) / name).lstat().st_size
            except OSError:
                continue
        if total > MOST_BYTES:
            break
    return total


def state_of(project: Path) -> Mapping[str, tuple[int, int]]:
    """Give size and time of change of each file that a copy would hold; of a larger project, of the first ones."""
    found: dict[str, tuple[int, int]] = {}
    for folder, names, files in os.walk(project):
        names[:] = sorted(name for name in names if name not in _left_out(folder, names))
        for name in sorted(files):
            path = Path(folder) / name
            try:
                seen = path.lstat()
            except OSError:
                continue
            found[str(path.relative_to(project))] = (seen.st_size, seen.st_mtime_ns)
        if len(found) > MOST_FILES:
            break
    return found


def changes(before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
    """Name the files that are new, gone or not as they were."""
    return tuple(sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)))


def _left_out(folder: str, names: Iterator[str] | list[str]) -> set[str]:
    """Say what of a folder is not copied: environments know themselves by pyvenv.cfg; sockets and pipes can't be.

    What this user may not read the app can't, either.
    """
    found = set()
    for name in names:
        path = Path(folder) / name
        plain = path.is_symlink() or path.is_file() or path.is_dir()
        ours = name == "results" and next(path.glob("*/run.json"), None) is not None
        closed = not path.is_symlink() and not _may_read(path)
        if name in LEFT_OUT or ours or not plain or closed or is_file(path / "pyvenv.cfg"):
            found.add(name)
    return found


def _may_read(path: Path) -> bool:
    rights = os.R_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, rights, effective_ids=os.access in os.supports_effective_ids)


def _moved(path: Path, project: Path, target: Path) -> Path:
    return target / path.relative_to(project) if path.is_relative_to(project) else path
