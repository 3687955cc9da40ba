"""What is done before each start of a server that serves an app of the user's, and the ends of logs in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sgibench import ending
from sgibench.errors import ServerError
from sgibench.model import OwnApp
from sgibench.serve.guarded import Command, Guarded
from sgibench.serve.logs import tail_of

PREPARE_TIMEOUT_S = 300.0
TAIL_LINES = 4


def prepare_start(own: OwnApp, scratch: Path, env: Mapping[str, str]) -> None:
    """Run the commands that the user wants before each start; raises ServerError with the end of what they printed."""
    (scratch / "data").mkdir(parents=True, exist_ok=True)
    log = scratch / "prepare.log"
    for command in own.prepare:
        log.unlink(missing_ok=True)
        with Guarded(Command(argv=("/bin/sh", "-c", command), cwd=own.project, env=env, log=log)) as process:
            ended = process.wait(PREPARE_TIMEOUT_S)
            status, tail = process.exit_status, folded(tail_of(log))
        if not ended:
            raise ServerError("not-prepared", f"--prepare {command!r} took more than {PREPARE_TIMEOUT_S:g} s{tail}")
        if status != 0:
            raise ServerError("not-prepared", f"--prepare {command!r} {ending.how(status)}{tail}")


def folded(tail: str) -> str:
    """Give the last lines of a log as the end of a sentence."""
    lines = [line.strip() for line in tail.splitlines() if line.strip()][-TAIL_LINES:]
    return f" (the end of what it printed: {' | '.join(lines)})" if lines else ""
