"""What the pages for people say is true: examples run, commands exist, links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from sgibench import catalogue
from sgibench.bench.profiles import PROFILES
from sgibench.catalogue.reading import FOLDERS
from sgibench.cli import COMMANDS, program
from sgibench.results import store
from sgibench.serve.services import House
from tests.results_maker import Making, make_run, write_run
from tests.test_hostile_options import call, standing_still

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
EXAMPLE = re.compile(r"<!-- example: (?P<path>\S+) -->\n```python\n(?P<text>.*?)```", re.DOTALL)
COMMAND = re.compile(r"\bsgibench ([a-z]+)((?: +(?:--?[a-z][\w-]*|'[^']*'|[\w.*/=:,%<>\[\]-]+))*)")


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Write the examples of docs/adding.md, frameworks.md and services.md into a catalogue of their own."""
    pages = [(ROOT / "docs" / page).read_text() for page in ("adding.md", "frameworks.md", "services.md")]
    for found in EXAMPLE.finditer("".join(pages)):
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
        timeout=280,
    )


def test_the_server_of_the_example_holds_the_contract(examples: Path, tmp_path: Path) -> None:
    done = sgibench(tmp_path, "check", "stdlib-wsgiref", "--catalogue", str(examples))
    assert done.returncode == 0, done.stdout + done.stderr


def test_server_app_and_scenario_of_the_examples_are_measured_together(examples: Path, tmp_path: Path) -> None:
    arguments = "run --json --quiet --server stdlib-wsgiref --server uvicorn-httptools --scenario small --blocks 1"
    apps = "--app wsgi_plain --app asgi_plain --app asgi_wrapped --window 0.3s --connections 4 --rate 100"
    done = sgibench(tmp_path, *arguments.split(), *apps.split(), "--catalogue", str(examples))
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / json.loads(done.stdout)["run"] / "trials.jsonl").read_text().splitlines()
    trials = [trial for trial in map(json.loads, lines) if "cell" in trial]
    assert {(trial["server"], trial["app"], trial["status"], str(trial["failure"] or "")) for trial in trials} == {
        ("stdlib-wsgiref", "wsgi_plain", "ok", ""),
        ("uvicorn-httptools", "asgi_plain", "ok", ""),
        ("uvicorn-httptools", "asgi_wrapped", "ok", ""),
    }


def test_the_service_of_the_docs_is_started_and_answers(examples: Path) -> None:
    with House(catalogue.load([examples]).services) as house:
        share = house.share("upstream", "docs")
        assert (house.version("upstream") or "").startswith("SimpleHTTP")
        assert share.variables["SGIBENCH_UPSTREAM"].startswith("http://127.0.0.1:")


def test_the_framework_of_the_example_holds_the_contract_and_is_taken_apart(examples: Path, tmp_path: Path) -> None:
    """One file is all it takes: for `check`, for a run beside the plain app, and for its layers."""
    own = ("--catalogue", str(examples))
    done = sgibench(tmp_path, "check", "--app", "wsgi_werkzeug", "--json", *own)
    assert done.returncode == 0, done.stdout + done.stderr
    (checked,) = json.loads(done.stdout)
    assert (checked["app"], checked["status"]) == ("wsgi_werkzeug", "ok")
    arguments = "run --json --quiet --server waitress --app wsgi_plain --app wsgi_werkzeug --scenario site --blocks 1"
    done = sgibench(tmp_path, *arguments.split(), "--window", "0.5s", "--connections", "8", "--rate", "none", *own)
    assert done.returncode == 0, done.stderr
    (layers,) = json.loads(done.stdout)["summary"]["layers"]
    assert {row["app"]: row["plain"] for row in layers["rows"]} == {"wsgi_plain": True, "wsgi_werkzeug": False}
    for row in layers["rows"]:
        parts = [row[f"{name}_us"]["value"] for name in ("server", "framework", "work", "rest")]
        assert sum(parts) == pytest.approx(row["total_us"]["value"], rel=1e-6)
        assert row["work_us"]["value"] > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_a_page_exists_with_its_options(page: Path) -> None:
    for found in COMMAND.finditer(page.read_text()):
        name, rest = found[1], found[2]
        command = program.get_command(click.Context(program), name)
        if command is None:
            # Prose such as "sgibench compares": only what looks like a call must be one.
            assert "--" not in rest, f"{page.name}: sgibench {name} is no command"
            continue
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
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


INLINE = re.compile(r"`(--[a-z][\w-]*) ([^`\s]+)`")
OPTIONS = [
    (flag, parameter.type)
    for name in COMMANDS
    if (command := program.get_command(click.Context(program), name)) is not None
    for parameter in command.params
    for flag in parameter.opts
]


def takes(kind: click.ParamType[Any], value: str) -> bool:
    try:
        kind.convert(value, None, None)
    except click.BadParameter:
        return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_value_that_a_page_gives_an_option_is_taken(page: Path) -> None:
    for flag, value in INLINE.findall(page.read_text()):
        if value.isupper() or "'" in value or "…" in value:
            continue  # it stands for something
        assert any(takes(kind, value) for known, kind in OPTIONS if known == flag), f"{page.name}: {flag} {value}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_over_several_lines_can_be_copied_whole(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"^--?[a-z]", text, re.MULTILINE), f"{page.name}: options outside of the command's block"
    for line in re.findall(r"^ {4}sgibench .*\\$\n(?! {4})(.*)", text, re.MULTILINE):
        raise AssertionError(f"{page.name}: the command does not go on in {line!r}")


def test_the_page_on_adding_names_every_folder_of_a_catalogue() -> None:
    text = (ROOT / "docs" / "adding.md").read_text()
    assert all(f"`{folder}/`" in text for folder in FOLDERS)


def test_the_page_on_auditing_names_what_the_command_prints(place: Path) -> None:
    assert place.is_dir()
    printed = subprocess.run(
        [sys.executable, "-m", "sgibench.cli", "audit", "results.csv", "--json"],
        capture_output=True, check=False, text=True, cwd=place, timeout=60,
    )  # fmt: skip
    (row,) = json.loads(printed.stdout)
    assert f"`{{{', '.join(row)}: [{{kind, detail, advice}}]}}`" in (ROOT / "docs" / "audit.md").read_text()


# --- examples: every command that stands in a page goes as far as its first process ---------------------------------

LINE = re.compile(r"^(?: {4}|\$ )((?:\.venv/bin/)?sgibench [^\n#]*?)\s*(?:#.*)?$", re.MULTILINE)
STANDS_FOR = {"base/<run>": "results/BEFORE", "change/<run>": "results/AFTER", "<run>": "latest", "DIR": "own"}
"""Placeholders in commands -> what is there in the folder of the test."""


def commands_of(page: Path) -> list[str]:
    text = re.sub(r"\\\n\s*", "", page.read_text())  # a command that goes on in the next line
    return [line for line in LINE.findall(text) if "…" not in line]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that holds what the examples speak of; nothing can be started in it."""
    folder = tmp_path_factory.mktemp("docs")
    for seed, name in enumerate(("BEFORE", "AFTER"), start=1):
        write_run(make_run(Making(run=name, seed=seed, scenarios=("json",), blocks=2)), folder / "results")
    (folder / "results.csv").write_text("id,connections,rps,mean_ms\nnginx,64,10000,6.4\n")
    (folder / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n")  # for sgibench init
    pages = [(ROOT / "docs" / page).read_text() for page in ("adding.md", "frameworks.md", "services.md")]
    for found in EXAMPLE.finditer("".join(pages)):
        path = folder / "own" / found["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found["text"])
    with standing_still(folder):
        yield folder


@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=lambda page: page.name)
def test_every_command_line_of_a_page_is_taken_as_it_stands(place: Path, page: Path) -> None:
    assert place.is_dir()
    for line in commands_of(page):
        words = [STANDS_FOR.get(word, word) for word in shlex.split(line)][1:]
        code, said = call(*words)
        missing = "is not installed here" in said or "came to its end" in said  # another Python; a finished run
        assert code in {0, None} or missing, f"{page.name}: {line}: {said}"


def test_the_examples_of_the_page_on_load_can_be_run(tmp_path: Path) -> None:
    shown = re.findall(r"<!-- scenario -->\n```python\n(.*?)```", (ROOT / "docs" / "load.md").read_text(), re.DOTALL)
    assert len(shown) >= 3
    for number, text in enumerate(shown):
        (tmp_path / "own" / "scenarios").mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / "scenarios" / f"shown_{number}.py").write_text(text)
    arguments = "run --json --quiet --server uvicorn-httptools --scenario shown_* --catalogue own --no-control"
    rest = "--blocks 1 --window 0.5s --rate none --connections 4 --retries 0"
    done = sgibench(tmp_path, *arguments.split(), *rest.split())
    assert done.returncode == 0, done.stderr
    trials = store.read_run(tmp_path / json.loads(done.stdout)["run"]).trials
    assert {trial.status for trial in trials} == {"ok"}, [trial.failure for trial in trials]
    assert {trial.scenario for trial in trials} == {f"shown_{number}" for number in range(len(shown))}


# --- counts: every claim of a number of things is counted -----------------------------------------------------------

NUMBERS = dict(zip("one two three four five six seven eight nine ten eleven twelve".split(), range(1, 13), strict=True))
NUMBERS |= {"twenty": 20, "thirty": 30, "forty": 40}
COUNTED = "apps|scenarios|servers|blocks|variants|formats|commands|profiles"
CLAIM = re.compile(rf"\b(over )?({'|'.join(NUMBERS)}|\d+)((?: [a-z]+)?) ({COUNTED})\b(?! of| and more)", re.IGNORECASE)
FOUND = catalogue.load()
PLAIN_APPS = [app for app in FOUND.apps if app.id.endswith("_plain") or app.id == "asgi_anyio"]
QUICK, STANDARD = PROFILES["quick"], PROFILES["standard"]
TRUE = {
    "apps": {len(FOUND.apps), len(PLAIN_APPS), len(FOUND.apps) - len(PLAIN_APPS)},
    "scenarios": {len(FOUND.scenario_paths), len(QUICK.scenarios), len(STANDARD.scenarios)},
    "servers": {len(FOUND.servers), len(QUICK.servers)},
    "variants": {len(FOUND.servers)},
    "blocks": {QUICK.blocks, STANDARD.blocks, PROFILES["full"].blocks},
    "profiles": {len(PROFILES)},
    "commands": {len(COMMANDS)},
}
"""What may be said to be so many, and how many there are."""


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_number_of_things_that_a_page_claims_is_how_many_there_are(page: Path) -> None:
    prose = re.sub(r"^ {4}.*$", "", page.read_text(), flags=re.MULTILINE)
    for over, number, _kind, noun in CLAIM.findall(" ".join(prose.split())):
        claimed = NUMBERS.get(number.lower()) or int(number)
        known = TRUE.get(noun.lower(), set())
        fits = any(claimed <= one < claimed + 10 for one in known) if over else claimed in known
        assert fits, f"{page.name} claims {over}{number} {noun}; there are {sorted(known)}"


def test_each_module_and_wing_stands_in_the_table_of_what_is_where() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text()
    for path in (ROOT / "sgibench").iterdir():
        if path.name.startswith(("_", ".")) or path.name == "py.typed":
            continue
        name = f"`{path.name}/`" if path.is_dir() else f"`{path.stem}`"
        assert name in table, f"CONTRIBUTING.md does not say what {path.name} is"
    row = next(line for line in table.splitlines() if "| the ground" in line)
    for name in re.findall(r"`([a-z]+)/?`", row):
        assert any((ROOT / "sgibench" / each).exists() for each in (name, f"{name}.py")), f"there is no {name}"


def test_nothing_is_left_in_a_home_but_what_the_readme_names(tmp_path: Path) -> None:
    named = re.findall(r"`~/([^`]+)`", (ROOT / "README.md").read_text())
    home, folder = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    folder.mkdir()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "SGIBENCH_", "UV_", "MPL"))
    }
    arguments = "run --quiet --server wsgiref --scenario json --blocks 1 --window 0.2s --connections 2 --rate none"
    done = subprocess.run(
        [sys.executable, "-m", "sgibench.cli", *arguments.split(), "--no-control"],
        cwd=folder,
        env={**kept, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    left = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert left
    assert [one for one in left if not any(one.startswith(f"{name}/") for name in named)] == []
    assert {path.name for path in folder.iterdir()} == {"results", "reports"}
