"""What is said of a run that was broken off: the command that goes on with it, as who stopped it has to type it.

Where nothing was measured, there is nothing to go on with, and that is said.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from typing import Literal

from sgibench.model import RunInfo
from sgibench.serve.services import House

NOTHING = "nothing was measured"


@contextlib.contextmanager
def noting_nothing(measured: Callable[[], bool]) -> Iterator[None]:
    """Note on an interrupt that nothing was measured, if so: who prints it says that, too."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if not measured():
            interrupt.add_note(NOTHING)
        raise


def going_on(command: Literal["run", "capacity"], info: RunInfo, house: House | None) -> str:
    """Give the command with what a results folder does not hold and so has to be named again.

    Code and addresses are only taken from who types them; what was asked of an app of one's own may hold secrets.
    """
    words = ["sgibench", command, "--resume", info.run]
    for folder in info.catalogues:
        words += ["--catalogue", folder]
    for spec in info.own.apps.values() if info.own else ():
        words += ["--app", spec]
    told = shlex.join(words)
    if house is not None and any(not service.private for service in house.infos().values()):
        told += " --database URL"
    return f"{told}, with the requests and variables that it began with" if info.own else told
