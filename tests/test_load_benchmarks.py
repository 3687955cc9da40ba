"""The benchmarks of the load side run and print what they promise; how fast they find it to be is not asked here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.requirements_for_tests import need_program

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def run(name: str, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), "--json", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=BENCHMARKS.parent,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_generators_are_compared_with_wrk_on_one_server() -> None:
    need_program("wrk", "apt-get install wrk")
    rows = run(
        "generator.py", "--server", "null", "--rounds", "1", "--window", "1", "--only", "wrk", "--only", "sgibench"
    )
    found = {row["client"]: row for row in rows}
    assert found.keys() == {"wrk", "sgibench declared path", "sgibench task path"}
    for row in rows:
        assert row["rps"] > 0
        assert row["cpu_us_per_request"] > 0
        assert row["errors"] == 0
    assert found["wrk"]["ratio_to_wrk"] == 1


def test_large_bodies_from_nginx_are_right_for_everybody() -> None:
    need_program("nginx", "apt-get install nginx-light")
    rows = run(
        "generator.py", "--server", "nginx", "--size", "70000", "--rounds", "1", "--window", "1", "--only", "sgibench"
    )
    assert [row["errors"] for row in rows] == [0, 0]


def test_http2_is_compared_with_h2load() -> None:
    need_program("nginx", "apt-get install nginx-light")
    need_program("h2load", "apt-get install nghttp2-client")
    rows = run("generator.py", "--server", "nginx", "--protocol", "h2c", "--rounds", "1", "--window", "1")
    found = {row["client"]: row for row in rows}
    assert found.keys() == {"h2load", "sgibench declared path", "sgibench task path"}
    assert all(row["rps"] > 0 and row["errors"] == 0 and row["ratio_to_h2load"] > 0 for row in rows)


def test_scenarios_are_compared_with_the_first_of_them() -> None:
    json_row, site = run("generator.py", "--scenario", "json", "--scenario", "site", "--rounds", "2", "--window", "0.3")
    assert json_row["ratio_to_json"] == 1
    assert (site["client"], site["rounds"]) == ("sgibench, scenario site", 2)
    assert 0 < site["ratio_to_json"] < 2
    assert site["rps_per_core"] > 0


def test_the_schedule_of_an_open_loop_is_looked_at() -> None:
    found = run("exactness.py", "--only", "open", "--window", "1.5")["open"]
    assert found["asked_per_s"] > 0
    assert found["achieved_per_s"] > 0
    assert found["lateness_us_p99"] >= 0
