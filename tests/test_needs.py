"""A server's needs are looked for where they would be found, and what is missing is told with the way to add it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgibench.model import Need
from sgibench.serve import needs

SHELL = Need(name="sh", how="apt-get install dash")
NOTHING = Need(name="no-such-program", how="apt-get install nothing")
HEADER = Need(name="no_such_header.h", how="apt-get install nothing-dev", header=True)


def test_nothing_is_missing_where_all_is_there() -> None:
    assert needs.missing([]) is None
    assert needs.missing([SHELL]) is None


def test_a_missing_program_is_told_with_the_command_that_adds_it() -> None:
    assert needs.missing([SHELL, NOTHING]) == "it needs no-such-program: apt-get install nothing"


def test_all_that_is_missing_is_told_at_once() -> None:
    told = needs.missing([NOTHING, HEADER])
    assert told == (
        "it needs no-such-program and no_such_header.h: apt-get install nothing && apt-get install nothing-dev"
    )


def test_a_header_is_found_where_the_compiler_is_told_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / HEADER.name).touch()
    monkeypatch.setenv("CPATH", str(tmp_path))
    assert needs.missing([HEADER]) is None


def test_a_program_of_the_system_is_found_though_the_users_path_leaves_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "PROGRAMS", ("/bin", "/usr/bin"))
    monkeypatch.setenv("PATH", "/nowhere")
    assert needs.missing([SHELL]) is None
