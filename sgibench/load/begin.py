"""What a load process does first, before it imports anything that takes long: it must never outlive its parent.

Nothing is imported here but the standard library's small modules; gevent and Locust come after.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys

from sgibench.limits import raise_open_files

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal this process gets when its parent dies."""


def begin(parent: int) -> None:
    """Die with the parent, leave Ctrl-C to the engine, have all open files, keep Locust from patching the library.

    The collector of cycles rests until `settle_down`: it would walk again and again over what is being imported.
    """
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before this process had said that it wants to follow
    os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
    raise_open_files()
