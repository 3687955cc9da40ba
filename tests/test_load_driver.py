"""The load process obeys orders, counts what the server counts, and gives up on targets that are of no use."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sgibench import catalogue
from sgibench.bench.plan import make_cells
from sgibench.engine.orders import measured_of
from sgibench.engine.orders.reading import scenario_of
from sgibench.engine.trials import judge
from sgibench.model import Load, Settings
from sgibench.results.codec import encode
from tests.load_process import SCENARIOS, LoadProcess, accounted, load_process, measuring, target
from tests.measured import JSON, RIGHT, histogram, only
from tests.scripted_server import Script, Talk, answer, serving


def good(right: bytes = RIGHT, pid: int = 4711, wait_s: float = 0) -> Script:
    """Right answers, and a process id for those who ask."""

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            if wait_s:
                time.sleep(wait_s)
            is_pid = request.startswith(b"GET /pid ")
            talk.send(answer(b"%d" % pid) if is_pid else right)

    return script


@pytest.fixture(scope="module")
def process() -> Iterator[LoadProcess]:
    with load_process() as running:
        yield running


# --- describing ----------------------------------------------------------------------------------------------------


def test_it_describes_every_scenario_of_the_catalogue(process: LoadProcess) -> None:
    paths = sorted(SCENARIOS.glob("*.py"))
    described = process.ask(do="describe", scenarios=[str(path) for path in paths])["scenarios"]
    assert [scenario["id"] for scenario in described] == [path.stem for path in paths]
    assert all(scenario["summary"].endswith(".") for scenario in described)
    by_id = {scenario["id"]: scenario for scenario in described}
    assert by_id["wait"]["floor_s"] == 0.05
    assert by_id["json"]["timeout_s"] is None
    assert by_id["crud"]["exchanges"] == []
    assert by_id["json"]["exchanges"][0]["path"] == "/json"


def test_arrivals_of_a_scenario_are_those_of_its_fixed_rates(process: LoadProcess, tmp_path: Path) -> None:
    """And requests that come at random are asked in one window: a turn begins without those that wait by chance."""
    path = tmp_path / "by_chance.py"
    path.write_text(
        "from sgibench.load.user import *\nclass A(BenchUser):\n  arrivals = 'poisson'\n"
        "  requests = (get('/json', expect=b'{\"message\":\"Hello, World!\"}'),)"
    )
    (described,) = process.ask(do="describe", scenarios=[str(path)])["scenarios"]
    found = catalogue.load()
    pair = (found.server("waitress"), found.app("wsgi_plain"))
    asked = [Load(kind="open", connections=8, rate_per_s=200.0)]
    (cell,) = make_cells([pair], [scenario_of(described)], asked, [Settings(workers=1, threads=8)])
    assert cell.load.arrivals == "poisson"
    with serving(good()) as server:
        order = measuring(path, target(server), load=encode(cell.load), window_s=0.5, turn_s=0.1)
        window = process.ask(**order)["targets"][0]["window"]
    assert window["visits"] == "unbroken"
    assert "at random" in window["why"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "expected exactly one BenchUser class, but it declares none"),
        ("import nowhere_to_be_found", r"No module named 'nowhere_to_be_found' \(line 1\)"),
        ("def broken(:", r"SyntaxError.*\(line 1\)"),
        ("from sgibench.load.user import *\nclass A(BenchUser): pass", "A has neither"),
        ("from sgibench.load.user import *\nclass A(BenchUser):\n  requests = (get('json'),)", "starts with /"),
        ("from sgibench.load.user import *\nclass A(BenchUser):\n  requests = ('/json',)", "what get"),
        (
            "from sgibench.load.user import *\nclass A(BenchUser):\n  requests = (get('/'),)\n  floor_s = -1",
            "`floor_s` in seconds",
        ),
        *(
            (f"from sgibench.load.user import *\nclass A(BenchUser):\n  requests = (get('/'),)\n  {said}", told)
            for said, told in (
                ("floor_s = float('nan')", "`floor_s`: expected a number, got nan"),
                ("interfaces = 5", "`interfaces`: expected a tuple"),
                ("timeout_s = -1", "`timeout_s` in seconds, at most ten minutes, but it is -1"),
                ("terms = Terms(connections='8')", "`terms`.connections: expected a whole number, got '8'"),
                ("watched = Watched(incidents=(Incident(at=0.3, do='kill', server=3),), servers=2)", "of its servers"),
                ("beside = 5", r"`beside` to be Beside\(...\), but it is 5"),
                ("slow = 5", r"`slow` to be Slow\(...\), but it is 5"),
                ("rate = 'fast'", "`rate` in requests per second"),
                ("examples = {'GET /': 5}", "`examples` to map"),
                ("jobs = 'yes'", "`jobs`: expected True or False, got 'yes'"),
            )
        ),
        (
            "from sgibench.load.user import *\nclass A(BenchUser):\n  requests = (get('/', headers=(('X', '☃'),)),)",
            "values of Latin-1",
        ),
    ],
)
def test_a_broken_scenario_is_told_by_path_and_expectation(
    process: LoadProcess, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    failed = process.ask(do="describe", scenarios=[str(path)])
    assert (failed["did"], failed["kind"]) == ("error", "DeclarationError")
    assert failed["message"].startswith(f"{path}: expected ")
    assert re.search(message, failed["message"])
    assert "traceback" not in failed


def test_what_is_no_order_is_refused_with_one_line_and_the_process_goes_on(process: LoadProcess) -> None:
    assert process.process.stdin is not None
    process.process.stdin.write("nonsense\n")
    assert "expected an order" in process.answer()["message"]
    assert "unknown order 'dance'" in process.ask(do="dance")["message"]
    assert "can't be read" in process.ask(do="measure")["message"]
    bad = measuring(JSON, load={"kind": "open"})
    assert "a rate" in process.ask(**bad)["message"]


# --- counting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slice_s", [0.05, None], ids=["slices", "unbroken"])
def test_server_and_load_process_count_the_same_requests(process: LoadProcess, slice_s: float | None) -> None:
    with serving(good()) as server:
        result = only(process.ask(**measuring(JSON, target(server), slice_s=slice_s)))
        assert server.requests == accounted(result)
    assert result["errors"] == {}
    assert result["requests"] > 0
    assert histogram(result["histogram"]).count == result["requests"]
    assert result["window_s"] > 0.2  # a busy machine may make it longer
    assert result["requests_by_pid"] == {"4711": result["requests"]}
    if result["window"]["visits"] == "sliced":  # a very busy machine is too slow for slices
        assert sum(each["requests"] for each in result["slices"]) == result["requests"]
        assert sum(each["window_s"] for each in result["slices"]) == pytest.approx(result["window_s"])


def test_a_closed_loop_obeys_littles_law(process: LoadProcess) -> None:
    with serving(good(wait_s=0.01)) as server:
        result = only(process.ask(**measuring(JSON, target(server), slice_s=None, window_s=1.0)))
    busy = result["requests"] / result["window_s"] * result["mean_us"] / 1e6
    assert busy == pytest.approx(result["connections_established"], rel=0.05)


def test_all_targets_get_their_window_in_rounds_of_random_order(process: LoadProcess) -> None:
    with serving(good()) as one, serving(good()) as two, serving(good()) as three:
        servers = {"one": one, "two": two, "three": three}
        orders = [target(server, name) for name, server in servers.items()]
        measured = process.ask(**measuring(JSON, *orders))
        for result in measured["targets"]:
            assert servers[result["id"]].requests == accounted(result)
            assert result["window_s"] > 0.2  # a busy machine may make it longer
            assert {each["round"] for each in result["slices"]} == set(range(len(result["slices"])))


def test_cpu_of_the_server_process_is_read_over_the_counted_time(process: LoadProcess) -> None:
    with serving(good()) as server:  # it lives in this process, which so has the CPU time of the server and more
        result = only(process.ask(**measuring(JSON, target(server, pids=(os.getpid(),)))))
        assert 0 < result["cpu_s"] <= result["window_s"] * 2
        assert all(each["cpu_s"] >= 0 for each in result["slices"])
        gone = only(process.ask(**measuring(JSON, target(server, pids=(2**22 - 3,)))))
        assert gone["cpu_s"] is None


def test_a_load_of_closing_connections_counts_alike(process: LoadProcess) -> None:
    with serving(good()) as server:
        result = only(process.ask(**measuring(JSON, target(server), load={"connection": "close"})))
        assert server.requests == accounted(result)
        assert server.connections >= server.requests
    assert result["errors"] == {}
    assert result["requests_by_pid"] is None
    assert result["connect_us_p50"] > 0


def test_connections_that_the_server_closes_now_and_then_lose_no_request(process: LoadProcess) -> None:
    def script(talk: Talk) -> None:
        for _ in range(50):
            if talk.request() is None:
                return
            talk.send(RIGHT)
        if talk.request() is not None:
            talk.send(answer(b'{"message":"Hello, World!"}', "200 OK", "Connection: close"))

    with serving(script) as server:
        result = only(process.ask(**measuring(JSON, target(server), identify=False)))
        assert server.requests == accounted(result)
    assert result["errors"] == {}
    assert result["reopened"] > 0


def test_a_session_of_tasks_is_measured_like_declared_requests(process: LoadProcess) -> None:
    items: dict[bytes, dict[str, Any]] = {}
    lock = threading.Lock()

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            method, path, _ = request.split(b" ", 2)
            body = request.split(b"\r\n\r\n", 1)[1]
            with lock:
                talk.send(handle(method, path, body))

    def handle(method: bytes, path: bytes, body: bytes) -> bytes:
        if method == b"POST":
            number = len(items) + 1
            items[b"/items/%d" % number] = item = {"id": number, **json.loads(body)}
            return answer(json.dumps(item).encode(), "201 Created")
        if not items.get(path):
            return answer(b"", "404 Not Found")
        if method == b"DELETE":
            items[path] = {}
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        items[path] |= json.loads(body or b"{}")
        return answer(json.dumps(items[path]).encode())

    with serving(script) as server:
        for changes in ({}, {"slice_s": None, "load": {"kind": "open", "rate_per_s": 300.0}, "window_s": 1.0}):
            before = server.requests
            result = only(process.ask(**measuring(SCENARIOS / "crud.py", target(server), identify=False, **changes)))
            assert server.requests - before == accounted(result)
            assert result["errors"] == {}
            assert result["requests"] > 30
    assert result["achieved_rate_per_s"] == pytest.approx(300, rel=0.1)


# --- the open loop -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrivals", ["uniform", "poisson"])
def test_an_open_loop_keeps_the_rate_it_was_asked_for(process: LoadProcess, arrivals: str) -> None:
    load = {"kind": "open", "rate_per_s": 500.0, "arrivals": arrivals}
    with serving(good()) as server:
        result = only(process.ask(**measuring(JSON, target(server), load=load, window_s=2.0, awake=True)))
        assert server.requests == accounted(result)
    assert result["achieved_rate_per_s"] == pytest.approx(500, rel=0.03 if arrivals == "uniform" else 0.15)
    assert histogram(result["intended_histogram"]).count == result["requests"]
    # It waits awake just before each moment: CPU time that it had to spare.
    assert 0 < result["generator_utilisation"] < result["generator_cpu_s"] / result["window_s"]


def test_a_server_that_stops_for_a_second_shows_from_the_due_time_and_not_in_service_time(process: LoadProcess) -> None:
    began = time.monotonic()
    lock = threading.Lock()
    stop_at = [0.0]

    def script(talk: Talk) -> None:
        while talk.request() is not None:
            with lock:
                if stop_at[0] and time.monotonic() > stop_at[0]:
                    stop_at[0] = 0.0
                    time.sleep(1.0)
            talk.send(RIGHT)

    load = {"kind": "open", "rate_per_s": 400.0}
    with serving(script) as server:
        process.say(**measuring(JSON, target(server), load=load, window_s=5.0, identify=False))
        while process.read().get("phase") != "measure":
            assert time.monotonic() - began < 20
        stop_at[0] = time.monotonic() + 1.5
        result = only(process.answer())
        assert server.requests == accounted(result)
    from_due = histogram(result["intended_histogram"]).percentile_us(0.99)
    service = histogram(result["histogram"]).percentile_us(0.99)
    assert from_due is not None
    assert service is not None
    assert from_due >= 900_000
    assert service < 500_000
    assert result["max_us"] >= 900_000
    assert result["queue_max"] > 100
    assert result["errors"] == {}


# --- trouble -------------------------------------------------------------------------------------------------------


def test_wrong_answers_are_counted_by_kind_and_never_as_requests(process: LoadProcess) -> None:
    def script(talk: Talk) -> None:
        count = 0
        while talk.request() is not None:
            count += 1
            talk.send(answer(b'{"message":"Hello, Wirld!"}') if count % 3 == 0 else RIGHT)

    with serving(script) as server:
        result = only(process.ask(**measuring(JSON, target(server), identify=False)))
        assert server.requests == accounted(result)
    assert set(result["errors"]) == {"body"}
    assert "Wirld" in result["error_samples"]["body"]
    assert result["errors"]["body"] == pytest.approx(result["requests"] / 2, rel=0.2)


@pytest.mark.parametrize("slice_s", [0.05, None], ids=["slices", "unbroken"])
@pytest.mark.parametrize("later_s", [0.0005, 0.005])
def test_a_server_that_sends_every_answer_twice_has_no_result(
    process: LoadProcess, later_s: float, slice_s: float | None
) -> None:
    def script(talk: Talk) -> None:
        while talk.request() is not None:
            talk.send(RIGHT, RIGHT, pause_s=later_s)

    with serving(script) as server:
        result = only(process.ask(**measuring(JSON, target(server), slice_s=slice_s, identify=False)))
    failure = judge(measured_of(result), "")
    assert failure is not None
    assert failure.reason == "wrong-answer"
    assert "leftover" in failure.detail


def test_thousands_of_interim_answers_are_a_named_error_and_the_order_goes_on(process: LoadProcess) -> None:
    def script(talk: Talk) -> None:
        while talk.request() is not None:
            talk.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000 + RIGHT)

    with serving(script) as endless, serving(good()) as right:
        order = measuring(JSON, target(endless, "endless"), target(right, "right"), warmup_s=0.5)
        bad, fine = process.ask(**order)["targets"]
    assert bad["gave_up"]["reason"] == "no-right-answer"
    assert "too-large: /json: expected at most 100 interim answers" in bad["gave_up"]["detail"]
    assert fine["requests"] > 0


def test_a_target_that_only_answers_wrongly_is_given_up_and_the_others_are_measured(process: LoadProcess) -> None:
    with serving(good(answer(b"no"))) as wrong, serving(good()) as right:
        measured = process.ask(**measuring(JSON, target(wrong, "wrong"), target(right, "right")))
    bad, fine = measured["targets"]
    assert bad["gave_up"]["reason"] == "no-right-answer"
    assert "expected 27 bytes" in bad["gave_up"]["detail"]
    assert bad["requests"] == 0
    assert fine["gave_up"] is None
    assert fine["requests"] > 0


def test_a_target_that_hangs_is_given_up_after_its_time_out(process: LoadProcess) -> None:
    def script(talk: Talk) -> None:
        while talk.request() is not None:
            pass

    with serving(script) as hung, serving(good()) as right:
        order = measuring(JSON, target(hung, "hung"), target(right, "right"), timeout_s=2.0)
        bad, fine = process.ask(**order)["targets"]
    assert bad["gave_up"]["reason"] == "hung"
    assert fine["requests"] > 0


def test_a_target_where_nobody_listens_is_given_up(process: LoadProcess) -> None:
    with serving(good()) as gone, serving(good()) as right:
        gone.close()
        bad, fine = process.ask(**measuring(JSON, target(gone, "gone"), target(right, "right")))["targets"]
    assert bad["gave_up"]["reason"] == "refused"
    assert fine["requests"] > 0


def test_a_dropped_target_is_not_visited_again_and_keeps_what_it_counted(process: LoadProcess) -> None:
    with serving(good()) as one, serving(good()) as two:
        process.say(**measuring(JSON, target(one, "one"), target(two, "two"), window_s=2.0))
        process.until_measuring()
        process.say(do="drop", target="one", reason="its process died")
        dropped, other = process.answer()["targets"]
    assert dropped["gave_up"] == {"reason": "gone", "detail": "its process died"}
    assert dropped["window_s"] < other["window_s"]
    assert other["window_s"] > 1.8  # a busy machine may make it longer


@pytest.mark.parametrize("slice_s", [0.05, None], ids=["slices", "unbroken"])
def test_an_abort_ends_soon_and_brings_what_was_measured(process: LoadProcess, slice_s: float | None) -> None:
    with serving(good()) as server:
        process.say(**measuring(JSON, target(server), window_s=60.0, slice_s=slice_s))
        process.until_measuring()
        time.sleep(0.3)
        asked = time.monotonic()
        process.say(do="abort")
        measured = process.answer()
        assert time.monotonic() - asked < 30  # of 60
    assert measured["aborted"] is True
    assert 0 < only(measured)["window_s"] < 5
    assert only(measured)["requests"] > 0


def test_progress_is_told_but_not_too_often(process: LoadProcess) -> None:
    with serving(good()) as server:
        process.events.clear()
        began = time.monotonic()
        process.ask(**measuring(JSON, target(server), window_s=1.5))
        assert 2 <= len(process.events) <= 4 * (time.monotonic() - began) + 1
    assert all(0 <= event["done"] <= 1 for event in process.events)


# --- calibration and the end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", sorted(set(SCENARIOS.glob("*.py")) - {SCENARIOS / "wait.py"}), ids=lambda path: path.stem
)
def test_every_scenario_can_be_calibrated(process: LoadProcess, path: Path) -> None:
    calibrated = process.ask(do="calibrate", scenario=str(path), window_s=0.05)
    assert calibrated["did"] == "calibrate", calibrated
    assert calibrated["scenario"] == path.stem
    assert calibrated["rps_per_core"] == pytest.approx(calibrated["requests"] / calibrated["cpu_s"])


def test_it_stops_when_told_ignores_control_c_and_ends_with_its_input() -> None:
    with load_process() as running:
        assert running.ask(do="describe", scenarios=[])["did"] == "describe"
        running.process.send_signal(signal.SIGINT)
        assert running.ask(do="describe", scenarios=[])["did"] == "describe"
        assert running.ask(do="stop") == {"did": "stop"}
        assert running.process.wait(60) == 0
    with load_process() as running, serving(good()) as server:
        running.say(**measuring(JSON, target(server), window_s=60.0))
        running.until_measuring()
        running.close()
        assert running.process.returncode == 0
