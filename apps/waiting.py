"""The ways in which apps wait, said once for each interface: every wait is counted as one inside the app.

An app of a framework that has a way of its own for calls that block (a plain function as a view) uses that instead.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from inside import INSIDE

if TYPE_CHECKING:
    from contract import Answer


def block(seconds: float) -> None:
    """Hold the calling thread; `sleep` is looked up at each call, because gevent's workers replace it."""
    with INSIDE:
        time.sleep(seconds)


async def waited(answer: Answer) -> None:
    """Wait as a coroutine does; a call that blocks is handed to a thread of the loop's own pool."""
    if answer.blocks:
        await asyncio.to_thread(block, answer.wait_s)
        return
    with INSIDE:
        await asyncio.sleep(answer.wait_s)
