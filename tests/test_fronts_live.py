"""Servers behind real fronts: they hold the contract, are counted whole and apart, and a lost part is named."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psutil
import pytest
from click.testing import CliRunner

from sgibench import bench, report
from sgibench.bench.choosing import choose_servers
from sgibench.catalogue import load
from sgibench.catalogue.fronted import Where, front_launch
from sgibench.cli.check import check
from sgibench.engine.progress import Silent
from sgibench.model import Cell, Run, Settings, Trial
from sgibench.results import store
from sgibench.serve import envs, needs
from sgibench.serve.process import HOST, ServerProcess, ServerSpec
from tests.requirements_for_tests import lacking, need_program
from tests.test_declarations import launch_of
from tests.test_guarded import eventually, gone, strike
from tests.ui_process import free_port

FOUND = load()
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture(autouse=True, scope="module")
def fronts_are_here() -> None:
    need_program("nginx", "apt-get install nginx-light")
    need_program("haproxy", "apt-get install haproxy")


class Acting(Silent):
    """Does something once when a server begins to be measured."""

    def __init__(self, act: Callable[[], None], server: str) -> None:
        super().__init__()
        self._act: Callable[[], None] | None = act
        self._server = server

    def step(self, cell: Cell, phase: str, done: float) -> None:
        super().step(cell, phase, done)
        if phase == "measure" and cell.server == self._server and self._act is not None:
            act, self._act = self._act, None
            act()


def run_of(tmp_path: Path, *servers: str, listener: Silent | None = None, **changes: object) -> Run:
    quick = {"blocks": 1, "window_s": 0.5, "connections": (8,), "seed": 1, "control": False, "rate_per_s": 0.0}
    asked: dict[str, object] = {"scenarios": ("json",), **quick, **changes}
    request = bench.Request(
        results=tmp_path / "results",
        argv=("sgibench", "run"),
        servers=servers,
        **asked,  # type: ignore[arg-type]  # checked by the dataclass's own users
    )
    return store.read_run(bench.run(request, listener or Silent()).folder)


def trial_of(run: Run, server: str) -> Trial:
    return next(trial for trial in run.trials if trial.server == server)


def ours(*words: str) -> list[psutil.Process]:
    """Processes that this one started, at whatever remove, whose command line has all of these words."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if all(word in line for word in words):
            found.append(process)
    return found


CHECKED = (
    ("nginx+gunicorn-sync", "https"),
    ("nginx-unix+waitress", "h2c"),
    ("nginx+uvicorn-httptools", "http"),
    ("haproxy-unix+hypercorn-uvloop", "h2c"),
    ("uwsgi-nginx", "h2"),
    ("haproxy+uwsgi-http11", "h2"),
)
"""Over TLS and HTTP/2 servers that speak neither, or are not asked in it."""


@pytest.mark.parametrize(("name", "protocol"), CHECKED)
def test_a_server_behind_a_front_holds_the_contract(name: str, protocol: str) -> None:
    (entry,) = choose_servers(FOUND, [name])[0]
    if missing := needs.missing(entry.variant.needs):
        lacking(f"what {name} needs", missing)
    need_program("openssl", "apt-get install openssl")
    done = CliRunner().invoke(check, [name, "--workers", "2", "--protocol", protocol])
    assert done.exit_code == 0, done.output
    assert "ok" in done.output


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A server by itself, and behind each front."""
    servers = ("gunicorn-gthread", "nginx+gunicorn-gthread", "haproxy-unix+gunicorn-gthread")
    return run_of(tmp_path_factory.mktemp("fronts"), *servers, window_s=1.0)


def test_the_fronts_share_is_a_part_of_what_the_whole_deployment_used(beside: Run) -> None:
    alone = trial_of(beside, "gunicorn-gthread")
    assert alone.status == "ok", alone.failure
    assert alone.front is None
    for name, program in (("nginx+gunicorn-gthread", "nginx"), ("haproxy-unix+gunicorn-gthread", "haproxy")):
        trial = trial_of(beside, name)
        assert trial.status == "ok", trial.failure
        front = trial.front
        assert front is not None
        assert (front.program, front.behind, front.backends) == (program, "gunicorn-gthread", 1)
        assert front.version
        assert front.argv
        assert front.argv[0].endswith(program)
        assert front.cpu_s is not None
        assert trial.cpu_s is not None
        assert 0 < front.cpu_s < trial.cpu_s
        assert front.memory is not None
        assert trial.memory is not None
        assert front.memory.processes < trial.memory.processes
        assert (front.memory.uss_bytes or 0) < (trial.memory.uss_bytes or 0)
        assert trial.not_as_declared == ()


def test_which_worker_answered_is_not_guessed_behind_a_front(beside: Run) -> None:
    assert trial_of(beside, "nginx+gunicorn-gthread").requests_by_pid is None
    assert trial_of(beside, "gunicorn-gthread").requests_by_pid


def test_the_report_shows_a_deployment_as_what_it_is(beside: Run, tmp_path: Path) -> None:
    page = report.write(beside, tmp_path).read_text(encoding="utf-8")
    assert "HTTP over loopback TCP" in page
    assert "HTTP over a Unix socket" in page
    assert "CPU per request: the front, and the servers behind it" in page
    rows = {row["server"]: row for group in report.summary(beside)["groups"] for row in group["rows"]}
    assert rows["gunicorn-gthread"]["front"] is None
    front = rows["nginx+gunicorn-gthread"]["front"]
    assert front["chain"].startswith("client → nginx ")
    assert front["chain"].endswith(" → gunicorn-gthread")
    assert 0 < front["cpu_share"]["value"] < 1


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One server and two behind a front, in clear text, over TLS, and with a handshake for each request."""
    need_program("openssl", "apt-get install openssl")
    return run_of(
        tmp_path_factory.mktemp("spread"),
        "waitress",
        "nginx-lc2+waitress",
        backends=(1, 2),
        scenarios=("conn_kept", "tls_resumed"),
        protocols=("http", "h2"),
        streams=2,
        window_s=0.4,
    )


def test_a_front_ends_tls_and_http2_for_servers_that_speak_neither(spread: Run) -> None:
    measured = {(one.server, one.scenario, one.load.id): one for one in spread.trials}
    fronts = ("nginx+waitress", "nginx-lc2+waitress")
    assert set(measured) == {
        ("waitress", "conn_kept", "closed-8"),
        *((front, "conn_kept", load) for front in fronts for load in ("closed-8", "closed-8-h2-s2")),
        *((front, "tls_resumed", "closed-8-close-h2-s1") for front in fronts),
    }
    assert {one.status for one in spread.trials} == {"ok"}, [one.failure for one in spread.trials]
    assert "it does not speak h2" in spread.info.skipped["waitress"]
    assert [one.not_as_declared for one in spread.trials if one.not_as_declared] == []
    assert all(one.effective and one.effective.nodelay for one in spread.trials if one.front)
    for front in fronts:
        trial = measured[front, "tls_resumed", "closed-8-close-h2-s1"]
        made = trial.handshakes
        assert made is not None
        assert made.resumed > made.full
        assert trial.unit == "handshake"
        assert trial.requests is not None
        assert abs(made.full + made.resumed - trial.requests) <= 2 * 8  # those opened before an edge and asked after it


def test_the_number_of_servers_is_one_plot_and_deployments_are_shown_as_what_they_are(
    spread: Run, tmp_path: Path
) -> None:
    two = trial_of(spread, "nginx-lc2+waitress").front
    assert two is not None
    assert (two.backends, two.one, two.balance) == (2, "nginx", "least connections")
    page = report.write(spread, tmp_path).read_text(encoding="utf-8")
    assert "The number of servers behind a front" in page
    assert "nginx+waitress, least connections: 2 servers came to" in page
    assert "HTTP/2 over TLS up to nginx, then HTTP over loopback TCP, least connections" in page
    assert "The same request in other ways: server CPU for each" in page
    assert "The same request in other ways: how many a second" in page
    assert "2 × waitress" in page


OWNER = """
import json, sys, time
from pathlib import Path
from sgibench import catalogue
from sgibench.bench.choosing import choose_servers
from sgibench.model import Settings
from sgibench.serve import envs
from sgibench.serve.process import ServerProcess, ServerSpec
found = catalogue.load()
(entry,) = choose_servers(found, ["nginx+gunicorn-gthread"])[0]
settings = Settings(workers=2, threads=2)
made = envs.ensure(entry.variant.packages)
spec = ServerSpec(entry=entry, app=found.app("wsgi_plain"), settings=settings, bin=made.bin, cpus=(),
                  scratch=Path(sys.argv[1]))
with ServerProcess(spec) as process:
    process.wait_ready()
    print(json.dumps([process.front_pids(), process.pids()]), flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a group when a pipe's other end is gone")
@pytest.mark.parametrize("master_too", [False, True], ids=["engine-and-guards", "and-the-fronts-master"])
def test_an_engine_that_is_killed_with_its_guards_leaves_no_worker_of_a_front(
    tmp_path: Path, *, master_too: bool
) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, tmp_path / "s"], stdout=subprocess.PIPE, text=True) as engine:
        front, every = json.loads(engine.stdout.readline() if engine.stdout else "")
        assert len(front) == 1 + 2
        assert len(every) == 3 + 3
        guards = [one.pid for one in psutil.Process(engine.pid).children() if "guard.py" in " ".join(one.cmdline())]
        assert len(guards) == 2
        strike([engine.pid, *guards, *(front[:1] if master_too else [])])
    assert eventually(lambda: all(map(gone, every)))


KILLED = [
    pytest.param(("nginx: master",), "its front nginx was killed by SIGKILL", id="the-front"),
    pytest.param(("nginx: worker",), "1 of the processes of its front nginx ended", id="a-worker-of-the-front"),
    pytest.param(("serve_waitress",), "waitress behind nginx was killed by SIGKILL", id="the-server"),
]


@pytest.mark.parametrize(("words", "told"), KILLED)
def test_a_part_that_is_killed_in_mid_trial_fails_it_by_name_and_no_other(
    words: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    def kill() -> None:
        victims = ours(*words)
        os.kill(victims[-1].pid, signal.SIGKILL)

    run = run_of(tmp_path, "nginx+waitress", "uvicorn-h11", listener=Acting(kill, "nginx+waitress"), window_s=2.0)
    failed = trial_of(run, "nginx+waitress")
    assert failed.status == "failed"
    assert failed.failure is not None
    assert failed.failure.reason == "crashed"
    assert told in failed.failure.detail
    assert failed.rps is None
    assert failed.front is not None
    assert failed.front.cpu_s is None
    assert trial_of(run, "uvicorn-h11").status == "ok"
    assert ours("nginx") == []


def test_a_part_that_was_stopped_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    process = ServerProcess.__new__(ServerProcess)
    fronted = choose_servers(load(), ["nginx+waitress"])[0][0]
    process.spec = cast("ServerSpec", SimpleNamespace(entry=fronted))
    with subprocess.Popen(SLEEP) as runs, subprocess.Popen(SLEEP) as stands:
        try:
            psutil.Process(stands.pid).suspend()
            os.waitid(os.P_PID, stands.pid, os.WSTOPPED | os.WNOWAIT)
            for pids, told in (
                ({"its front nginx": (stands.pid,), "waitress": (runs.pid,)}, "its front nginx was stopped"),
                ({"its front nginx": (runs.pid, stands.pid)}, "1 of the processes of its front nginx was stopped"),
                ({"it": (runs.pid, stands.pid)}, "1 of its processes was stopped"),
                ({"it": (runs.pid,)}, None),
            ):
                monkeypatch.setattr(ServerProcess, "pids_by_part", lambda _, pids=pids: pids)
                said = process.stopped()
                assert said == (None if told is None else f"{told} (SIGSTOP)")
                assert process._unready("refused") == (said or "refused, asked of its front nginx")
        finally:
            runs.kill()
            stands.kill()


def test_a_front_that_does_not_start_fails_its_deployment_with_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "fronts").mkdir()
    (tmp_path / "fronts" / "mine.py").write_text(
        "from sgibench.model import Front, FrontVariant, Need\n"
        "FRONT = Front(need=Need(name='nginx', how='apt-get install nginx-light'), homepage='',\n"
        "    files=lambda launch: {'nginx.conf': 'nonsense;'}, variants=(FrontVariant(id='broken', summary='.'),),\n"
        "    command=lambda launch: [launch.program, '-e', 'stderr', '-c', f'{launch.scratch}/nginx.conf'])\n"
    )
    run = run_of(tmp_path, "broken+waitress", "waitress", catalogues=(tmp_path,))
    failure = trial_of(run, "broken+waitress").failure
    assert failure is not None
    assert failure.reason == "exited"
    assert "its front mine ended with status 1" in failure.detail
    assert "unknown directive" in failure.log_tail
    assert trial_of(run, "waitress").status == "ok"


def test_a_balancer_hides_a_server_that_is_killed_and_says_what_was_lost_and_until_when(tmp_path: Path) -> None:
    run = run_of(tmp_path, "nginx-rr2+waitress", "waitress", scenarios=("failover",), window_s=8.0)
    (trial,) = run.trials  # one server alone can't have one of two taken away
    assert "one of 2 servers behind a front" in run.info.skipped["waitress in failover"]
    assert trial.server == "nginx-rr2+waitress"
    assert trial.status == "ok", trial.failure
    behaviour = trial.behaviour
    assert behaviour is not None
    assert [one.what for one in behaviour.happened] == ["server 1 of 2 killed", "server 1 of 2 started again"]
    assert behaviour.happened[0].at_s < behaviour.happened[1].at_s
    assert behaviour.lost == sum(trial.errors.values())
    assert behaviour.recovered_after_s is not None
    assert behaviour.reached is not None
    assert trial.requests is not None
    # A request that its server took with it reached an app, too; one that nginx handed on again reached two.
    # What was in flight when the window began had reached one before.
    assert trial.requests - 8 <= behaviour.reached <= trial.requests + behaviour.lost + 64
    assert trial.requests + behaviour.lost == (trial.window.sent if trial.window else None)
    page = report.write(run, tmp_path).read_text(encoding="utf-8")
    assert "One server is killed, and comes back" in page
    assert "2 × waitress" in page


def test_a_cache_lets_one_of_many_through_where_it_is_told_to_and_all_that_ask_where_not(tmp_path: Path) -> None:
    servers = ("nginx-cache+waitress", "nginx-cache-lock+waitress", "nginx+waitress")
    loaders: list[bool] = []

    def end_the_loader() -> None:  # as it does by itself, a minute after nginx was started
        for one in ours("nginx: cache loader"):
            one.kill()
            loaders.append(True)

    listener = Acting(end_the_loader, servers[0])
    run = run_of(tmp_path, *servers, scenarios=("hot_page",), window_s=3.0, connections=(16,), listener=listener)
    assert loaders
    assert [one.not_as_declared for one in run.trials if one.not_as_declared] == []
    assert all(one.cpu_s for one in run.trials)
    found = {trial.server: trial for trial in run.trials}
    assert {trial.status for trial in run.trials} == {"ok"}, [trial.failure for trial in run.trials]
    free, locked, none = (found[name].behaviour for name in servers)
    assert free is not None
    assert locked is not None
    assert none is not None
    assert none.reached is not None
    # What was in flight at an edge of the window may have reached the app on its other side.
    assert abs(none.reached - (found["nginx+waitress"].requests or 0)) <= 16
    assert locked.reached is not None
    assert free.reached is not None
    assert locked.reached < (found["nginx-cache-lock+waitress"].requests or 0)
    assert max(locked.bursts) == 1
    assert max(free.bursts) > 1
    assert "Requests that reached the app" in report.write(run, tmp_path).read_text(encoding="utf-8")


def test_a_page_that_the_cache_holds_never_reaches_the_app_and_one_that_it_does_not_always_does(tmp_path: Path) -> None:
    run = run_of(
        tmp_path, "nginx-cache+waitress", "nginx+waitress", scenarios=("front_hit", "front_miss"), window_s=1.0
    )
    shares = {}
    for trial in run.trials:
        assert trial.status == "ok", trial.failure
        assert trial.behaviour is not None
        assert trial.behaviour.reached is not None
        assert trial.requests
        shares[trial.server, trial.scenario] = trial.behaviour.reached / trial.requests
    assert shares.pop(("nginx-cache+waitress", "front_hit")) < 0.3
    assert all(0.9 < share < 1.1 for share in shares.values()), shares
    assert "The same request in other ways" in report.write(run, tmp_path).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["nginx+uvicorn-httptools", "haproxy+uvicorn-httptools"])
def test_a_front_passes_events_on_as_they_come(name: str, tmp_path: Path) -> None:
    (entry,), app = choose_servers(FOUND, [name])[0], FOUND.app("asgi_plain")
    made = envs.ensure((*entry.variant.packages, *app.packages))
    settings = Settings(workers=1, threads=1)
    spec = ServerSpec(entry=entry, app=app, settings=settings, bin=made.bin, cpus=(), scratch=tmp_path / "s")

    def most_at_once(port: int) -> int:
        with socket.create_connection((HOST, port), timeout=60) as client:
            client.sendall(b"GET /stream/10?pause_ms=50 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            pieces: list[bytes] = []
            while not pieces or not pieces[-1].endswith(b"0\r\n\r\n"):
                pieces.append(client.recv(1 << 16))
        assert sum(piece.count(b"data: ") for piece in pieces) == 10
        return max(piece.count(b"data: ") for piece in pieces)

    with ServerProcess(spec) as process:
        process.wait_ready()
        # Held back for 200 ms, four come together each time; a machine that is busy may hold them up now and then.
        assert min(most_at_once(process.port) for _ in range(4)) <= 2


def logged(folder: Path) -> Path:
    """Add nginx with an access log to a catalogue, `logged`; gives the log: bytes, method and path of each request."""
    text = next(one for one in FOUND.fronts if one.id == "nginx").path.read_text(encoding="utf-8")
    log = folder / "access.log"
    kept = f"log_format it '$bytes_sent $request_method $request_uri'; access_log {log} it;"
    (folder / "fronts").mkdir()
    text = re.sub(r'(id=f?"|one=")nginx', r"\1logged", text.replace("access_log off;", kept))
    (folder / "fronts" / "logged.py").write_text(text, encoding="utf-8")
    return log


STATIC = 4
"""Kinds of requests of that scenario."""


def test_files_are_the_fronts_to_send_and_its_access_log_has_our_count_to_the_request(tmp_path: Path) -> None:
    log = logged(tmp_path)
    servers = ("nginx-static+waitress", "logged+waitress")
    run = run_of(tmp_path, *servers, scenarios=("static",), catalogues=(tmp_path,))
    window = trial_of(run, "logged+waitress").window
    assert window is not None
    assert window.sent is not None
    lines = [line.split() for line in log.read_text(encoding="utf-8").splitlines()]
    sizes = [int(size) for size, _, path in lines if path != "/pid"]
    asking = window.uncounted["asking which process answers"]
    # Besides, each kind of answer is asked for once beforehand, the first once more; /pid when ready, and afterwards.
    assert len(sizes) == window.sent + sum(window.uncounted.values()) - asking + STATIC + 1
    assert len(lines) - len(sizes) == asking + 2
    loaded = sizes[STATIC + 1 :]
    assert trial_of(run, "logged+waitress").answer_bytes == pytest.approx(sum(loaded) / len(loaded), rel=0.01)
    shares = {}
    for trial in run.trials:
        assert trial.status == "ok", trial.failure
        assert trial.front is not None
        assert trial.front.cpu_s is not None
        assert trial.cpu_s is not None
        shares[trial.server] = trial.front.cpu_s / trial.cpu_s
    assert shares["nginx-static+waitress"] > 0.9
    assert shares["logged+waitress"] < 0.9


def test_files_are_sent_from_a_folder_whose_name_holds_a_dollar(tmp_path: Path) -> None:
    front = next(one for one in FOUND.fronts if one.id == "nginx-static")
    waitress = next(one for one in FOUND.servers if one.id == "waitress")
    static = tmp_path / "my $HOME; $5" / "static"
    static.mkdir(parents=True)
    (static / "one.txt").write_text("found")
    program = need_program("nginx", front.need.how)
    where = Where(program=program, scratch=tmp_path, port=free_port(), static=static)
    launch = front_launch(waitress, front, launch_of(waitress), where)
    launch = replace(launch, user="root" if os.geteuid() == 0 else launch.user)
    for file, text in front.files(launch).items():
        (tmp_path / file).write_text(text)

    def answered() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{where.port}/static/one.txt", timeout=30) as answer:
                return bool(answer.read() == b"found")
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            return False

    nginx = subprocess.Popen(front.command(launch))
    try:
        assert eventually(answered)
    finally:
        nginx.terminate()
        nginx.wait(timeout=60)


def test_slow_clients_hold_up_threads_and_not_a_server_behind_a_front_that_buffers(tmp_path: Path) -> None:
    servers = ("nginx+gunicorn-gthread", "gunicorn-gthread")
    run = run_of(tmp_path, *servers, scenarios=("slow_clients",), window_s=2.0, threads=(4,))
    behind, alone = (trial_of(run, name) for name in servers)
    assert behind.status == "ok", behind.failure
    assert behind.behaviour is not None
    assert behind.behaviour.slow is not None
    assert behind.behaviour.slow > 32
    assert alone.status == "failed"
    assert alone.failure is not None
    assert alone.failure.reason in {"hung", "no-right-answer", "errors"}


def test_cgi_counts_what_its_processes_used_and_a_wrapper_that_is_killed_fails_it(tmp_path: Path) -> None:
    need_program("fcgiwrap", "apt-get install fcgiwrap")
    trial = trial_of(run_of(tmp_path, "cgi", window_s=2.0, connections=(2,)), "cgi")
    assert trial.status == "ok", trial.failure
    assert trial.front is not None
    assert trial.cpu_s is not None
    assert trial.front.cpu_s is not None
    assert trial.requests
    # Python itself needs some milliseconds to start; nginx and the wrapper alone need a hundredth of that.
    assert (trial.cpu_s - trial.front.cpu_s) / trial.requests > 0.003

    def kill() -> None:
        os.kill(ours("fcgiwrap", "-c")[0].pid, signal.SIGKILL)

    run = run_of(tmp_path / "killed", "cgi", listener=Acting(kill, "cgi"), window_s=3.0, connections=(2,))
    failure = trial_of(run, "cgi").failure
    assert failure is not None
    assert failure.reason == "crashed"
    assert "cgi behind nginx" in failure.detail
