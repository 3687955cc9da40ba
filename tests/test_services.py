"""Services: private instances that are ready when they answer, shared out, counted, started anew, and always buried."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench import catalogue, machine
from sgibench.catalogue.services import check_service
from sgibench.engine.services import use
from sgibench.errors import DeclarationError, EnvsError, MisdeclaredError, ServerError, UsageError
from sgibench.model import Rows, Service, ServiceEntry
from sgibench.serve.services import House, find, missing
from sgibench.serve.services.finding import on_system
from tests.requirements_for_tests import lacking

PATIENCE_S = 60.0
FOUND = catalogue.load()


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def need_service(name: str) -> ServiceEntry:
    """Return a service of which the system has the programs; without them the test is skipped."""
    entry = FOUND.service(name)
    if on_system(entry.service) is None:
        lacking(name, entry.service.how)
    return entry


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with House(FOUND.services, machine.plan_cpus(1).servers) as opened:
        yield opened


@pytest.mark.parametrize("name", ["postgresql", "redis", "memcached"])
def test_a_service_answers_apart_from_root_and_is_shared_out_without_overlap(house: House, name: str) -> None:
    need_service(name)
    first, second = house.share(name, "one server+app"), house.share(name, "one server+app")
    assert first.address != second.address
    assert house.version(name)
    pids = house.pids(name)
    assert house.root(name) in pids
    assert all(psutil.Process(pid).uids().effective != 0 for pid in pids)
    assert all(set(psutil.Process(pid).cpu_affinity()) <= set(house.cpus) for pid in pids if house.cpus)
    memory = house.memory(name)
    assert memory is not None
    assert memory.processes == len(pids)
    assert (memory.pss_bytes or 0) > 0
    assert house.look(first).refused is None
    assert house.trouble([first, second]) is None
    for share in (first, second):
        house.drop(share)


def test_each_share_of_postgresql_is_a_database_of_its_own_with_a_hundred_items(house: House) -> None:
    import psycopg  # noqa: PLC0415 - only where there is one

    need_service("postgresql")
    one, other = house.share("postgresql", "one"), house.share("postgresql", "other")
    with psycopg.connect(one.address, autocommit=True) as link:
        link.execute("DELETE FROM items WHERE id > 90")
        assert (house.look(one).connections, house.look(other).connections) == (1, 0)
    assert house.rows(one) == Rows(count=90, pieces=sum(n * 7 % 100 for n in range(1, 91)))
    assert house.rows(other) == Rows(count=100, pieces=sum(n * 7 % 100 for n in range(1, 101)))


def ask(address: str, *words: str) -> bytes:
    """Ask Redis one thing; gives the first line of its answer."""
    password, _, rest = address.removeprefix("redis://:").partition("@")
    host, _, tail = rest.partition(":")
    port, _, number = tail.partition("/")
    with socket.create_connection((host, int(port)), 10) as link, link.makefile("rwb") as lines:
        for command in (("AUTH", password), ("SELECT", number), words):
            lines.write(" ".join(command).encode() + b"\r\n")
            lines.flush()
            answer = lines.readline()
    return answer


def test_redis_keeps_shares_apart_and_empties_them(house: House) -> None:
    need_service("redis")
    share, other = house.share("redis", "one"), house.share("redis", "other")
    assert ask(share.address, "SET", "key", "value") == b"+OK\r\n"
    assert ask(share.address, "DBSIZE") == b":1\r\n"
    assert ask(other.address, "DBSIZE") == b":0\r\n"
    house.drop(share)
    house.drop(other)
    assert ask(share.address, "DBSIZE") == b":0\r\n"


@pytest.mark.parametrize(("name", "sign"), [("postgresql", "SIGKILL"), ("redis", "SIGKILL"), ("redis", "SIGSTOP")])
def test_a_service_that_is_out_of_use_says_how_and_the_next_share_is_a_new_ones(
    house: House, name: str, sign: str
) -> None:
    need_service(name)
    before = house.share(name, "before")
    root = house.root(name)
    assert root
    os.kill(root, getattr(signal, sign))
    assert eventually(lambda: house.trouble([before]) is not None)
    trouble = house.trouble([before])
    assert trouble is not None
    assert sign in trouble.detail
    with pytest.raises(ServerError, match="gone"):
        house.look(before)
    after = house.share(name, "after")
    assert house.root(name) != root
    assert house.trouble([after]) is None
    assert house.trouble([before]) is not None
    assert gone(root)


def test_a_service_without_room_for_what_it_is_to_keep_says_so_and_is_not_believed(
    house: House, tmp_path: Path
) -> None:
    """Whatever the app made of it: one that goes on without its cache is not what was to be measured."""
    need_service("redis")
    need_service("postgresql")
    app = catalogue.load().app("wsgi_flask+redis")
    used = use(house, app, "one", tmp_path, 8)
    address = used.shares[0].address
    assert used.out_of_use() is None
    assert ask(address, "CONFIG", "SET", "maxmemory", "1") == b"+OK\r\n"
    assert ask(address, "SET", "key", "value").startswith(b"-OOM")
    failure = used.out_of_use()
    assert failure is not None
    assert (failure.reason, "no room for what it was to keep: OOM" in failure.detail) == ("service", True)
    assert ask(address, "CONFIG", "SET", "maxmemory", "0") == b"+OK\r\n"
    assert use(house, app, "two", tmp_path, 8).out_of_use() is None, "it is no fault of those who come later"

    import psycopg  # noqa: PLC0415 - only where there is one

    share = house.share("postgresql", "one")
    assert house.look(share).full is None
    words = "could not extend file: No space left on device"
    with psycopg.connect(share.address) as link, pytest.raises(psycopg.Error, match="could not extend"):
        link.execute(f"DO $$ BEGIN RAISE EXCEPTION '{words}'; END $$")
    assert house.look(share).full == words


@pytest.mark.parametrize("name", ["redis", "memcached"])
def test_a_cache_without_room_for_a_connection_is_out_of_connections(name: str, tmp_path: Path) -> None:
    """Even where none is left for who asks how many there are."""
    entry = need_service(name)
    command = entry.service.command
    few = ["--maxclients", "20"] if name == "redis" else ["-c", "20"]
    small = dataclasses.replace(entry.service, command=lambda launch: [*command(launch), *few])
    with House([dataclasses.replace(entry, service=small)]) as house, contextlib.ExitStack() as links:
        used = use(house, catalogue.load().app(f"wsgi_flask+{name}"), "one", tmp_path, 8)
        share = used.shares[0]
        if name == "redis":
            ask(share.address, "CLIENT", "KILL", "TYPE", "normal")  # the house's own
        where = urlsplit(share.address)
        for _ in range(40):
            links.enter_context(socket.create_connection((where.hostname or "", where.port or 0), 10))
        assert eventually(lambda: (found := used.out_of_use()) is not None and found.reason == "out-of-connections")


OWNER = """
import sys, time
from sgibench import catalogue
from sgibench.serve.services import House
with House(catalogue.load().services) as house:
    shares = [house.share(name, "owner") for name in sys.argv[1:]]
    print(*(pid for name in sys.argv[1:] for pid in house.pids(name)), flush=True)
    time.sleep(600)
"""


def test_whatever_ends_their_owner_no_service_goes_on() -> None:
    for name in ("postgresql", "redis"):
        need_service(name)
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, "postgresql", "redis"], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(pids) > 2
        owner.kill()
    assert eventually(lambda: all(map(gone, pids)))


def test_postgresql_leaves_no_shared_memory_behind_when_it_is_killed() -> None:
    need_service("postgresql")
    table = Path("/proc/sysvipc/shm")
    if not table.exists():
        pytest.skip("this system does not tell its shared memory: it is Linux's /proc/sysvipc")

    def pieces(creator: int) -> list[str]:
        rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()[1:]]
        return [shmid for _key, shmid, _perms, _size, cpid, *_ in rows if int(cpid) == creator]

    with House(FOUND.services) as house:
        house.share("postgresql", "one")
        root = house.root("postgresql")
        assert root
        assert pieces(root)
        os.kill(root, signal.SIGKILL)
    assert not pieces(root)


# --- declarations ----------------------------------------------------------------------------------------------------

ECHO = '''
"""A service in one file: it says its version to whoever connects."""

import socket
import sys

from sgibench.model import Service, ShareLook

PROGRAM = "import socket, sys; s = socket.create_server((sys.argv[1], int(sys.argv[2])))\\n" \\
    "while True: c, _ = s.accept(); c.sendall(b'1.2'); c.close()"


class Client:
    def __init__(self, launch):
        self.address = (launch.host, launch.port)

    def version(self):
        with socket.create_connection(self.address, 5) as link:
            return "echo " + link.recv(10).decode()

    def share(self, name):
        return f"echo://{self.address[0]}:{self.address[1]}/{name}"

    def look(self, name):
        return ShareLook()

    def rows(self, name):
        return None

    def drop(self, name):
        pass

    def close(self):
        pass


SERVICE = Service(
    summary="Echoes.",
    homepage="https://example.org",
    programs=(("python3",),),
    how="apt-get install python3",
    command=lambda launch: [launch.program("python3"), "-c", PROGRAM, launch.host, str(launch.port)],
    client=Client,
)
'''


def service_file(tmp_path: Path, text: str, name: str = "echo") -> Path:
    folder = tmp_path / "services"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_service_of_ones_own_is_one_file(tmp_path: Path) -> None:
    found = catalogue.load([service_file(tmp_path, ECHO)])
    with House(found.services) as house:
        share = house.share("echo", "me")
        assert house.version("echo") == "echo 1.2"
        assert share.variables == {"SGIBENCH_ECHO": share.address}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("SERVICE =", "SERVING ="), "SERVICE = Service"),
        (('programs=(("python3",),)', "programs=()"), "at least one group of programs"),
        (('programs=(("python3",),)', 'programs=(("../sh",),)'), "plain names"),
        (('summary="Echoes."', "summary=5"), "expected text"),
        (("client=Client", 'client=Client, stop="KILL"'), "TERM or INT or QUIT"),
        (("client=Client", 'client=Client, wheel="--index-url=x"'), "requirements"),
        (("client=Client", 'client=Client, wheel="x==1"'), "inside to be a folder"),
        (("client=Client", 'client=Client, wheel="x==1", inside="/usr"'), "inside to be a folder"),
        (("client=Client", 'client=Client, wheel="x==1", inside="lib/../.."'), "inside to be a folder"),
    ],
)
def test_a_file_that_declares_no_service_stops_the_command_with_its_path(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    assert change[0] in ECHO
    with pytest.raises(DeclarationError, match=said) as caught:
        catalogue.load([service_file(tmp_path, ECHO.replace(*change))])
    assert "echo.py" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"-c", PROGRAM', '"-c", None'), "command"),
        (('"-c", PROGRAM', '"-c", "raise SystemExit(3)"'), "status 3"),
        (("client=Client", "client=Client, files=lambda launch: {'../x': 'y'}"), "plain names"),
        (("client=Client", "client=Client, prepare=lambda launch: [['/nowhere/at/all']]"), "No such file"),
        (("client=Client", "client=Client, prepare=lambda launch: 1 / 0"), "ZeroDivisionError"),
        (("client=Client", "client=lambda launch: 1 / 0"), r"client\(launch\) raised ZeroDivisionError"),
        (("client=Client", "client=lambda launch: None"), "expected a client with version"),
        (('return "echo " + link.recv(10).decode()', "return 7"), r"client.version\(\): expected one line .* got 7"),
        (('return "echo " + link.recv(10).decode()', 'return "1\\n2"'), "expected one line of text"),
        (('return f"echo://{self.address[0]}:{self.address[1]}/{name}"', "return None"), r"client.share\(\)"),
        (('return f"echo://{self.address[0]}:{self.address[1]}/{name}"', 'return "a\\0b"'), r"client.share\(\)"),
        (('"-c", PROGRAM', '"-c", *["x" * 40_000] * 2'), "at most 65,536 characters"),
        (('programs=(("python3",),)', 'programs=(("no-such-program",),)'), "no-such-program: apt-get install python3"),
    ],
)
def test_a_service_that_does_not_start_is_one_line_that_names_it(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    assert change[0] in ECHO
    found = catalogue.load([service_file(tmp_path, ECHO.replace(*change))])
    with House(found.services) as house, pytest.raises(ServerError, match=said) as caught:
        house.share("echo", "me")
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, MisdeclaredError) or "echo.py" in str(caught.value)


@pytest.mark.parametrize(
    "given", ["None", "ShareLook(connections='5')", "ShareLook(opened=-1)", "ShareLook(refused=b'no')", "1 / 0"]
)
def test_what_a_service_says_of_a_share_is_whole_or_an_error_of_that_service(tmp_path: Path, given: str) -> None:
    """What was stored of it, or computed with, would cost the trials of all others."""
    found = catalogue.load([service_file(tmp_path, ECHO.replace("return ShareLook()", f"return {given}"))])
    with House(found.services) as house:
        share = house.share("echo", "me")
        with pytest.raises(ServerError, match=r"client.look|ZeroDivisionError") as caught:
            house.look(share)
        assert "\n" not in str(caught.value)
        assert house.trouble([share]) is None


def test_a_service_that_never_answers_is_out_of_use_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sgibench.serve.services.instance.ANSWER_S", 0.5)
    silent = ECHO.replace("return ShareLook()", "__import__('time').sleep(600)")
    with House(catalogue.load([service_file(tmp_path, silent)]).services) as house:
        share = house.share("echo", "me")
        assert house.trouble([share]) is None
        with pytest.raises(ServerError, match=r"echo did not answer within 0\.5 s"):
            house.look(share)
        trouble = house.trouble([share])
        assert trouble is not None
        assert trouble.detail == "echo did not answer within 0.5 s"
        root = house.root("echo")
        assert house.trouble([house.share("echo", "next")]) is None
        assert house.root("echo") != root


def stands_in_one_line(error: Exception) -> None:
    assert len(str(error).splitlines()) == 1


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["../x", "\0", "\ud800", len]),
    lambda inner: st.lists(inner, max_size=2).map(tuple) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from([field.name for field in dataclasses.fields(Service)]), anything)
def test_any_value_in_any_field_of_a_service_is_whole_or_refused_in_one_line(name: str, value: Any) -> None:
    declared = dataclasses.replace(FOUND.service("postgresql").service, **{name: value})
    try:
        entry = check_service(Path("/services/mine.py"), declared)
    except DeclarationError as error:
        stands_in_one_line(error)
        return
    assert all(isinstance(program, str) and "/" not in program for group in entry.service.programs for program in group)
    missing(dataclasses.replace(entry.service, wheel=None, folders=()))


def test_what_is_missing_is_said_with_the_command_that_adds_it(tmp_path: Path) -> None:
    found = catalogue.load([service_file(tmp_path, ECHO.replace('(("python3",),)', '(("no-such-program",),)'))])
    assert missing(found.service("echo").service) == "it needs no-such-program: apt-get install python3"
    assert missing(catalogue.load([service_file(tmp_path, ECHO)]).service("echo").service) is None


def test_programs_come_from_a_package_where_the_system_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = FOUND.service("redis")
    monkeypatch.setattr("sgibench.serve.services.finding.on_system", lambda _service: None)
    if sys.version_info >= (3, 12):  # that package has no wheels for it
        with pytest.raises(EnvsError, match="it needs redis-server or valkey-server: apt-get install redis-server"):
            find(entry.service)
        return
    found = find(entry.service)
    assert found.source == entry.service.wheel
    with House(FOUND.services) as house:
        house.share("redis", "me")
        assert (house.version("redis") or "").startswith("Redis 6.2")


# --- apps and scenarios that need them --------------------------------------------------------------------------------


def test_an_app_on_a_service_is_named_with_a_plus_and_has_its_packages() -> None:
    (app,) = catalogue.select_apps(FOUND.apps, ["wsgi_plain+postgresql"])
    assert (app.id, app.uses) == ("wsgi_plain+postgresql", ("postgresql",))
    assert any(package.startswith("psycopg") for package in app.packages)
    assert FOUND.app(app.id) == app
    assert app.on("postgresql") is app
    assert all("+" not in one.id for one in catalogue.select_apps(FOUND.apps, ["*"]))
    globbed = catalogue.select_apps(FOUND.apps, ["asgi_*+postgresql"])
    assert {"asgi_plain+postgresql", "asgi_fastapi+postgresql"} <= {one.id for one in globbed}
    assert "asgi_anyio+postgresql" not in {one.id for one in globbed}


def test_an_app_that_only_makes_sense_on_a_service_is_left_out_of_globs_without_it() -> None:
    assert "wsgi_django_pool" not in {one.id.partition("+")[0] for one in catalogue.select_apps(FOUND.apps, ["wsgi_*"])}
    for pattern in ("wsgi_django_pool", "wsgi_*+postgresql"):
        assert "wsgi_django_pool+postgresql" in {one.id for one in catalogue.select_apps(FOUND.apps, [pattern])}


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("wsgi_plain+mysql", "no app can use 'mysql'"),
        ("asgi_anyio+postgresql", "asgi_anyio can't use postgresql"),
        ("wsgi_plane+postgresql", "did you mean wsgi_plain"),
        ("wsgi_plain+", "no app can use ''"),
    ],
)
def test_an_app_that_can_not_be_had_on_a_service_is_refused_in_one_line(pattern: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        catalogue.select_apps(FOUND.apps, [pattern])


def test_an_app_must_declare_services_as_requirements(tmp_path: Path) -> None:
    (tmp_path / "apps").mkdir()
    for text, said in (("{'redis': 'redis'}", "a tuple"), ("['redis']", "mapping"), ("{'a/b': ()}", "names")):
        app = f'"""An app."""\nINTERFACE = "wsgi"\nSERVICES = {text}\n'
        (tmp_path / "apps" / "mine.py").write_text(app, encoding="utf-8")
        with pytest.raises(DeclarationError, match=said):
            catalogue.load([tmp_path])
