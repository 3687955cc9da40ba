"""How a load process begins and ends: undisturbed by its own pauses, and never longer than the one that started it.

An orphan would go on loading a server.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import sys

import gevent

PR_SET_TIMERSLACK = 29
"""prctl(2): how many nanoseconds later than asked the kernel may wake this thread up; 50,000 unless set."""
WATCH_PARENT_S = 1.0


def settle_down() -> None:
    """Get ready to measure: no pauses of our own, and no waking up later than asked.

    The collector of cycles is kept off all that was imported, as walking it takes tens of milliseconds in mid-window;
    and off all that is there at the end, as the interpreter would walk it several times before it goes.
    """
    gc.freeze()
    gc.enable()
    atexit.register(gc.freeze)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1)


def follow_parent() -> None:
    """Follow the parent into death, within a second; on Linux `begin` has seen to it already."""
    parent = os.getppid()
    if parent == 1:
        return

    def watch() -> None:
        while os.getppid() == parent:
            gevent.sleep(WATCH_PARENT_S)
        os._exit(1)

    gevent.spawn(watch)
