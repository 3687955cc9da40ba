"""Questions about names that somebody typed: the answer is no where Path's own methods raise. And a folder's end.

`Path.is_file` raises for a name that is too long and for a folder that may not be entered.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path


def is_file(path: Path | str) -> bool:
    """Whether a regular file of that name can be seen."""
    return os.path.isfile(path)  # noqa: PTH113 - see above


def is_folder(path: Path | str) -> bool:
    """Whether a folder of that name can be seen."""
    return os.path.isdir(path)  # noqa: PTH112 - see above


def exists(path: Path | str) -> bool:
    """Whether anything of that name can be seen."""
    return os.path.exists(path)  # noqa: PTH110 - see above


def make_writable(folder: Path) -> None:
    """Let its owner read and change whatever is in a folder, as far as that can be done."""
    _open(folder, stat.S_IRWXU)
    for name, folders, files in os.walk(folder):  # a folder is opened before it is gone into
        for each in folders:
            _open(Path(name, each), stat.S_IRWXU)
        for each in files:
            _open(Path(name, each), stat.S_IRUSR | stat.S_IWUSR)


def _open(path: Path, rights: int) -> None:
    with contextlib.suppress(OSError):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | rights)


def remove(folder: Path) -> None:
    """Take away a folder of ours and all that is in it, also what is closed to writing; what can't be goes on being."""
    shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):
        make_writable(folder)
        shutil.rmtree(folder, ignore_errors=True)
