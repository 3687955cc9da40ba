"""What some tests need and a machine may lack: they skip by name, with the command that would add it.

With SGIBENCH_REQUIRE_ALL=1 they fail instead, so that a continuous integration can't pass by skipping.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def need_program(name: str, how: str) -> str:
    """Return the path of a program; without it the test is skipped. `how` is the command that adds it."""
    return shutil.which(name) or lacking(name, how)


def lacking(what: str, how: str) -> NoReturn:
    """Skip the test that runs, or fail it when everything is required."""
    sentence = f"needs {what}: {how}"
    if os.environ.get("SGIBENCH_REQUIRE_ALL") == "1":
        pytest.fail(sentence)
    pytest.skip(sentence)
