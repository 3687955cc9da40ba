"""What the pages for people say is true: examples run, commands exist, links lead somewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from sgibench.cli import program

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
EXAMPLE = re.compile(r"<!-- example: (?P<path>\S+) -->\n```python\n(?P<text>.*?)```", re.DOTALL)
COMMAND = re.compile(r"\bsgibench ([a-z]+)((?: +(?:--?[a-z][\w-]*|'[^']*'|[\w.*/=:,%<>\[\]-]+))*)")


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Write the examples of docs/adding.md into a catalogue of their own."""
    for found in EXAMPLE.finditer((ROOT / "docs" / "adding.md").read_text()):
        path = tmp_path / "own" / found["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found["text"])
    return tmp_path / "own"


def sgibench(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sgibench.cli", *arguments],
        capture_output=True,
        check=False,
        text=True,
        cwd=cwd,
        timeout=180,
    )


def test_the_server_of_the_example_holds_the_contract(examples: Path, tmp_path: Path) -> None:
    done = sgibench(tmp_path, "check", "stdlib-wsgiref", "--catalogue", str(examples))
    assert done.returncode == 0, done.stdout + done.stderr


def test_server_app_and_scenario_of_the_examples_are_measured_together(examples: Path, tmp_path: Path) -> None:
    arguments = "run --json --quiet --server stdlib-wsgiref --server uvicorn-httptools --scenario small --blocks 1"
    apps = "--app wsgi_plain --app asgi_plain --app asgi_wrapped --window 0.3s --connections 4"
    done = sgibench(tmp_path, *arguments.split(), *apps.split(), "--catalogue", str(examples))
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / json.loads(done.stdout)["run"] / "trials.jsonl").read_text().splitlines()
    trials = [json.loads(line) for line in lines]
    assert {(trial["server"], trial["app"], trial["status"]) for trial in trials} == {
        ("stdlib-wsgiref", "wsgi_plain", "ok"),
        ("uvicorn-httptools", "asgi_plain", "ok"),
        ("uvicorn-httptools", "asgi_wrapped", "ok"),
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_a_page_exists_with_its_options(page: Path) -> None:
    for found in COMMAND.finditer(page.read_text()):
        name, rest = found[1], found[2]
        command = program.get_command(click.Context(program), name)
        if command is None:
            # Prose such as "sgibench compares": only what looks like a call must be one.
            assert "--" not in rest, f"{page.name}: sgibench {name} is no command"
            continue
        known = {option for parameter in command.params for option in parameter.opts}
        used = set(re.findall(r"--[a-z][\w-]*", rest))
        assert used <= known | {"--help"}, f"{page.name}: sgibench {name} has no {', '.join(used - known)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_on_a_page_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in re.findall(r"`make ([a-z]+)", page.read_text()):
        assert name in targets
