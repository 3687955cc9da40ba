"""The line itself: words as JSON lines over the load process's pipes, and what silence on it means.

A process that ended, that was stopped from outside, or that says nothing though it runs is told apart, and each ends
what waits for it with a LoadError that has its last words.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sgibench.errors import LoadError, LoadLostError
from sgibench.serve.guarded import Command, Guarded, NotStartedError, readable
from sgibench.serve.logs import tail_of

ASK_AFTER_S = 3.0
"""A load process that has been silent for so long is asked whether it is alive; it answers between two callbacks."""
STOPPED_S = 5.0
"""One that is stopped (SIGSTOP) and has not answered for so long is not waited for."""
LAST_BYTES = 600
SILENT_S = 30.0
"""One that runs and has not answered for so long has got stuck."""


class Line:
    """The line to a load process, from its start to its end."""

    def __init__(self, cpus: Sequence[int], log: Path) -> None:
        """Start the process on these CPUs; `log` takes its stderr. Raises LoadError."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        self._process = Guarded(
            Command(
                argv=(sys.executable, "-P", "-m", "sgibench.load"),
                env={**os.environ, "LOCUST_SKIP_MONKEY_PATCH": "1"},
                log=log,
                cpus=tuple(cpus),
                pipes=frozenset({"stdin", "stdout"}),
            )
        )
        try:
            self._process.start()
        except NotStartedError as error:
            raise LoadError(f"the load process can't be started: {error}") from None
        self._half = b""
        self.heard_s = 0.0
        """When it last said something, or was expected to begin."""
        self._asked_s: float | None = None
        """When it was asked whether it is alive; None when it has said something since."""
        self.expect()

    def expect(self) -> None:
        """It has no reason to be silent from here on."""
        self.heard_s, self._asked_s = time.monotonic(), None

    @property
    def pid(self) -> int:
        """The process's own."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.alive()

    def kill(self) -> None:
        """End it with all that it started; it has nothing to say any more."""
        self._process.kill()

    def send(self, words: Mapping[str, Any]) -> None:
        """Say something; raises LoadError when it has ended."""
        line = json.dumps(words).encode() + b"\n"
        pipe = self._process.pipes["stdin"]
        try:
            while line:
                line = line[os.write(pipe, line) :]
        except BrokenPipeError:
            raise self._ended() from None

    def lines(self, timeout_s: float) -> list[dict[str, Any]]:
        """Give what it says within this time, if anything; raises LoadError when it can say nothing any more."""
        pipe = self._process.pipes["stdout"]
        if not readable([pipe], timeout_s):
            self._refuse_silence()
            return []
        words = os.read(pipe, 1 << 20)
        if not words:
            raise self._ended()
        self.expect()
        *lines, self._half = (self._half + words).split(b"\n")
        try:
            return [json.loads(line) for line in lines if line.strip()]
        except ValueError:
            raise LoadError(f"the load process said something that is no JSON: {words[:200]!r}") from None

    def last_words(self) -> str:
        """Quote the end of its log."""
        tail = tail_of(self._log, LAST_BYTES).replace("\n", " | ")
        return f"its last words: {tail}" if tail else "it said nothing"

    def _refuse_silence(self) -> None:
        """Raise LoadError when it is stopped, or alive and saying nothing, for longer than it ever should."""
        process, now_s = self._process, time.monotonic()
        if self._asked_s is None:
            if now_s - self.heard_s > ASK_AFTER_S:
                self._asked_s = now_s
                self.send({"do": "ping"})
            return
        silent_s = now_s - self._asked_s
        if silent_s > STOPPED_S and process.stopped():
            raise LoadLostError(
                f"the load process (pid {process.pid}) was stopped from outside (SIGSTOP) and did not go on"
            )
        if silent_s > SILENT_S:
            raise LoadError(
                f"the load process (pid {process.pid}) runs but has not answered for {silent_s:.0f} s; "
                f"{self.last_words()}"
            )

    def _ended(self) -> LoadLostError:
        """Say how it ended."""
        process = self._process
        process.wait(1.0)
        status = process.exit_status
        how = "" if status is None else f" with status {status}" if status >= 0 else f", killed by {_signal(-status)}"
        return LoadLostError(f"the load process (pid {process.pid}) ended{how}; {self.last_words()}")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
