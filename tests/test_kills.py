"""Runs that are ended at random moments, in every way: the short version of benchmarks/kills.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_runs_that_are_ended_at_random_moments_leave_nothing_behind_and_lose_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "kills.py"), "--json", "--kills", "3", "--seed", "11", "--within", "15"],
        capture_output=True,
        check=False,
        text=True,
        cwd=BENCHMARKS.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kills = json.loads(done.stdout)["kills"]
    assert {kill["way"] for kill in kills} == {"SIGINT", "SIGTERM", "SIGKILL"}
    assert all(kill["holds"] for kill in kills)
