"""The command line: wrong words get one clear line and exit 2, machines get JSON, help shows examples."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sgibench.cli import COMMANDS
from tests.in_process import inside

FAULTY = Path(__file__).parent / "faulty"


def sgibench(*arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sgibench.cli", *arguments],
        capture_output=True,
        check=False,
        text=True,
        cwd=cwd,
        timeout=120,
        env={**os.environ, **variables},
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert "Traceback" not in done.stderr
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_list_tells_machines_what_there_is() -> None:
    told = json.loads(sgibench("list", "--json").stdout)
    assert {"id": "waitress", "interface": "wsgi"}.items() <= next(
        server for server in told["servers"] if server["id"] == "waitress"
    ).items()
    assert {"wsgi_plain", "asgi_plain"} <= {app["id"] for app in told["apps"]}
    assert {"plaintext", "json", "bytes", "echo", "wait", "cpu", "crud", "page"} <= {
        scenario["id"] for scenario in told["scenarios"]
    }


def test_calibrate_tells_the_generators_ceiling_of_each_scenario() -> None:
    words = ("calibrate", "--scenario", "json", "--scenario", "page", "--window", "200ms", "--repeats", "1")
    told = json.loads(sgibench(*words, "--json").stdout)
    assert [one["scenario"] for one in told] == ["json", "page"]
    for one in told:
        assert one["rps_per_core"] == pytest.approx(one["requests"] / one["cpu_s"])
        assert 0 < one["utilisation"] <= 1.1
    assert "did you mean json" in one_line(sgibench("calibrate", "--scenario", "jsn"))


def test_list_reads_like_a_menu() -> None:
    done = sgibench("list")
    assert done.returncode == 0
    for word in ("WSGI servers", "ASGI servers", "Apps", "Scenarios", "Profiles", "granian-asgi", "wait", "quick"):
        assert word in done.stdout
    assert "\x1b" not in done.stdout  # no colours in a pipe


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--server", "uvicron-h11"], "uvicorn-h11"),
        (["--scenario", "jsn"], "json"),
        (["--app", "wsgi_plian"], "wsgi_plain"),
        (["--profile", "quik"], "quick"),
        (["--server", "waitress", "--app", "asgi_plain"], "nothing to measure"),
        (["--protocol", "https", "--streams", "4"], "over https a connection carries one request at a time"),
        (["--catalogue", "/nowhere/at/all"], "expected a folder with apps/"),
        (["--server-cpus", "one"], "expected CPUs such as 0,2-3"),
        (["--server-cpus", "4095"], "this process may use"),
        (["--window", "1ns"], "expected at least 10.0 ms, got 0.00100 µs"),
        (["--rate", "fast"], "expected requests per second from 0.0001, a share such as 50%, auto or none, got 'fast'"),
        (["--rate", "150%"], "expected a share from 0.01"),
        (["--rate", "25%", "--rate-of", "latest"], "--rate and --rate-of name the rate twice"),
        (["--rate", "0.001"], "not one request is due in a window of 5.00 s: raise it to at least 0.2"),
        (["--rate", "2", "--window", "100ms"], "raise it to at least 10, or --window to 500 ms"),
    ],
)
def test_an_unknown_name_gets_one_line_with_the_nearest_ones(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = inside(tmp_path, "run", "--quiet", *arguments)
    assert done.returncode == 2
    assert words in one_line(done)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--blocks", "0"], ["--window", "fast"], ["--slice", "-1s"], ["--nonsense"]])
def test_a_value_that_cannot_be_is_refused_with_exit_2(tmp_path: Path, arguments: list[str]) -> None:
    done = inside(tmp_path, "run", *arguments)
    assert done.returncode == 2
    assert "(more: sgibench run --help)" in one_line(done)


@pytest.mark.parametrize(
    ("room", "text", "words"),
    [
        ("servers", "SERVER = 1", "expected SERVER = Server"),
        ("scenarios", "x = 1", "broken.py: expected"),
        ("apps", "INTERFACE = 'cgi'", "expected INTERFACE"),
    ],
)
def test_a_broken_declaration_is_named_with_its_path_and_exit_2(
    tmp_path: Path, room: str, text: str, words: str
) -> None:
    (tmp_path / room).mkdir()
    (tmp_path / room / "broken.py").write_text(text)
    done = sgibench(
        "run", "--quiet", "--catalogue", str(tmp_path), "--scenario", "*", "--server", "waitress", cwd=tmp_path
    )
    assert done.returncode == 2, done.stderr
    line = one_line(done)
    assert str(tmp_path / room / "broken.py") in line
    assert words in line


def test_a_results_folder_that_cannot_be_written_stops_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    done = sgibench("run", "--quiet", "--server", "waitress", "--results", str(tmp_path / "taken"), cwd=tmp_path)
    assert done.returncode == 2 or "can't write results" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_environment_at_all_is_one_line_and_exit_1(tmp_path: Path) -> None:
    (tmp_path / "servers").mkdir()
    text = (FAULTY / "servers" / "faulty.py").read_text().replace("waitress==3.0.2", "waitress==99.99.99")
    (tmp_path / "servers" / "faulty.py").write_text(text)
    done = sgibench(
        *["run", "--quiet", "--catalogue", str(tmp_path), "--server", "faulty-none"],
        cwd=tmp_path,
        SGIBENCH_CACHE=str(tmp_path / "cache"),
    )
    assert done.returncode == 1
    assert "not one environment could be made" in one_line(done)


def test_a_server_without_an_environment_is_skipped_by_name_and_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "servers").mkdir()
    text = (FAULTY / "servers" / "faulty.py").read_text().replace("waitress==3.0.2", "waitress==99.99.99")
    (tmp_path / "servers" / "faulty.py").write_text(text)
    done = sgibench(
        *["run", "--json", "--catalogue", str(tmp_path), "--server", "faulty-none", "--server", "waitress"],
        *["--scenario", "json", "--blocks", "1", "--window", "0.2s", "--connections", "4"],
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "skipped faulty-none: " in done.stderr
    told = json.loads(done.stdout)
    assert Path(tmp_path / told["run"]).is_dir()
    assert Path(tmp_path / told["report"]).is_file()
    assert "waitress" in json.dumps(told["summary"])


def test_a_run_in_which_everything_failed_exits_1(tmp_path: Path) -> None:
    done = sgibench(
        *["run", "--quiet", "--catalogue", str(FAULTY), "--server", "faulty-exits-at-start", "--scenario", "json"],
        *["--blocks", "1", "--window", "0.2s"],
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "exited" in done.stdout


def test_check_says_yes_for_a_server_that_holds_the_contract(tmp_path: Path) -> None:
    done = sgibench("check", "waitress", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [(one["server"], one["status"]) for one in json.loads(done.stdout)] == [("waitress", "ok")]


def test_check_chooses_a_server_for_each_app_that_is_named_without_one(tmp_path: Path) -> None:
    done = sgibench("check", "--app", "*_plain", "--app", "asgi_anyio", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    checked = {one["app"]: (one["server"], one["status"]) for one in json.loads(done.stdout)}
    stored = {app for app in checked if app.endswith("+postgresql")}  # where PostgreSQL is installed
    assert {checked.pop(app) for app in stored} <= {("gunicorn-gthread", "ok"), ("uvicorn-httptools", "ok")}
    assert checked == {
        "wsgi_plain": ("gunicorn-gthread", "ok"),
        "asgi_plain": ("uvicorn-httptools", "ok"),
        "asgi_anyio": ("uvicorn-httptools", "ok"),
        "rsgi_plain": ("granian-rsgi", "ok"),
    }
    done = sgibench("check", "--protocol", "h2", "waitress", cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing was checked: waitress: it does not speak h2" in one_line(done)
    done = sgibench("check", cwd=tmp_path)
    assert done.returncode == 2
    assert "name the servers or apps (--app) to check" in one_line(done)


@pytest.mark.parametrize("scenario", ["failover", "tls_full"])
def test_the_web_ui_does_not_open_with_a_scenario_that_it_can_not_put_on(tmp_path: Path, scenario: str) -> None:
    done = sgibench("ui", "--server", "nginx-rr2+waitress", "--scenario", scenario, cwd=tmp_path)
    assert done.returncode == 2
    assert f"--scenario: {scenario} is put on by sgibench run alone" in one_line(done)


def test_check_says_no_with_exit_1_and_names_what_was_wrong(tmp_path: Path) -> None:
    done = sgibench("check", "faulty-wrong-answer", "--catalogue", str(FAULTY), cwd=tmp_path)
    assert done.returncode == 1
    assert "/json" in done.stdout


def test_doctor_says_what_it_found_and_how_to_mend_it() -> None:
    done = sgibench("doctor", "--json")
    found = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert {"python", "cpus", "environments", "results", "cpu clocks"} <= found.keys()
    for finding in found.values():
        assert finding["state"] in {"fine", "limited", "broken"}
        assert finding["detail"]
    assert done.returncode == (1 if any(one["state"] == "broken" for one in found.values()) else 0)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_helps_with_an_example(name: str, tmp_path: Path) -> None:
    done = inside(tmp_path, name, "--help")
    assert done.returncode == 0
    assert "Example: sgibench" in done.stdout


def test_report_without_a_run_says_how_to_get_one(tmp_path: Path) -> None:
    done = sgibench("report", cwd=tmp_path)
    assert done.returncode == 2
    assert "start one with sgibench run" in one_line(done)
