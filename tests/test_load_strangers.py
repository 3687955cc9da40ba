"""Time that is taken for nobody: a turn in which it was much is made again, nothing is lost, helpers are no strangers.

No test can make a hypervisor take time, so where that is needed the load process is told of ticks that go by the clock.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from sgibench.load.strangers import CLOCKWORK, Strangers, clockwork, ran_on, stolen_ns
from sgibench.machine import LINUX, cpu_ns
from tests.load_process import LoadProcess, load_process
from tests.measured import RIGHT, Numbered, StopsForASecond, at_rate, measured, percentile_ms, share_above, steady
from tests.scripted_server import Talk

pytestmark = pytest.mark.skipif(not LINUX, reason="only Linux says who took time from a CPU")

REASON = "turns that somebody else disturbed"
TURNS: dict[str, Any] = {"turn_s": 0.1, "window_s": 1.0, **at_rate(300.0, 8)}
STOLEN = """
import time
from sgibench.load import strangers
strangers.stolen_ns = lambda cpus: int(time.monotonic() * {per_s}) * 10_000_000
"""
BURN = """
import time
def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until: pass
"""


@contextmanager
def ticking(per_s: float) -> Iterator[LoadProcess]:
    """A load process that sees so many ticks a second taken."""
    with load_process(script=STOLEN.format(per_s=per_s)) as process:
        yield process


@contextmanager
def stranger(folder: Path, name: str, work: str) -> Iterator[int]:
    """Run lines of Python in a process of such a name that has no parent here; gives its pid."""
    way = folder / name
    way.write_text(f"#!{sys.executable} -SE\n{BURN}{work}\n")
    way.chmod(0o755)
    command = ["/bin/sh", "-c", f"'{way}' >/dev/null 2>&1 & echo $!"]
    pid = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_turn_in_which_time_was_taken_is_made_again_and_its_requests_are_told_apart() -> None:
    """Three ticks a second."""
    with ticking(3) as process:
        result = measured(process, steady(0.0005), **TURNS)  # the server's books agree, or this fails
    window = result["window"]
    assert window["visits"] == "turns"
    assert window["set_aside"]["the hypervisor"] > 0
    assert sum(window["set_aside"].values()) <= window["pieces"]
    assert window["uncounted"][REASON] > 0
    assert result["window_s"] == pytest.approx(1.0, abs=0.1)
    assert window["due"] == window["sent"] == result["requests"] == sum(result["intended_histogram"]["counts"])
    assert sum(each["requests"] for each in result["slices"]) == result["requests"]
    assert result["errors"] == window["errors_outside"] == {}


def test_a_turn_in_which_something_failed_counts_whoever_took_time() -> None:
    """In every turn some answers are wrong."""

    def act(talk: Talk, number: int) -> None:
        talk.send(RIGHT.replace(b"200 OK", b"500 Oh") if number % 10 == 0 else RIGHT)

    with ticking(3) as process:
        result = measured(process, Numbered(act), **TURNS)
    window = result["window"]
    assert window["disturbed"]["the hypervisor"] > 0
    assert window["set_aside"] == {}
    assert REASON not in window["uncounted"]
    assert sum(result["errors"].values()) == pytest.approx(window["sent"] / 10, abs=2)


def test_from_the_first_failure_on_all_turns_of_that_server_count() -> None:
    """If only turns without one were made again, one failure in 150 requests would be counted as one in 75."""
    begun = threading.Event()
    left = iter(range(60))

    def act(talk: Talk, number: int) -> None:  # noqa: ARG001 - all are alike
        fails = begun.is_set() and next(left, None) is not None
        talk.send(RIGHT.replace(b"200 OK", b"500 Oh") if fails else RIGHT)

    with ticking(5) as process:
        result = measured(process, Numbered(act), at=0.0, then=begun.set, **{**TURNS, "window_s": 2.0})
    window = result["window"]
    assert result["errors"]["status"] > 0
    assert window["disturbed"]["the hypervisor"] > 2
    assert sum(window["set_aside"].values()) <= 2


@pytest.mark.parametrize("turn_s", [0.03, 0.3])
def test_a_turn_in_which_a_server_stopped_for_long_counts_whoever_took_time(turn_s: float) -> None:
    """It stops once, for a second, in the first turn, and time is taken in each of them."""
    server = StopsForASecond()
    with ticking(10) as process:
        result = measured(
            process,
            server,
            at=0.0,
            then=server.stop,
            turn_s=turn_s,
            window_s=2.0,
            **at_rate(200.0, 128),
            timeout_s=60.0,
        )
    window = result["window"]
    assert window["visits"] == "turns"
    assert window["disturbed"]["the hypervisor"] > 0
    assert percentile_ms(result, 0.999, "intended_histogram") >= 700


def test_where_most_turns_are_disturbed_they_count_as_they_come() -> None:
    with ticking(1000) as process:
        result = measured(process, steady(0.0005), **TURNS)
    window = result["window"]
    assert result["window_s"] == pytest.approx(1.0, abs=0.1)
    assert window["disturbed"] == {"the hypervisor": window["pieces"]}
    assert sum(window["set_aside"].values()) <= window["pieces"]
    assert window["due"] == window["sent"] == result["requests"]


@pytest.mark.parametrize(
    "own_work", ["", "threading.Thread(target=at_rest, daemon=True).start()"], ids=["idle", "busy"]
)
def test_a_helper_of_a_server_is_no_stranger_however_rarely_it_works(tmp_path: Path, own_work: str) -> None:
    """Ten requests in a row of every 300 are answered by a process that belongs to nobody, for 6 ms of its CPU each.

    The second helper works for itself, too, when nobody is asked.
    """
    address = str(tmp_path / "asked")
    work = f"""
import socket, threading
def at_rest():
    while True: burn(0.05); time.sleep(1)
{own_work}
asked = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
asked.bind({address!r})
while True:
    _, sender = asked.recvfrom(10)
    burn(0.006)
    asked.sendto(b"done", sender)
"""
    one_at_a_time = threading.Lock()
    with (
        load_process() as process,
        stranger(tmp_path, "helper", work),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asks,
    ):
        asks.bind(f"{address}-back")
        await_there(Path(address).exists)

        def act(talk: Talk, number: int) -> None:
            if number % 300 < 10:
                with one_at_a_time:
                    asks.sendto(b"do", address)
                    asks.recv(10)
            talk.send(RIGHT)

        result = measured(process, Numbered(act), **{**TURNS, "window_s": 4.0})
    assert "helper" not in result["window"]["set_aside"]
    assert share_above(result, 0.006) > 0.02
    assert percentile_ms(result, 0.99, "intended_histogram") > 6


def await_there(there: Callable[[], bool]) -> None:
    """Wait for as long as a very busy machine may need."""
    for _ in range(6000):
        if there():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come within a minute")


def test_an_init_that_works_more_while_servers_are_asked_may_work_for_them(tmp_path: Path) -> None:
    """A process is taken for init that works for 20 ms in each turn; first it did so at rest, too, then it did not."""
    go, gone = tmp_path / "go", tmp_path / "gone"
    os.mkfifo(go)
    work = f"""
while True:
    open({str(go)!r}).read()
    burn(0.02)
    open({str(gone)!r}, "w").close()
"""

    def at_work() -> None:
        gone.unlink(missing_ok=True)
        go.write_text("go")
        await_there(gone.exists)

    def turn(strangers: Strangers) -> dict[str, int]:
        strangers.look()
        strangers.start()
        at_work()
        return strangers.used()

    cpus = range(os.cpu_count() or 1)
    with stranger(tmp_path, "first", work) as pid:
        busy = Strangers(pid)
        for _ in range(20):
            at_work()
            time.sleep(0.06)
        busy.begin_order(cpus)
        found = turn(busy)
        now_ns = cpu_ns(pid)
        assert now_ns is not None
        assert 20e6 <= found["first"] <= now_ns
        busy.end_order()

        idle = Strangers(pid)
        time.sleep(1.1)
        idle.begin_order(cpus)
        assert "first" not in [turn(idle) for _ in range(8)][-1]


def test_only_threads_of_the_kernel_that_go_by_a_clock_of_their_own_are_strangers() -> None:
    for pid, name in clockwork().items():
        assert psutil.Process(pid).ppid() == 2
        assert psutil.Process(pid).name() == name
        assert name.startswith(CLOCKWORK)


def test_time_is_taken_for_stolen_as_the_system_says_and_only_on_our_cpus() -> None:
    cpus = frozenset(range(os.cpu_count() or 1))
    before = sum(each.steal for each in psutil.cpu_times(percpu=True))
    found = stolen_ns(cpus) / 1e9
    assert before - 0.001 <= found <= sum(each.steal for each in psutil.cpu_times(percpu=True)) + 0.001
    assert stolen_ns(frozenset()) == 0


def test_where_a_process_ran_last_is_one_of_the_cpus_and_unknown_once_it_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-SEc", ""]) as gone:
        pass
    assert ran_on(os.getpid()) in range(os.cpu_count() or 1)
    assert ran_on(gone.pid) is None
