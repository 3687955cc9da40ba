"""Each scenario is a plain locustfile that Locust runs by itself, and its name breaks nobody else's import."""

from __future__ import annotations

import base64
import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.load_process import SCENARIOS, load_process

AT_ONCE = 10
"""So many are started together."""
NAMES = sorted(path.stem for path in SCENARIOS.glob("*.py"))
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "LOCUST_SKIP_MONKEY_PATCH"}


@contextmanager
def answering(*groups: Sequence[str]) -> Iterator[list[str]]:
    """Run a server with the right answers of each group of scenarios; gives their addresses.

    Scenarios that ask alike and expect other answers, as `crud` and `site` do, can't be of one group.
    """
    program = (
        "import contextlib, sys; from pathlib import Path\n"
        "from sgibench.load.calibrate import answers_of\n"
        "from sgibench.load.loading import load_scenario\n"
        "from sgibench.load.null_server import null_server\n"
        "with contextlib.ExitStack() as running:\n"
        "    hosts = []\n"
        "    for group in sys.argv[1:]:\n"
        "        answers, exact = {}, {}\n"
        "        for path in map(Path, group.split(',')):\n"
        "            answers |= answers_of(path, load_scenario(path))\n"
        "            exact |= load_scenario(path).rehearsal()[1]\n"
        "        host, port, _ = running.enter_context(null_server(answers, exact))\n"
        "        hosts.append(f'http://{host}:{port}')\n"
        "    print(*hosts, flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            program,
            *(",".join(str(SCENARIOS / f"{name}.py") for name in names) for names in groups),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def locust(*arguments: str) -> subprocess.Popen[str]:
    """Start Locust as a user would."""
    return subprocess.Popen(
        [sys.executable, "-m", "locust", "--headless", "-u", "5", "-r", "5", "-t", "2s", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
    )


def rows(prefix: Path) -> list[dict[str, str]]:
    """What Locust wrote into its statistics file, up to a second before the end."""
    with prefix.with_name(prefix.name + "_stats.csv").open() as file:
        return list(csv.DictReader(file))


def finished(run: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = run.communicate(timeout=300)  # several start at once, on a machine that others use too
    assert run.returncode == code, output
    return output


def entries(run: subprocess.Popen[str], code: int = 0) -> list[dict[str, Any]]:
    """What Locust printed in the end with --json: one object per request name."""
    output = finished(run, code)
    found: list[dict[str, Any]] = json.JSONDecoder().raw_decode(output, output.index("[\n"))[0]  # its log goes on
    return found


def test_every_scenario_runs_under_plain_locust_without_a_failure() -> None:
    found: dict[str, list[dict[str, Any]]] = {}
    for names in (NAMES[first : first + AT_ONCE] for first in range(0, len(NAMES), AT_ONCE)):
        with answering(*([name] for name in names)) as hosts:
            named = zip(names, hosts, strict=True)
            runs = {name: locust("-f", str(SCENARIOS / f"{name}.py"), "--host", host, "--json") for name, host in named}
            found |= {name: entries(run) for name, run in runs.items()}
    for name, listed in found.items():
        assert sum(entry["num_requests"] for entry in listed) > 5, name
        assert sum(entry["num_failures"] for entry in listed) == 0, name
        assert all(0 < entry["min_response_time"] <= entry["max_response_time"] < 5000 for entry in listed), name


def test_latencies_below_a_millisecond_are_told_apart(tmp_path: Path) -> None:
    with answering(["json"]) as (host,):
        finished(
            locust(
                *("-f", str(SCENARIOS / "json.py"), "--host", host),
                *("--csv", str(tmp_path / "json"), "--html", str(tmp_path / "json.html"), "-t", "3s"),
            )
        )
    total = rows(tmp_path / "json")[-1]
    assert 0 < float(total["Median Response Time"]) != round(float(total["Median Response Time"]))
    assert "/json" in (tmp_path / "json.html").read_text()


def test_distributed_mode_adds_up_what_its_workers_counted(tmp_path: Path) -> None:
    with answering(["json", "crud"]) as (host,):
        files = f"{SCENARIOS / 'json.py'},{SCENARIOS / 'crud.py'}"
        output = finished(
            locust("-f", files, "--host", host, "--csv", str(tmp_path / "two"), "--processes", "2", "-t", "4s")
        )
    found = {row["Name"]: row for row in rows(tmp_path / "two")}
    assert "2 workers" in output or "worker" in output
    assert {"/json", "/items", "/items/{id}", "Aggregated"} <= found.keys()
    assert int(found["Aggregated"]["Request Count"]) > 100
    assert int(found["Aggregated"]["Failure Count"]) == 0


def test_a_server_that_is_not_there_is_a_failure_in_locusts_statistics() -> None:
    for name in ("json", "crud"):
        (entry,) = entries(
            locust("-f", str(SCENARIOS / f"{name}.py"), "--host", "http://127.0.0.1:9", "--json"), code=1
        )
        assert entry["method"] == "CONNECT"
        assert entry["num_failures"] == entry["num_requests"] > 0


def test_a_host_that_is_no_address_is_told_in_one_line() -> None:
    output = finished(locust("-f", str(SCENARIOS / "json.py"), "--host", "ftp://nowhere"), code=2)
    assert "expected a host such as http://127.0.0.1:8000" in output


def test_a_scenario_named_like_a_standard_module_takes_nobodys_name() -> None:
    program = (
        "import sys\n"
        "from locust.util.load_locustfile import load_locustfile\n"
        "classes, _ = load_locustfile(sys.argv[1])\n"
        "import json, json.decoder\n"
        "assert json.loads('[1]') == [1], json\n"
        "assert json.__file__.endswith('json/__init__.py'), json.__file__\n"
        "assert list(classes) == ['Json'], classes\n"
        "import subprocess, email, http.client, logging.config\n"
        "print('fine')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(SCENARIOS / "json.py")],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.stdout == "fine\n", done.stderr


@pytest.mark.parametrize("module", ["queue", "select", "statistics", "socket"])
def test_even_a_scenario_named_like_a_module_locust_lives_on_harms_nothing(tmp_path: Path, module: str) -> None:
    scenario = tmp_path / f"{module}.py"
    scenario.write_text((SCENARIOS / "json.py").read_text())
    with answering(["json"]) as (host,):
        (entry,) = entries(locust("-f", str(scenario), "--host", host, "--json", "-t", "1s"))
    assert entry["num_requests"] > 20


def test_the_expected_answers_are_those_that_the_contract_names() -> None:
    with load_process() as process:
        paths = [str(SCENARIOS / f"{name}.py") for name in NAMES]
        described = process.ask(do="describe", scenarios=paths)["scenarios"]
    exchanges = {scenario["id"]: scenario["exchanges"] for scenario in described}
    expected = {
        name: base64.b64decode(found[0]["expected_b64"])
        for name, found in exchanges.items()
        if found and found[0]["expected_b64"]
    }
    assert expected["plaintext"] == b"Hello, World!"
    assert json.loads(expected["json"]) == {"message": "Hello, World!"}
    assert len(expected["bytes"]) == 10_240
    assert expected["wait"] == b"waited 50 ms"
    assert expected["echo"] == base64.b64decode(exchanges["echo"][0]["body_b64"])
    assert len(expected["cpu"]) == 16
