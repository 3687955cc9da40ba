"""The scenarios shown in docs/load.md load, and say what they ask."""

from __future__ import annotations

import re
from pathlib import Path

from sgibench.model.kinds import KINDS
from tests.load_process import load_process

PAGE = Path(__file__).parent.parent / "docs" / "load.md"
KIND = re.compile(r"^\| `([a-z-]+)` \| (.+) \| (wrong|lost|void) \| (server|network|client) \|$", re.MULTILINE)
SHOWN = re.compile(r"<!-- scenario -->\n```python\n(.*?)```", re.DOTALL)


def test_every_scenario_on_the_page_is_a_scenario(tmp_path: Path) -> None:
    paths: list[str] = []
    for number, text in enumerate(SHOWN.findall(PAGE.read_text())):
        path = tmp_path / f"shown_{number}.py"
        path.write_text(text)
        paths.append(str(path))
    with load_process() as process:
        described = process.ask(do="describe", scenarios=paths)
    assert described["did"] == "describe", described
    assert [scenario["summary"] for scenario in described["scenarios"]] == [
        "Reads and searches, three to one.",
        "Bursts of 200 connections at a server that is stopped for a tenth of a second.",
        "Reads, beside a hundred connections that are idle.",
        "Something is put down and changed twice, among reads.",
        "Put something down, then read it.",
        "Messages come back.",
    ]
    assert [exchange["path"] for exchange in described["scenarios"][0]["exchanges"]] == [
        "/items/1",
        "/items?limit=5",
        "/echo",
    ]


def test_the_page_says_of_each_kind_of_error_what_the_table_of_kinds_says() -> None:
    told = [(name, kind.says, kind.weight, kind.fault) for name, kind in KINDS.items()]
    assert KIND.findall(PAGE.read_text()) == told
