"""What a server needs of the system, and what of it is missing here.

A server that lacks something is skipped by name with the command that adds it, instead of failing in the middle of a
compiler's output or at its first start.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from sgibench.model import Need

PROGRAMS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Searched after PATH, because a user's own often leaves them out; a server's does not."""
HEADERS = ("/usr/include", "/usr/local/include", "/opt/homebrew/include", "/opt/local/include")


def missing(needs: Iterable[Need]) -> str | None:
    """One sentence with all that is missing and how to add it; None when nothing is."""
    lacking = [need for need in needs if not (_has_header(need.name) if need.header else find_program(need.name))]
    if not lacking:
        return None
    names = " and ".join(need.name for need in lacking)
    return f"it needs {names}: {' && '.join(dict.fromkeys(need.how for need in lacking))}"


def find_program(name: str) -> str | None:
    """Where a program of the system is; None when it is not."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *PROGRAMS)))


def _has_header(name: str) -> bool:
    """Look where a compiler would: its variables, Python's own folder, the usual places."""
    named = [folder for variable in ("CPATH", "C_INCLUDE_PATH") for folder in os.environ.get(variable, "").split(":")]
    own = sysconfig.get_path("include")
    return any((Path(folder) / name).is_file() for folder in (*named, own, *HEADERS) if folder)
