"""An owner that is killed while it has something running, and whether that goes with it."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

PATIENCE_S = 30.0


def ends_with_its_owner(owning: str, *words: str) -> bool:
    """Run Python code that prints one pid and waits; kill it; whether that process ends, too."""
    with subprocess.Popen([sys.executable, "-c", owning, *words], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert psutil.pid_exists(pid)
        owner.kill()
    ends = time.monotonic() + PATIENCE_S
    while lives(pid) and time.monotonic() < ends:
        time.sleep(0.02)
    return not lives(pid)


def lives(pid: int) -> bool:
    """Whether a process runs; one that ended and was not buried yet doesn't."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
