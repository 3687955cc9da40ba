"""Which of many sockets are ready: epoll on Linux, kqueue on macOS, one interface, no limit of 1,024 descriptors.

A poller's own descriptor is readable while anything in it is ready, so one gevent watcher stands for all of a
target's connections, and one call brings the events of a whole batch. gevent's patching hides the real functions;
they are fetched from under it.
"""

from __future__ import annotations

import select
import sys
from typing import Any, Protocol

from gevent import monkey

READ = 1
WRITE = 4
TROUBLE = 8 | 16
"""Error or hang-up; the next read tells which."""


class Poller(Protocol):
    """What a connection and a target need."""

    def fileno(self) -> int:
        """Give the descriptor that is readable while any event waits."""

    def watch(self, fd: int, mask: int) -> None:
        """Begin to watch a descriptor for READ, WRITE or both."""

    def change(self, fd: int, mask: int) -> None:
        """Watch it for something else."""

    def forget(self, fd: int) -> None:
        """Stop watching."""

    def poll(self, timeout_s: float, most: int) -> list[tuple[int, int]]:
        """Wait at most `timeout_s`, rounded up to a millisecond, for at most `most` (descriptor, mask) events."""

    def close(self) -> None:
        """Give the descriptor back."""


class EpollPoller:
    """Level-triggered epoll; its masks are READ, WRITE and TROUBLE as they are."""

    def __init__(self) -> None:
        self._epoll: Any = monkey.get_original("select", "epoll")()
        self.fileno = self._epoll.fileno
        self.watch = self._epoll.register
        self.change = self._epoll.modify
        self.forget = self._epoll.unregister
        self.poll = self._epoll.poll
        self.close = self._epoll.close


class KqueuePoller:
    """The same with kqueue, whose filters stand for masks."""

    def __init__(self) -> None:
        self._kqueue: Any = monkey.get_original("select", "kqueue")()
        self._masks: dict[int, int] = {}
        self._kevent: Any = monkey.get_original("select", "kevent")
        self._filters = {
            READ: getattr(select, "KQ_FILTER_READ", -1),
            WRITE: getattr(select, "KQ_FILTER_WRITE", -2),
        }
        self._add, self._delete = getattr(select, "KQ_EV_ADD", 1), getattr(select, "KQ_EV_DELETE", 2)

    def fileno(self) -> int:
        """Give the queue's own descriptor."""
        return int(self._kqueue.fileno())

    def watch(self, fd: int, mask: int) -> None:
        """Begin to watch a descriptor."""
        self._masks[fd] = 0
        self.change(fd, mask)

    def change(self, fd: int, mask: int) -> None:
        """Add and delete filters so that they say `mask`."""
        before = self._masks[fd]
        changes = [
            self._kevent(fd, filter_, self._add if mask & bit else self._delete)
            for bit, filter_ in self._filters.items()
            if (mask ^ before) & bit
        ]
        self._masks[fd] = mask
        self._kqueue.control(changes, 0, 0)

    def forget(self, fd: int) -> None:
        """Delete its filters."""
        self.change(fd, 0)
        del self._masks[fd]

    def poll(self, timeout_s: float, most: int) -> list[tuple[int, int]]:
        """Wait, and join the events of one descriptor into a mask."""
        events = self._kqueue.control(None, most, timeout_s)
        masks: dict[int, int] = {}
        for event in events:
            bit = READ if event.filter == self._filters[READ] else WRITE
            masks[event.ident] = masks.get(event.ident, 0) | bit
        return list(masks.items())

    def close(self) -> None:
        """Give the descriptor back."""
        self._kqueue.close()


def make_poller() -> Poller:
    """Make the best poller of this system."""
    return EpollPoller() if sys.platform == "linux" else KqueuePoller()
