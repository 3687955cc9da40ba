"""What takes long to import is imported when it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sgibench.later import Later

HEAVY = ("matplotlib", "pandas", "psycopg", "scipy.optimize", "scipy.special")


def test_commands_begin_without_what_draws_computes_and_writes_tables() -> None:
    program = (
        "import sys, click\n"
        "from sgibench import catalogue\n"
        "from sgibench.cli import COMMANDS, program\n"
        "assert all(program.get_command(click.Context(program), name) for name in COMMANDS)\n"
        "assert catalogue.load().services\n"
        "print(*(name for name in sys.argv[1:] if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *HEAVY], capture_output=True, check=True, text=True, timeout=240
    )
    assert done.stdout.split() == []


def test_what_stands_for_a_module_gives_what_the_module_holds_and_its_modules() -> None:
    assert Later("json").loads("[1]") == [1]
    assert Later("xml").sax.handler.version  # importing xml imports neither
    with pytest.raises(AttributeError, match="nothing"):
        _ = Later("json").nothing
