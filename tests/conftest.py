"""What every test stands on."""

from __future__ import annotations

import signal

import pytest

APART = frozenset({
    "test_choosing", "test_cli", "test_docs", "test_judging_commands", "test_pipeline", "test_report_browser",
    "test_kills", "test_resume", "test_ui", "test_ui_browser", "test_wheel",
})  # fmt: skip
"""Files that start whole runs or look for processes that these left behind: never two of them at a time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each file on one of the processes that share the tests, and those that would disturb one another on one."""
    for item in items:
        name = item.path.stem
        item.add_marker(pytest.mark.xdist_group("runs" if name in APART else name))


def pytest_configure() -> None:
    """Let the commands that tests start be interrupted, even where a shell ran the tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
