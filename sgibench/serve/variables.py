"""What a server process finds in its environment: little, and the same every time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sgibench import catalogue
from sgibench.model import OwnApp

KEPT = ("HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""Of the user's own variables; no other changes a result."""
PROGRAMS = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def variables_of(bin_folder: Path, data: Path, paths: Sequence[Path], own: OwnApp | None = None) -> dict[str, str]:
    """Give the variables of a process that serves an app which is imported from `paths`.

    An app of the user's gets those that the user gave on top, and its environment's programs.
    """
    programs = [str(bin_folder), *([] if own is None else [str(own.base.python.parent)])]
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "PATH": ":".join((*programs, PROGRAMS)),
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONSAFEPATH": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "SGIBENCH_DATA": str(data),
        **({} if own is None else own.variables),
    }


def import_paths(folder: Path, own: OwnApp | None, module: Path) -> tuple[Path, ...]:
    """Where modules of an app come from: of the catalogue, its folder; of the user's, the little module first.

    The built-in apps too: an app of the user's may import the contract, or wrap one of them.
    """
    if own is None:
        return folder, catalogue.home() / "apps"
    return module, *own.paths
