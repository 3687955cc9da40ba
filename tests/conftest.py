"""What every test stands on, and how tests are shared out among processes (`pytest -n`).

pytest-xdist's own groups (`--dist loadgroup`) can't be used: with pytest 9.2 their names reach no test's id, and what
is made for a module was made once in each process.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Generator
from functools import cache
from pathlib import Path

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

LONGEST_FIRST = (
    "test_apps", "test_pipeline", "test_own_shares_live", "test_database_work", "test_report_browser",
    "test_own_within", "test_queue_live", "test_kills", "test_resume", "test_own_commands", "test_your_app",
    "test_ui_browser", "test_ui",
    "test_fronts_live", "test_judging_commands", "test_learned", "test_docs", "test_wheel", "test_scenarios",
    "test_parts", "test_protocols", "test_choosing", "test_project_file", "test_cli", "test_hostile_results",
)  # fmt: skip
"""Files with tests that last long: begun first, so that no process waits for another at the end. What computes stands
among what waits."""

hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)  # how long an example takes is the machine's affair
hypothesis.settings.load_profile("patient")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the garbage collector rest while tests are found, and pass over what is there then: that stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what lasts long first: tests that are known to, then files that stay together."""
    if "locust" in sys.modules:  # with its patched threads pytest's own processes wait for ever
        raise pytest.UsageError("expected no test file that imports Locust: run what needs it in a process of its own")
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: (place.get(item.path.stem, len(place)), not makes_something(item.path)))


@cache
def makes_something(path: Path) -> bool:
    """Whether a file of tests makes something for all that are in it."""
    return path.is_file() and 'scope="module"' in path.read_text(encoding="utf-8")


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist comes without types
    """Keeps a file on one process where its tests share something; other tests go where a process is free."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # the order is ours

    def _split_scope(self, nodeid: str) -> str:
        """Name the unit that a test belongs to."""
        file = nodeid.partition("::")[0]
        return file if makes_something(self.config.rootpath / file) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    """Say who shares the tests out."""
    return Scheduling(config, log)


def pytest_configure() -> None:
    """Let signals end the commands that tests start, even where a shell ran the tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup; unlike what is ignored, a handler is not inherited
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)
