"""What a front turned out to be, and which part of a deployment was lost: said for a running server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Mapping
from functools import lru_cache

from sgibench import machine
from sgibench.model import FrontShare
from sgibench.serve.process import ServerProcess

ASKED_S = 5.0
_VERSION = re.compile(r"\d+(\.\d+)+")


def share_of(process: ServerProcess, *, living: bool) -> FrontShare | None:
    """What stands before a server and what it holds in memory; its CPU time is the load process's to tell."""
    entry, argv = process.spec.entry, process.front_argv
    if entry.front is None or entry.behind is None:
        return None
    variant = entry.front.variant
    return FrontShare(
        id=entry.front.id,
        program=entry.front.family,
        behind=entry.behind.family if entry.behind.variant.front else entry.behind.id,
        backends=variant.backends,
        one=variant.one,
        balance=variant.balance,
        link=variant.link,
        speech=variant.speech,
        version=None if argv is None else version_of(argv[0]),
        argv=argv,
        memory=machine.tree_memory(process.front_pids()) if living else None,
    )


@lru_cache(maxsize=16)
def version_of(program: str) -> str | None:
    """Ask a program for its version as nginx and HAProxy take the question; None when it says none."""
    try:
        done = subprocess.run([program, "-v"], capture_output=True, text=True, check=False, timeout=ASKED_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stdout + done.stderr)
    return found[0] if found else None


def told_lost(parts: Mapping[str, Collection[int]], alive: Collection[int]) -> str | None:
    """Say which processes ended that lived before, by the part they belonged to; None when all live."""
    living = set(alive)
    lost = {name: len(set(pids) - living) for name, pids in parts.items()}
    told = [
        f"{count} of its processes" if name == "it" else f"{count} of the processes of {name}"
        for name, count in lost.items()
        if count
    ]
    return f"{' and '.join(told)} ended" if told else None
