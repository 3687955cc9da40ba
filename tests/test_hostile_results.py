"""Strangers' results: read within stated limits, refused in one line, and never a loss to the runs beside them."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import random
import socket
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from sgibench import machine, report
from sgibench.cli import main
from sgibench.errors import ResultsError
from sgibench.model import CapacityFound, HistogramData, Run, RunInfo, Trial
from sgibench.model.failed import WHICH
from sgibench.report import terminal
from sgibench.report.naming import computing
from sgibench.results import store, strict
from sgibench.results.codec import LARGEST, decode, encode
from tests.in_process import inside
from tests.results_maker import QUICK, Making, make_run, write_run
from tests.test_hostile_options import call, standing_still

GOOD = make_run(Making(scenarios=("json",), blocks=2))
texts = st.text(st.characters(codec="utf-8"), max_size=8)
wholes = st.integers(-(2**63) + 1, 2**63 - 1)
numbers = st.floats(-LARGEST, LARGEST)


def fitting(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type hint, as the nouns are declared."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {Union, types.UnionType}:
        return st.none() | fitting(next(one for one in arguments if one is not type(None)))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        if arguments[-1] is ...:
            return st.lists(fitting(arguments[0]), max_size=2).map(tuple)
        return st.tuples(*map(fitting, arguments))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return st.dictionaries(texts, fitting(arguments[1]), max_size=2)
    if hint is HistogramData:
        pairs = st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 10**11)), max_size=4)
        return pairs.map(lambda some: HistogramData(gaps=tuple(p[0] for p in some), counts=tuple(p[1] for p in some)))
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        fields = {field.name: fitting(hints[field.name]) for field in dataclasses.fields(hint)}
        return st.builds(typing.cast("Any", hint), **fields)
    plain = {str: texts, int: wholes, float: numbers, bool: st.booleans(), Path: texts.map(Path)}
    return plain[hint]


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([Trial, RunInfo, CapacityFound]).flatmap(fitting))
def test_what_is_written_is_read_back_the_same_whatever_it_holds(noun: Any) -> None:
    line = json.dumps(encode(noun), allow_nan=False).encode()
    assert decode(type(noun), strict.parse(line)) == noun


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["\ud800", 10**400]),
    lambda inner: st.lists(inner, max_size=2) | st.tuples(inner) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=3,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(Trial.__dataclass_fields__)), anything)
def test_a_trial_that_can_not_be_read_back_is_stored_as_a_failure_of_its_own(name: str, value: Any) -> None:
    if name in {"load", *WHICH}:
        return
    line = store.line_of(dataclasses.replace(GOOD.trials[0], **{name: value}))
    assert line.count(b"\n") == 1
    trial = decode(Trial, strict.parse(line))
    assert trial.cell == GOOD.trials[0].cell
    assert trial.failure is None or "can't be stored" in trial.failure.detail or name == "failure"


@pytest.mark.parametrize("name", ["requests", "window_s", "rps"])
@pytest.mark.parametrize("value", [None, 0, 0.0, -1])
def test_a_result_without_its_figures_is_stored_as_a_failure(tmp_path: Path, name: str, value: Any) -> None:
    """A run in which one rate was 0 could not be read any more, its other trials included."""
    trial = dataclasses.replace(GOOD.trials[0], status="ok", **{name: value})
    (read,) = store.read_run(stored(tmp_path, "run", dataclasses.replace(GOOD, trials=(trial,)))).trials
    assert read.failure is not None
    assert read.failure.reason == "not-storable"
    assert read.rps is None


# --- files -----------------------------------------------------------------------------------------------------------


def stored(results: Path, name: str, run: Run = GOOD) -> Path:
    info = dataclasses.replace(run.info, run=name)
    with store.RunWriter(results / name, info) as writer:
        writer.write_info(info)
        for trial in run.trials:
            writer.append(trial)
    return results / name


def with_field(line: bytes, name: str, text: str) -> bytes:
    """Put raw JSON text into a field, numbers included that `json` would not write."""
    raw = json.loads(line)
    raw[name] = "@@"
    return json.dumps(raw).replace('"@@"', text).encode()


RAW = {
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep and open": '{"a":' * 100_000,
    "400 digits": "9" * 400,
    "5,000 digits": "9" * 5000,
    "not a number": "NaN",
    "infinity": "-Infinity",
    "overflow": "1e999",
    "1e308": "1e308",
    "quotes": '"' + '\\"' * 100_000,
}


@pytest.mark.parametrize("file", [store.INFO_FILE, store.TRIALS_FILE])
@pytest.mark.parametrize(
    "field", ["seed", "started_at", "measuring_share", "rps", "latency_us", "slices", "of_tomorrow"]
)
@pytest.mark.parametrize("kind", RAW)
def test_any_raw_text_in_any_field_is_one_line_or_passed_over(tmp_path: Path, file: str, field: str, kind: str) -> None:
    folder = stored(tmp_path, "20260101-000000-aaaa")
    first, *rest = (folder / file).read_bytes().splitlines(keepends=True)
    whole = b"".join([first, *rest]) if file == store.INFO_FILE else first
    after = [] if file == store.INFO_FILE else rest
    (folder / file).write_bytes(b"".join([with_field(whole, field, RAW[kind]), b"\n", *after]))
    try:
        run = store.read_run(folder)
    except ResultsError as error:
        said = str(error)
        assert len(said.splitlines()) == 1
        assert len(said) < 600
        assert file in said
        return
    assert field not in {*Trial.__dataclass_fields__, *RunInfo.__dataclass_fields__} or len(run.trials) == len(
        GOOD.trials
    )


def put(kind: str, path: Path) -> None:
    """Put something else where a file should be."""
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe\x00\n" * 100)
    else:
        there = os.getcwd()  # noqa: PTH109 - to go back there
        os.chdir(path.parent)  # a socket's path may have no more than 108 bytes
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
        os.chdir(there)


KINDS = ("folder", "pipe", "device", "loop", "binary", "socket")


@pytest.mark.parametrize(
    "counted",
    [{"gaps": [1], "counts": [-1]}, {"gaps": [-3], "counts": [5]}, {"gaps": [2**40], "counts": [5]},
     {"gaps": [1, 2], "counts": [5]}, {"gaps": [1, 2, 3], "counts": [2**62] * 3}],
)  # fmt: skip
def test_counts_that_count_nothing_are_refused_with_their_place_by_every_command(
    tmp_path: Path, counted: dict[str, list[int]]
) -> None:
    folder = write_run(GOOD, tmp_path / "results")
    lines = [json.loads(line) for line in (folder / store.TRIALS_FILE).read_text().splitlines()]
    lines[1]["histogram_us"] = counted
    (folder / store.TRIALS_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))
    other = str(write_run(dataclasses.replace(GOOD, info=dataclasses.replace(GOOD.info, run="other")), tmp_path))
    for command in (["audit", "latest"], ["compare", "latest", other], ["report", "latest"]):
        done = inside(tmp_path, *command)
        assert done.returncode == 2, "1 is for an answer that is no"
        assert "line 2: Trial.histogram_us: expected " in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("file", [store.INFO_FILE, store.TRIALS_FILE])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_in_one_line_and_never_waited_for(tmp_path: Path, file: str, kind: str) -> None:
    folder = stored(tmp_path, "20260101-000000-aaaa")
    put(kind, folder / file)
    with pytest.raises(ResultsError) as caught:
        store.read_run(folder)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_larger_than_the_reader_takes_is_refused_without_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stored(tmp_path, "20260101-000000-aaaa")
    monkeypatch.setattr(strict, "LONGEST_LINE_BYTES", 2000)
    with pytest.raises(ResultsError, match=r"trials.jsonl line 1: it is longer than"):
        store.read_run(folder)
    monkeypatch.setattr(strict, "LARGEST_FILE_BYTES", 2000)
    with pytest.raises(ResultsError, match=r"run.json can't be read: it is larger than"):
        store.read_run(folder)


# --- one bad folder beside others ------------------------------------------------------------------------------------


def sgibench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run the command line in this process; gives its exit code and what stands on stderr."""
    monkeypatch.setattr(sys, "argv", ["sgibench", *arguments])
    capsys.readouterr()
    code = 0
    try:
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, capsys.readouterr().err


def test_bad_folders_never_break_the_report_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    stored(results, "20260101-000000-aaaa")
    for number, (kind, raw) in enumerate(RAW.items()):
        for file in (store.INFO_FILE, store.TRIALS_FILE):
            folder = stored(results, f"2026010{number + 2}-000000-{file[:3].encode().hex()[:4]}")
            lines = (folder / file).read_bytes().splitlines(keepends=True)
            (folder / file).write_bytes(raw.encode() + b"\n" + b"".join(lines[1:]))
            assert kind
    for number, kind in enumerate(KINDS):
        put(kind, stored(results, f"2026020{number + 1}-000000-bbbb") / store.TRIALS_FILE)
        put(kind, stored(results, f"2026030{number + 1}-000000-cccc") / store.INFO_FILE)
    os.mkfifo(results / "a-pipe")
    (results / "a-file").write_text("in the way")
    code, said = sgibench(
        *(monkeypatch, capsys, "report", "--results", str(results), "--reports", str(tmp_path / "reports"))
    )
    assert code == 0, said
    assert {path.name for path in (tmp_path / "reports").iterdir()} == {"20260101-000000-aaaa.html", "index.html"}
    assert all(line.startswith("left out: ") for line in said.splitlines())
    assert len(said.splitlines()) == 2 * len(RAW) + len(KINDS) + 1  # of those without a file, only "binary" is a run


def test_folders_that_share_an_id_or_call_themselves_index_have_a_page_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results, reports = tmp_path / "results", tmp_path / "reports"
    stored(results, "20260101-000000-aaaa")
    for name, run in (("copy", "20260101-000000-aaaa"), ("index", "index"), ("other", "index"), ("a b", "../evil")):
        folder = stored(results, name)
        raw = json.loads((folder / store.INFO_FILE).read_text())
        (folder / store.INFO_FILE).write_text(json.dumps({**raw, "run": run}))
    code, said = sgibench(monkeypatch, capsys, "report", "--results", str(results), "--reports", str(reports))
    assert (code, said) == (0, "")
    pages = {path.name for path in reports.iterdir()}
    assert len(pages) == 6
    assert {"20260101-000000-aaaa.html", "index.html"} < pages
    index = (reports / "index.html").read_text(encoding="utf-8")
    assert "5 runs" in index
    assert all(f'href="{name}"' in index for name in pages - {"index.html"})


def test_folders_of_one_name_in_two_places_have_a_page_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(stored(tmp_path / place, "20260101-000000-aaaa")) for place in ("one", "two")]
    arguments = ("report", *folders, "--results", str(tmp_path / "one"), "--reports", str(tmp_path / "reports"))
    assert sgibench(monkeypatch, capsys, *arguments) == (0, "")
    assert len(list((tmp_path / "reports").glob("20260101*.html"))) == 2


# --- every field -----------------------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    0,
    -1,
    1e-300,
    -1e15,
    1e15,
    2**62,
    10**400,
    1e308,
    None,
    "",
    "x" * 5000,
    "\x1b[2J\u202e",
    [],
    {},
    [[]],
    True,
    "ok",
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All places in a JSON value, of lists only the first item."""
    yield at
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*at, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*at, 0))


def planted(value: Any, at: tuple[Any, ...], odd: Any) -> Any:
    """The value with something odd at one place."""
    if not at:
        return odd
    value = copy.copy(value)
    value[at[0]] = planted(value[at[0]], at[1:], odd)
    return value


def without(value: Any, at: tuple[Any, ...]) -> Any:
    """The value without what is at one place."""
    value = copy.copy(value)
    if len(at) == 1:
        del value[at[0]]
    else:
        value[at[0]] = without(value[at[0]], at[1:])
    return value


@pytest.mark.parametrize("file", [store.INFO_FILE, store.TRIALS_FILE])
def test_a_field_that_is_missing_is_named_or_has_a_default(tmp_path: Path, file: str) -> None:
    folder = stored(tmp_path, "20260101-000000-aaaa")
    lines = (folder / file).read_bytes().splitlines(keepends=True) if file == store.TRIALS_FILE else [b""]
    first = json.loads(lines[0] or (folder / file).read_bytes())
    refused: list[tuple[str, str]] = []
    for at in places(first):
        if not at or not isinstance(at[-1], str):
            continue
        (folder / file).write_bytes(b"".join([json.dumps(without(first, at)).encode() + b"\n", *lines[1:]]))
        try:
            store.read_run(folder)
        except ResultsError as error:
            refused.append((at[-1], str(error)))
    assert len(refused) > 10
    assert [told for name, told in refused if name not in told or "__init__" in told] == []


@pytest.mark.parametrize("file", [store.INFO_FILE, store.TRIALS_FILE])
def test_something_odd_at_any_place_is_one_line_or_a_page(tmp_path: Path, file: str) -> None:
    """Every place is tried with every value; a seeded choice of what the reader takes goes on to the pages."""
    folder = stored(tmp_path, "20260101-000000-aaaa")
    data = (folder / file).read_bytes()
    lines = [data] if file == store.INFO_FILE else data.splitlines(keepends=True)
    first = json.loads(lines[0])
    noun: Any = RunInfo if file == store.INFO_FILE else Trial
    taken = []
    for at in places(first):
        for odd in ODD:
            changed = planted(first, at, odd)
            try:
                decode(noun, strict.parse(json.dumps(changed).encode()))
            except ValueError as error:
                said = str(error)
                assert len(said) < 400
                assert len(said.splitlines()) == 1
            else:
                taken.append(changed)
    assert len(taken) > 50
    for changed in random.Random(12).sample(taken, 40):
        (folder / file).write_bytes(json.dumps(changed).encode() + b"\n" + b"".join(lines[1:]))
        try:
            run = store.read_run(folder)
            page = report.write(run, tmp_path / "reports")
            with computing(run):
                report.summary(run)
                terminal.ranking(run, Console(file=open(os.devnull, "w", encoding="utf-8")))  # noqa: PTH123, SIM115
        except ResultsError as error:
            said = str(error)
            assert len(said.splitlines()) == 1
        else:
            assert page.is_file()
            report.write_index(tmp_path / "reports", [run, GOOD])


def test_names_that_are_markup_or_act_on_a_terminal_are_only_shown(tmp_path: Path) -> None:
    """Whoever reads a stranger's results is shown names, and nothing that moves the cursor or breaks the table."""
    odd = "[/b]\x1b[2J\u202e[link=x]"
    servers = tuple(
        dataclasses.replace(one, id=f"{one.id}{odd}", fails=odd if one.id == "waitress" else None) for one in QUICK
    )
    for seed, name in enumerate(("20260101-000000-aaaa", "20260102-000000-bbbb"), start=1):
        made = make_run(Making(scenarios=("json",), blocks=3, servers=servers, seed=seed, skipped={odd: odd}))
        stored(tmp_path / "results[/b]", name, made)
    where = ("--results", "results[/b]")
    for command in (
        ("report", "latest", "--reports", "pages[/b]", *where),
        ("audit", "latest", *where),
        *(
            ("compare", "20260101", "20260102", "--fail-on", "slower", "--format", form, *where)
            for form in ("table", "markdown")
        ),
    ):
        done = inside(tmp_path, *command)
        assert done.returncode in {0, 1}, done.stderr
        assert not {"\x1b", "\u202e"} & {*done.stdout, *done.stderr}, command
        shown = [line.replace("\\", "") for line in done.stdout.splitlines() if "granian-wsg" in line]
        assert command[0] != "compare" or (shown and all("[link=x]" in line for line in shown)), "no markup is taken"


@pytest.mark.timeout(100)
def test_a_name_of_very_many_signs_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Each shorter cut of a name was measured in turn before it was drawn: of a million signs, for days."""
    long = "w" * 100_000
    servers = tuple(dataclasses.replace(one, id=long if one.id == "waitress" else one.id) for one in QUICK)
    stored(tmp_path / "results", "20260101-000000-aaaa", make_run(Making(scenarios=(long,), blocks=2, servers=servers)))
    again = make_run(Making(run="20260102-000000-bbbb", seed=2, scenarios=(long,), blocks=2, servers=servers))
    stored(tmp_path / "results", again.info.run, again)
    for command in (["report"], ["audit"], ["compare", "20260101"]):
        assert inside(tmp_path, *command, "latest").returncode in {0, 1}


def test_a_name_with_line_ends_stays_in_its_line(tmp_path: Path) -> None:
    odd = "waitress\nslower: b\r\tc\u2028d"
    servers = tuple(dataclasses.replace(one, id=odd if one.id == "waitress" else one.id) for one in QUICK)
    stored(tmp_path / "results", "20260101-000000-aaaa", make_run(Making(scenarios=("json",), blocks=3)))
    made = make_run(Making(scenarios=("json",), blocks=3, servers=servers, seed=2, skipped={odd: odd}))
    there = dataclasses.replace(
        made, trials=tuple(trial for trial in made.trials if trial.server != odd or trial.block)
    )
    stored(tmp_path / "results", "20260102-000000-bbbb", there)
    stored(tmp_path / "results", "20260103-000000-cccc", there)
    for command in (
        ("report", "latest"),
        ("audit", "latest"),
        ("compare", "20260101", "20260102", "--fail-on", "slower"),
        ("compare", "20260102", "20260103"),
    ):
        done = inside(tmp_path, *command)
        assert done.returncode in {0, 1}, done.stderr
        shown = done.stdout + done.stderr
        assert "waitress\N{REPLACEMENT CHARACTER}slower" in shown, command
        assert not {"\r", "\t", "\u2028"} & {*shown}, command
        assert not any(line.startswith("slower: b") for line in shown.split("\n")), command


# --- a plan that is resumed -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run that was begun on this machine; nothing can be started."""
    here = tmp_path_factory.mktemp("begun")
    made = make_run(Making(scenarios=("json",), blocks=2, finished=False, rates=(100.0,)))
    info = dataclasses.replace(made.info, machine=machine.describe(machine.plan_cpus(1)))
    stored(here / "results", "20260101-000000-aaaa", dataclasses.replace(made, info=info, trials=made.trials[:3]))
    with standing_still(here):
        yield here


def resumed(begun: Path, at: tuple[Any, ...], odd: Any) -> tuple[int | None, str]:
    path = begun / "results" / "20260101-000000-aaaa" / store.INFO_FILE
    whole = path.read_bytes()
    try:
        path.write_text(json.dumps(planted(json.loads(whole), at, odd)))
        return call("run", "--quiet", "--resume", "latest")
    finally:
        path.write_bytes(whole)


CELL = ("plan", "blocks", 0, "stages", 0, "groups", 0, "cells", 0)


@pytest.mark.parametrize(
    ("at", "odd"),
    [
        (("load_workers",), 64),
        (("load_workers",), 0),
        (("retries",), 10**9),
        (("pool",), -1),
        (("service_cpus",), [4095]),
        (("plan", "windows", "window_s"), 1e15),
        (("plan", "windows", "timeout_s"), -1),
        ((*CELL, "load", "connections"), 60_001),
        ((*CELL, "load", "connections"), 0),
        ((*CELL, "load", "kind"), "open"),
        ((*CELL, "settings", "workers"), 257),
        ((*CELL, "settings", "threads"), -1),
        (("plan", "blocks"), []),
    ],
)
def test_a_plan_that_nobody_can_have_asked_for_is_not_gone_on_with(begun: Path, at: tuple[Any, ...], odd: Any) -> None:
    assert resumed(begun, ("seed",), 1) == (None, "")
    code, said = resumed(begun, at, odd)
    assert code == 2, said
    assert len(said.splitlines()) == 1
    assert "its plan can't have been made here" in said or "may not use" in said


def test_something_odd_at_any_place_of_a_plan_is_one_line_or_a_beginning(begun: Path) -> None:
    raw = json.loads((begun / "results" / "20260101-000000-aaaa" / store.INFO_FILE).read_bytes())
    everywhere = [(at, odd) for at in places(raw) for odd in (*ODD, "open", 0.5) if at and at != ("finished_at",)]
    for at, odd in random.Random(12).sample(everywhere, 60):
        code, said = resumed(begun, at, odd)
        assert code in {2, None}, (at, odd, said)
        assert len(said.splitlines()) <= 1, (at, odd, said)


def test_a_scenario_of_ones_own_is_named_again_by_its_file(begun: Path) -> None:
    path = begun / "results" / "20260101-000000-aaaa" / store.INFO_FILE
    whole = path.read_text()
    (begun / "mine.py").touch()
    try:
        path.write_text(whole.replace('"scenario": "json"', '"scenario": "mine"'))
        code, said = call("run", "--quiet", "--resume", "latest")
        assert (code, "named again: --scenario FILE" in said) == (2, True), said
        assert call("run", "--quiet", "--resume", "latest", "--scenario", "mine.py") == (None, "")
        code, said = call("run", "--quiet", "--resume", "latest", "--scenario", "mine.py", "--scenario", "json")
        assert (code, "--scenario" in said) == (2, True), said
    finally:
        path.write_text(whole)
