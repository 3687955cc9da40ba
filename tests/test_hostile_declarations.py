"""Declarations that are none: refused where they come in, or failed alone by name; never a traceback, never outside."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench import catalogue
from sgibench.catalogue.declared import check_server, guarded_command, guarded_expect
from sgibench.errors import DeclarationError, MisdeclaredError, SgibenchError
from sgibench.model import Expected, Launch, Run, Server, Variant
from sgibench.report import page
from tests.test_pipeline import run_of, trial_of

HERE = Path("servers/mine.py")
FILE = """
from pathlib import Path
from sgibench.model import Expected, Need, Server, Variant
def variant(**changes):
    known = dict(id="mine", interface="wsgi", concurrency="threads", packages=("x==1",), summary="Mine.")
    return Variant(**(known | changes))
def server(*variants, **changes):
    known = dict(homepage="", command=lambda launch: [launch.python], variants=variants)
    return Server(**(known | changes))
SERVER = {server}
"""


def load(tmp_path: Path, text: str, room: str = "servers", name: str = "mine.py") -> catalogue.Catalogue:
    (tmp_path / room).mkdir(exist_ok=True)
    (tmp_path / room / name).write_text(text)
    return catalogue.load([tmp_path])


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("server(variants=(variant()))", "SERVER.variants: expected a tuple, such as ('one',) with its comma"),
        ("server(variants=[variant()])", "SERVER.variants: expected a tuple"),
        ("server(variants=('waitress',))", "SERVER.variants[0]: expected Variant(...), got 'waitress'"),
        ("server(variant(id=3))", "SERVER.variants[0].id: expected text, got 3"),
        ("server(variant(id=None))", "variants[0].id: expected text, got None"),
        ("server(variant(id='../../evil'))", "a variant's id of at most 64 letters"),
        ("server(variant(id='a b'))", "a variant's id of at most 64 letters"),
        ("server(variant(id='x' * 300))", "a variant's id of at most 64 letters"),
        ("server(variant(files={'../evil': 'text'}))", "files of plain names"),
        ("server(variant(files={'/tmp/evil': 'text'}))", "files of plain names"),
        ("server(variant(files={'..': 'text'}))", "files of plain names"),
        ("server(variant(files={'server.log': 'text'}))", "files of plain names"),
        ("server(variant(files={'conf': b'bytes'}))", "files['conf']: expected text"),
        ("server(variant(packages=('x==1', 3)))", "packages[1]: expected text, got 3"),
        ("server(variant(packages=('--index-url=http://example.invalid',)))", "expected requirements such as"),
        ("server(variant(notes='one'))", "notes: expected a tuple"),
        ("server(variant(summary='\\ud800'))", "summary: expected text"),
        ("server(variant(keep_alive='no'))", "keep_alive: expected True or False, got 'no'"),
        ("server(variant(options={'loop': 3}))", "options['loop']: expected text, got 3"),
        ("server(variant(needs=('nginx',)))", "needs[0]: expected Need(...)"),
        ("server(variant(), command='run')", "command: expected a function"),
        ("server(variant(), expect=Expected())", "expect: expected a function"),
        ("server()", "at least one Variant"),
        ("__import__('sys').exit(3)", "SystemExit: 3"),
        ("[" * 5000, "can be imported"),
    ],
)
def test_what_is_no_whole_declaration_is_refused_in_one_line_with_its_path(
    tmp_path: Path, server: str, words: str
) -> None:
    with pytest.raises(DeclarationError) as caught:
        load(tmp_path, FILE.replace("{server}", server))
    assert words in str(caught.value)
    assert str(tmp_path / "servers" / "mine.py") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("INTERFACE = ['wsgi']", "expected wsgi or asgi"),
        ("INTERFACE = 'wsgi'\nPACKAGES = ('flask')", "PACKAGES to be a tuple"),
        ("INTERFACE = 'wsgi'\nPACKAGES = (1,)", "PACKAGES[0]: expected text"),
        ("INTERFACE = 'wsgi'\nTARGET = 3", "importable"),
        ("INTERFACE = 'wsgi'\nTARGET = '../x'", "importable"),
        ("INTERFACE = {[]: 1}", "to be a literal"),
        ("x = " + "-" * 100_000 + "1", "a Python file"),
        ("x = 1\0", "a Python file"),
    ],
)
def test_an_app_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        load(tmp_path, text, "apps")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_editors_leave_in_the_folders_is_passed_over(tmp_path: Path) -> None:
    rooms = [tmp_path / room for room in ("servers", "apps", "scenarios")]
    for room in rooms:
        room.mkdir()
        (room / ".#mine.py").symlink_to("somebody@a-host.1234:5678")
        (room / "._mine.py").write_bytes(b"\x00\x05\x16\x07")
        (room / "#mine.py#").write_text("half a")
        (room / "mine.py~").write_text("half a")
        (room / ".hidden.py").mkdir()
    assert catalogue.load([tmp_path]).scenario_paths == catalogue.load().scenario_paths


@pytest.mark.parametrize("room", ["servers", "apps", "scenarios"])
@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_file_is_named_and_never_waited_for(tmp_path: Path, room: str, kind: str) -> None:
    (tmp_path / room).mkdir()
    path = tmp_path / room / "mine.py"
    if kind == "link":
        path.symlink_to("nowhere")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(DeclarationError, match=r"mine\.py: expected a file"):
        catalogue.load([tmp_path])


def stands_in_one_line(error: Exception) -> None:
    assert len(str(error).splitlines()) == 1


class Hostile:
    """An object whose every answer is a trap."""

    def __repr__(self) -> str:
        raise RuntimeError


def test_an_object_that_can_not_be_shown_is_refused_as_well() -> None:
    with pytest.raises(MisdeclaredError, match="a Hostile whose repr raises RuntimeError"):
        guarded_command(HERE, lambda _launch: Hostile())(LAUNCH)


anything: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=5)
    | st.sampled_from([Path("x"), "../x", "a/b", "\ud800", "\0", Expected(), len]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=2)
    ),
    max_leaves=4,
)
GOOD = Variant(id="mine", interface="wsgi", concurrency="threads", packages=("x==1",), summary="")
LAUNCH = Launch(
    bin=Path("/bin"),
    launchers=Path("/l"),
    scratch=Path("/s"),
    host="127.0.0.1",
    port=1,
    target="app:app",
    options={},
    workers=1,
    threads=8,
    backlog=1024,
    keep_alive_s=75,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from([field.name for field in dataclasses.fields(Variant)]), anything)
def test_any_value_in_any_field_of_a_variant_is_whole_or_refused(name: str, value: Any) -> None:
    variant = dataclasses.replace(GOOD, **{name: value})
    try:
        check_server(HERE, Server(variants=(variant,), command=lambda _: ["x"], homepage=""))
    except DeclarationError as error:
        stands_in_one_line(error)
        return
    assert (Path("/scratch") / variant.id).parent == Path("/scratch")
    assert all((Path("/scratch") / file).parent == Path("/scratch") for file in variant.files)
    assert all(isinstance(package, str) for package in variant.packages)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(anything)
def test_whatever_the_functions_of_a_declaration_give_is_whole_or_an_error_of_that_variant(value: Any) -> None:
    try:
        argv = guarded_command(HERE, lambda _launch: value)(LAUNCH)
    except MisdeclaredError as error:
        stands_in_one_line(error)
    else:
        assert argv[0]
        assert all(type(word) is str for word in argv)
        " ".join(argv).encode()
    expect = guarded_expect(HERE, lambda _launch: value)
    assert expect
    try:
        assert isinstance(expect(LAUNCH), Expected)
    except MisdeclaredError as error:
        stands_in_one_line(error)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sampled_from([field.name for field in dataclasses.fields(Expected)]), anything)
def test_any_value_in_any_field_of_what_is_expected_is_whole_or_an_error_of_that_variant(name: str, value: Any) -> None:
    expect = guarded_expect(HERE, lambda _launch: dataclasses.replace(Expected(), **{name: value}))
    assert expect
    try:
        found = expect(LAUNCH)
    except MisdeclaredError:
        return
    assert found.backlog is None or found.backlog >= 0


BAD_FUNCTIONS = """
from pathlib import Path
from sgibench.model import Expected, Server, Variant

GIVES = {
    "none": None,
    "path": [Path("/bin/true")],
    "int": ["/bin/true", 8000],
    "empty": [],
    "zero": ["/bin/tr\\0ue"],
    "surrogate": ["/bin/true", "\\ud800"],
    "long": ["/bin/true", "x" * 200_000],
}

def command(launch):
    if launch.options["gives"] == "raises":
        raise RuntimeError("two\\nlines")
    if launch.options["gives"] == "exits":
        raise SystemExit(3)
    return GIVES.get(launch.options["gives"], ["/bin/true"])

def expect(launch):
    kinds = {"expects-none": lambda: None, "expects-text": lambda: Expected(processes="2")}
    kinds["expects-raises"] = lambda: 1 / 0
    return kinds.get(launch.options["gives"], Expected)()

SERVER = Server(
    homepage="https://example.invalid",
    command=command,
    expect=expect,
    variants=tuple(
        Variant(id=f"bad-{gives}", interface="asgi", concurrency="event loop", packages=("waitress==3.0.2",),
                options={"gives": gives}, summary="Bad.")
        for gives in [*GIVES, "raises", "exits", "expects-none", "expects-text", "expects-raises"]
    ),
)
"""


@pytest.fixture(scope="module")
def beside_good(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Every bad function there is beside one good server."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "servers").mkdir()
    (folder / "servers" / "bad.py").write_text(BAD_FUNCTIONS)
    here = Path(__file__).parent / "faulty"
    return run_of(folder, "bad-*", "faulty-none", catalogues=(here, folder))


def test_functions_that_give_nonsense_fail_their_own_variant_by_name_and_nothing_else(beside_good: Run) -> None:
    assert trial_of(beside_good, "faulty-none").status == "ok"
    failed = {trial.server: trial.failure for trial in beside_good.trials if trial.status == "failed"}
    assert {name.removeprefix("bad-") for name in failed} == {
        *("none", "path", "int", "empty", "zero", "surrogate", "long", "raises", "exits")
    }
    for failure in failed.values():
        assert failure
        assert failure.reason == "bad-declaration"
        assert "bad.py: command(launch)" in failure.detail
        assert "\n" not in failure.detail
    skipped = {name: reason for name, reason in beside_good.info.skipped.items() if name.startswith("bad-")}
    assert set(skipped) == {"bad-expects-none", "bad-expects-text", "bad-expects-raises"}
    assert all("bad.py: expect(launch)" in reason for reason in skipped.values())


def test_a_run_with_them_is_read_and_its_page_written(beside_good: Run) -> None:
    html = page.render(beside_good)
    assert "bad-path" in html
    assert "bad-declaration" in html


def test_the_page_of_all_servers_says_in_one_line_which_declaration_it_can_not_show(tmp_path: Path) -> None:
    from sgibench.catalogue.page import servers_page  # noqa: PLC0415

    found = load(tmp_path, FILE.replace("{server}", "server(variant(), command=lambda launch: None)"))
    with pytest.raises(SgibenchError, match=r"mine\.py: command\(launch\): expected a list") as caught:
        servers_page(found.servers)
    assert caught.value.exit_code == 2
