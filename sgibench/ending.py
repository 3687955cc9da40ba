"""How a signal ends a command: as Ctrl-C does, so that it cleans up and keeps its results, and says which one it was.

SIGTERM and SIGHUP arrive as `Ended`, which is a KeyboardInterrupt: whatever makes way for Ctrl-C does so for them. The
exit status is 128 + the signal, as shells have it, so that who waits for a command knows what ended it.
"""

from __future__ import annotations

import os
import select
import signal
import stat
from contextlib import suppress
from types import FrameType

ENDINGS = (signal.SIGTERM, signal.SIGHUP)
"""They end a command as Ctrl-C does."""


class Ended(KeyboardInterrupt):
    """Such a signal has come."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


def signal_of(interrupt: BaseException | None) -> signal.Signals:
    """Name the signal of an interrupt; SIGINT for that of Ctrl-C, and for all that is none of these."""
    return interrupt.signal if isinstance(interrupt, Ended) else signal.SIGINT


def status_of(number: signal.Signals) -> int:
    """Give the exit status of what a signal has ended."""
    return 128 + number


def how(status: int | None) -> str:
    """Say how a process ended, by its status, which is minus the signal where one did it; None: it is not known."""
    if status is None:
        return "ended"
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def by(number: signal.Signals) -> str:
    """Say which signal it was, in a sentence that goes on ("stopped by SIGTERM"); nothing of Ctrl-C, as one knows."""
    return "" if number is signal.SIGINT else f" by {number.name}"


def end_like_ctrl_c() -> None:
    """Have SIGTERM and SIGHUP raise Ended; one that whoever started the command wants ignored (nohup) stays ignored."""
    for number in ENDINGS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    if number == signal.SIGHUP:
        leave_dead_terminal()
    raise Ended(number)


def leave_dead_terminal() -> None:
    """Write to nothing where a terminal was that is gone: the next word would fail, and no books be closed."""
    poll = select.poll()
    for descriptor in range(3):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                poll.register(descriptor, 0)
    gone = [descriptor for descriptor, events in poll.poll(0) if events & select.POLLHUP]
    if gone:
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in gone:
            os.dup2(nothing, descriptor)
        os.close(nothing)
