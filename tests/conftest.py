"""What every test stands on."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Let the commands that tests start be interrupted, even where a shell ran the tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
