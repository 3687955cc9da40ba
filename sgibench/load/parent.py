"""How a load process begins and ends: undisturbed by its own collector, and never longer than the one that started it.

An orphan would go on loading a server.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys

import gevent

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal this process gets when its parent dies."""
WATCH_PARENT_S = 1.0


def settle_down() -> None:
    """Keep the collector of cycles off all that was imported: walking it takes tens of milliseconds, in mid-window."""
    gc.collect()
    gc.freeze()


def follow_parent() -> None:
    """Follow the parent into death: at once on Linux, within a second elsewhere."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent == 1:
        return

    def watch() -> None:
        while os.getppid() == parent:
            gevent.sleep(WATCH_PARENT_S)
        os._exit(1)

    gevent.spawn(watch)
