"""Fronts: what stands before servers is declared, named, and joined with any server that fits; nothing is started."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench import catalogue
from sgibench.bench.choice import read_choice, split
from sgibench.bench.choosing import choose_servers, expected_of, refusals
from sgibench.bench.plan import servers_of
from sgibench.catalogue.declared import check_front, guarded_files
from sgibench.catalogue.fronted import Where, behind, front_launch, unfit
from sgibench.errors import DeclarationError, MisdeclaredError, SgibenchError, UsageError
from sgibench.model import (
    Cell,
    Configuration,
    Front,
    FrontEntry,
    FrontLaunch,
    FrontVariant,
    Load,
    Need,
    Protocol,
    ServerEntry,
    Settings,
)
from sgibench.serve import certificate
from sgibench.serve.fronts import told_lost
from tests.requirements_for_tests import need_program
from tests.test_declarations import launch_of
from tests.ui_process import free_port

FOUND = catalogue.load()
FRONTS = {front.id: front for front in FOUND.fronts}
SERVERS = {server.id: server for server in FOUND.servers}
each_front = pytest.mark.parametrize("front", FOUND.fronts, ids=lambda front: front.id)


def placed(front: str, server: str = "waitress", **changes: Any) -> FrontLaunch:
    """What a front before that server is launched with."""
    where = Where(program="/bin/front", scratch=Path("/scratch/front"), port=8999)
    return front_launch(SERVERS[server], FRONTS[front], launch_of(SERVERS[server], **changes), where)


def text_of(launch: FrontLaunch, front: str) -> str:
    return "\n".join(FRONTS[front].files(launch).values())


def stands_in_one_line(error: SgibenchError) -> None:
    assert "\n" not in str(error)


# --- declarations -----------------------------------------------------------------------------------------------------


@each_front
@pytest.mark.parametrize("configuration", ["default", "equal", "recommended"])
def test_a_configuration_is_a_pure_function_of_the_launch_and_names_every_server(
    front: FrontEntry, configuration: Configuration
) -> None:
    launch = placed(front.id, configuration=configuration)
    assert front.files(launch) == front.files(launch)
    text = text_of(launch, front.id)
    assert len(launch.backends) == len(set(launch.backends)) == front.variant.backends
    assert all(address in text for address in launch.backends)
    assert "127.0.0.1:8999" in text
    argv = front.command(launch)
    assert argv[0] == "/bin/front"
    assert any(name in " ".join(argv) for name in front.files(launch))


@each_front
def test_what_is_held_equal_stays_out_of_the_default_configuration(front: FrontEntry) -> None:
    texts = [text_of(placed(front.id, configuration="default", backlog=backlog), front.id) for backlog in (1024, 777)]
    assert texts[0] == texts[1]
    equal = text_of(placed(front.id, backlog=777), front.id)
    assert "777" in equal
    prompt = {"nginx": "client_body_buffer_size 1m;", "haproxy": "option http-no-delay"}[front.family]
    assert prompt in equal, "what is held back by the front's own defaults would be counted to the server"
    assert prompt not in texts[0]


@each_front
def test_a_front_never_writes_outside_its_scratch_folder_and_runs_as_who_may_read_it(front: FrontEntry) -> None:
    launch = dataclasses.replace(placed(front.id), user="root")
    text = text_of(launch, front.id)
    written = re.findall(r'(?:_path|pid) "?([^"; ]+)', text)
    assert written or front.family != "nginx"
    assert not any("/" in path for path in written), "what is relative lies below the folder that -p names"
    if front.family == "nginx":
        assert text.startswith("user root;")


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path: that of a Unix socket has about a hundred bytes, and pytest's own are long."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize("protocol", ["http", "h2"])
@pytest.mark.parametrize("name", ["nginx-unix", "nginx-static", "nginx-cache", "haproxy-unix", "haproxy-rr2"])
def test_a_front_reads_its_configuration_wherever_its_folder_is(short: Path, name: str, protocol: Protocol) -> None:
    front = FRONTS[name]
    program = need_program(front.family, front.need.how)
    scratch = short / 'we ird; {x} $5 \\ "q" #h \''
    scratch.mkdir()
    if protocol == "h2":
        need_program("openssl", "apt-get install openssl")
        certificate.make(scratch / "certificate.pem", scratch / "certificate.pem.key")
    where = Where(program=program, scratch=scratch, port=free_port(), static=scratch / "static")
    launch = front_launch(SERVERS["waitress"], front, launch_of(SERVERS["waitress"], protocol=protocol), where)
    for file, text in front.files(launch).items():
        (scratch / file).write_text(text)
    look = {"nginx": "-t", "haproxy": "-c"}[front.family]
    done = subprocess.run([*front.command(launch), look], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_connections_to_a_server_are_kept_unless_each_would_hold_a_thread() -> None:
    assert placed("nginx", "gunicorn-gthread").reuse
    assert placed("nginx", "uvicorn-httptools").reuse
    assert not placed("nginx", "uwsgi-http11").reuse  # 8 threads: eight kept connections starve all others
    assert not placed("nginx", "gunicorn-sync").reuse
    assert not placed("nginx", "gunicorn-gthread", configuration="default").reuse
    assert placed("haproxy", "uwsgi-http11").limit == 8
    assert "maxconn 8" in text_of(placed("haproxy", "uwsgi-http11"), "haproxy")


# --- pairs ------------------------------------------------------------------------------------------------------------


def test_every_server_stands_behind_nginx_but_those_that_have_a_front_of_their_own() -> None:
    chosen, _ = choose_servers(FOUND, ["nginx+*"])
    ids = {entry.id for entry in chosen}
    own = {server.id for server in FOUND.servers if server.front is not None}
    plain = {server.id for server in FOUND.servers if not server.variant.optional} - own
    assert ids == {f"nginx+{server}" for server in plain}
    assert own >= {"uwsgi-nginx", "uwsgi-fastcgi"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("nginx+waitress", {"nginx+waitress"}),
        ("nginx-unix+gunicorn-gthread", {"nginx-unix+gunicorn-gthread"}),
        ("haproxy+uvicorn-h11@0.34", {"haproxy+uvicorn-h11@0.34"}),
        ("nginx+pyvoy-wsgi", {"nginx+pyvoy-wsgi"}),
        ("*x+daphne", {"nginx-unix+daphne"} - {"nginx-unix+daphne"} | {"nginx+daphne"}),
    ],
)
def test_names_are_read_as_front_server_and_version(said: str, expected: set[str]) -> None:
    chosen, _ = choose_servers(FOUND, [said])
    assert {entry.id for entry in chosen} == expected


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("ngin+waitress", "unknown front 'ngin': did you mean nginx"),
        ("nginx+waitres", "unknown server 'waitres'"),
        ("nginx+uwsgi-nginx", "it always stands behind nginx-uwsgi"),
        ("nginx-unix+daphne", "can't listen on a Unix socket"),
        ("nginx-uwsgi+waitress", "speaks http behind a front, and nginx-uwsgi speaks uwsgi"),
        ("nginx-uwsgi+*", "none of these servers can stand behind nginx-uwsgi"),
        ("nginx+nginx+waitress", "expected a server such as"),
        ("nginx+", "expected a server such as"),
        ("+waitress", "expected a server such as"),
        ("nginx@1+waitress", "unknown front 'nginx@1'"),
        ("waitress+pynone", "--python: expected a version"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(said: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose_servers(FOUND, [said])
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "backends", "fronts"),
    [
        (["nginx+waitress"], (1, 2, 4), "nginx nginx-lc2 nginx-rr2 nginx-lc4 nginx-rr4"),
        (["nginx-lc2+waitress"], (1, 2, 4), "nginx nginx-lc2 nginx-lc4"),
        (["nginx-rr4+waitress"], (1,), "nginx"),
        (["haproxy+waitress", "nginx-rr2+waitress"], (2,), "haproxy-lc2 haproxy-rr2 nginx-rr2"),
        (["nginx*+waitress"], (1, 4), "nginx nginx-lc4 nginx-rr4"),
    ],
)
def test_a_front_stands_before_as_many_servers_as_are_asked_for(
    said: list[str], backends: tuple[int, ...], fronts: str
) -> None:
    chosen, _ = choose_servers(FOUND, said, backends=backends)
    assert [entry.id for entry in chosen] == [f"{front}+waitress" for front in fronts.split()]
    assert {servers_of(entry) for entry in chosen} == set(backends)


def test_a_server_without_a_front_stands_beside_those_that_have_one() -> None:
    chosen, _ = choose_servers(FOUND, ["waitress", "nginx-rr2+waitress"], backends=(1, 2))
    assert [entry.id for entry in chosen] == ["waitress", "nginx+waitress", "nginx-rr2+waitress"]


@pytest.mark.parametrize(
    ("said", "backends", "why"),
    [
        (["waitress"], (2,), "--backends: expected a server behind a front, such as nginx+waitress, got waitress"),
        (["nginx-static+waitress"], (2,), "--backends 2: nginx-static stands before 1 server here"),
        (["nginx+waitress"], (1, 3), "--backends 1,3: nginx stands before 1, 2, 4 servers here"),
        (["nginx-unix+*"], (2,), "--backends 2: nginx-unix stands before 1 server here"),
        (["*+waitress"], (3,), "--backends 3: "),
    ],
)
def test_a_number_of_servers_that_no_front_stands_before_is_refused_in_one_line(
    said: list[str], backends: tuple[int, ...], why: str
) -> None:
    with pytest.raises(UsageError) as caught:
        choose_servers(FOUND, said, backends=backends)
    assert str(caught.value).startswith(why)
    stands_in_one_line(caught.value)


@pytest.mark.parametrize(
    ("variants", "why"),
    [
        ([FrontVariant(id="two", summary="", backends=2, one="one")], "`one` to be a variant before one server"),
        ([FrontVariant(id="one", summary="", one="one")], "of what stands before several servers alone"),
        ([FrontVariant(id="one", summary="", balance="round robin")], "of what stands before several servers alone"),
    ],
)
def test_what_a_front_says_of_its_kin_has_to_be_so(variants: list[FrontVariant], why: str) -> None:
    with pytest.raises(DeclarationError, match=why):
        check_front(HERE, mine(variants=tuple(variants)))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet="nginxwa+*@?[]py3.1-", max_size=16), st.lists(st.integers(1, 5), max_size=3))
def test_any_name_is_servers_or_one_line(said: str, backends: list[int]) -> None:
    try:
        chosen, missing = choose_servers(FOUND, [said], backends=backends)
    except SgibenchError as error:
        stands_in_one_line(error)
    else:
        assert chosen or missing


@pytest.mark.parametrize("name", ["nginx+gunicorn-sync", "haproxy-unix+granian-asgi", "uwsgi-nginx", "nginx+daphne"])
def test_a_fronted_server_is_asked_as_the_front_can_be(name: str) -> None:
    entry = server_of(name)
    assert entry.front is not None
    assert entry.behind is not None
    assert entry.variant.keep_alive
    assert entry.variant.speaks == entry.front.variant.speaks
    assert entry.front.need in entry.variant.needs
    assert set(entry.behind.notes) | set(entry.front.notes) == set(entry.notes)


def server_of(name: str) -> ServerEntry:
    return choose_servers(FOUND, [name])[0][0]


def cell_of(server: str, connections: int) -> Cell:
    load = Load(kind="closed", connections=connections)
    return Cell(server=server, app="wsgi_plain", scenario="json", load=load, settings=Settings(workers=1, threads=8))


def test_what_is_expected_of_a_deployment_is_what_its_parts_are_together() -> None:
    alone = expected_of(cell_of("gunicorn-gthread", 8), SERVERS["gunicorn-gthread"])
    together = expected_of(cell_of("nginx+gunicorn-gthread", 8), server_of("nginx+gunicorn-gthread"))
    assert alone.processes == 2
    assert together.processes == 2 + 2
    assert together.backlog == 1024
    assert together.nodelay is True


def test_a_front_takes_more_connections_than_the_server_behind_it_has_threads() -> None:
    names = ("uwsgi-http11", "nginx+uwsgi-http11")
    entries = {name: server_of(name) for name in names}
    refused = {cell.server: why for cell, why in refusals([cell_of(name, 64) for name in names], entries).items()}
    assert "serves 8 connections side by side" in refused["uwsgi-http11"]
    assert "side by side" not in refused.get("nginx+uwsgi-http11", "")


def test_a_program_that_is_not_here_is_named_with_the_command_that_adds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sgibench.serve.needs.PROGRAMS", ())
    monkeypatch.setenv("PATH", "/nowhere")
    for name, how in (
        ("nginx+waitress", "apt-get install nginx-light"),
        ("haproxy+waitress", "apt-get install haproxy"),
    ):
        cell = cell_of(name, 8)
        assert refusals([cell], {name: server_of(name)})[cell].endswith(how)


def test_the_form_of_the_web_ui_puts_a_server_behind_a_front() -> None:
    values = {"server": "waitress", "front": "nginx", "app": "plain", "scenario": "json", "load": "closed"}
    values |= {"rate": "100", "workers": "1", "threads": "8", "configuration": "equal"}
    choice = read_choice(FOUND, values, 8, own_target=False)
    assert choice.server is not None
    assert choice.server.id == "nginx+waitress"
    assert split("nginx+waitress") == ("waitress", "nginx")
    with pytest.raises(UsageError, match="always stands behind"):
        read_choice(FOUND, {**values, "server": "uwsgi-nginx"}, 8, own_target=False)
    with pytest.raises(UsageError, match="unknown front 'ngin'"):
        read_choice(FOUND, {**values, "front": "ngin"}, 8, own_target=False)


# --- declarations of strangers ----------------------------------------------------------------------------------------

HERE = Path("/fronts/mine.py")
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([Path("x"), "../x", "\0", len]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def mine(**changes: Any) -> Front:
    fields: dict[str, Any] = {
        "need": Need(name="true", how="none"),
        "variants": (FrontVariant(id="mine", summary=""),),
        "files": lambda _launch: {},
        "command": lambda _launch: ["true"],
        "homepage": "",
        **changes,
    }
    return Front(**fields)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from([field.name for field in dataclasses.fields(FrontVariant)]), anything)
def test_any_value_in_any_field_of_a_front_is_whole_or_refused(name: str, value: Any) -> None:
    variant = dataclasses.replace(FrontVariant(id="mine", summary=""), **{name: value})
    try:
        check_front(HERE, mine(variants=(variant,)))
    except DeclarationError as error:
        stands_in_one_line(error)
        return
    assert variant.backends >= 1
    assert (Path("/scratch") / variant.id).parent == Path("/scratch")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(anything)
def test_whatever_a_front_writes_is_plain_files_or_an_error_of_that_front(value: Any) -> None:
    try:
        files = guarded_files(HERE, lambda _launch: value)(placed("nginx"))
    except MisdeclaredError as error:
        stands_in_one_line(error)
        return
    assert all((Path("/scratch") / name).parent == Path("/scratch") for name in files)


@pytest.mark.parametrize("function", ["files", "command", "expect"])
def test_a_front_that_raises_fails_what_stands_behind_it_by_name(function: str, tmp_path: Path) -> None:
    def broken(_launch: object) -> Any:
        raise RuntimeError("two\nlines")

    functions: dict[str, Callable[[Any], Any]] = {"files": lambda _: {}, "command": lambda _: ["true"]}
    found = declared(tmp_path, **{**functions, function: broken})
    called: dict[str, Callable[[], Any]] = {
        "files": lambda: found.files(placed("nginx")),
        "command": lambda: found.command(placed("nginx")),
        "expect": lambda: behind(SERVERS["waitress"], found).expected(launch_of(SERVERS["waitress"])),
    }
    with pytest.raises(MisdeclaredError, match=rf"{function}\(launch\) raised RuntimeError: two lines"):
        called[function]()


def declared(folder: Path, **functions: Callable[[Any], Any]) -> FrontEntry:
    """A front as the catalogue would read it from a file."""
    from sgibench.catalogue.declared import guarded_command, guarded_expect  # noqa: PLC0415

    path = folder / "mine.py"
    made = mine(**functions)
    return FrontEntry(
        variant=made.variants[0],
        family="mine",
        path=path,
        need=made.need,
        files=guarded_files(path, made.files),
        command=guarded_command(path, made.command),
        expect=guarded_expect(path, made.expect),
        homepage="",
        notes=(),
    )


def test_a_front_of_a_users_own_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "fronts").mkdir()
    (tmp_path / "fronts" / "relay.py").write_text(
        "from sgibench.model import Front, FrontVariant, Need\n"
        "FRONT = Front(need=Need(name='true', how='-'), homepage='', files=lambda launch: {'a.cfg': 'x'},\n"
        "    command=lambda launch: [launch.program, *launch.backends],\n"
        "    variants=(FrontVariant(id='relay', summary='.'), FrontVariant(id='relay2', backends=2, summary='.')))\n"
    )
    found = catalogue.load([tmp_path])
    chosen, _ = choose_servers(found, ["relay*+waitress"])
    assert {entry.id for entry in chosen} == {"relay+waitress", "relay2+waitress"}
    (tmp_path / "fronts" / "twin.py").write_text((tmp_path / "fronts" / "relay.py").read_text())
    with pytest.raises(DeclarationError, match="an id of its own"):
        catalogue.load([tmp_path])


def test_a_server_that_names_a_front_that_is_not_there_is_refused_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "servers").mkdir()
    (tmp_path / "servers" / "mine.py").write_text(
        "from sgibench.model import Server, Variant\n"
        "SERVER = Server(homepage='', command=lambda launch: ['x'], variants=(Variant(id='mine', interface='wsgi',\n"
        "    concurrency='threads', packages=(), summary='', front='ngink'),))\n"
    )
    with pytest.raises(DeclarationError, match=r"mine\.py: expected a front .* names 'ngink'; did you mean nginx\?"):
        catalogue.load([tmp_path])


# --- what is said -----------------------------------------------------------------------------------------------------


def test_what_was_lost_is_told_by_the_part_that_it_belonged_to() -> None:
    assert told_lost({"it": (1, 2, 3)}, (1, 2, 3, 4)) is None
    assert told_lost({"it": (1, 2, 3)}, (1,)) == "2 of its processes ended"
    parts = {"waitress behind nginx": (1,), "its front nginx": (2, 3)}
    assert told_lost(parts, (1, 2)) == "1 of the processes of its front nginx ended"
    assert told_lost(parts, (2, 3)) == "1 of the processes of waitress behind nginx ended"


def test_a_server_that_fits_no_front_says_why() -> None:
    assert unfit(SERVERS["uwsgi-nginx"], FRONTS["nginx"]) == "it always stands behind nginx-uwsgi"
    assert unfit(SERVERS["waitress"], FRONTS["nginx-unix"]) is None
