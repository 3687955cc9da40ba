"""Servers that don't fit into memory together: parts with a common reference, and ratios over it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgibench import stats
from sgibench.bench.memory import split
from sgibench.bench.plan import make_plan
from sgibench.errors import UsageError
from sgibench.model import Cell, Latency, Load, Settings, Trial, Windows
from tests.results_maker import QUICK, Making, make_run

APP = """
held = bytes(1) * 40_000_000  # beside it, what an interpreter takes hardly counts

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"hi"]
"""
NAMES = ("a", "b", "c", "d", "e")


@given(st.lists(st.integers(1, 50), min_size=2, max_size=5), st.integers(40, 200), st.booleans())
def test_each_part_fits_and_has_the_reference_and_each_server_is_in_one(
    sizes: list[int],
    limit: int,
    control: bool,  # noqa: FBT001 - drawn
) -> None:
    needs = dict(zip(NAMES, sizes, strict=False))
    spare = max(sizes) if control else 0
    try:
        parts = split(needs, limit, "a", control=control)
    except UsageError:
        assert any(needs["a"] + size + spare > limit for size in sizes[1:])
        return
    assert all(sum(needs[name] for name in part) + spare <= limit for part in parts)
    assert all(part[0] == "a" for part in parts)
    assert sorted(name for part in parts for name in part if name != "a") == sorted(set(needs) - {"a"})


def test_a_plan_in_parts_serves_no_two_parts_together_and_copies_only_the_reference() -> None:
    load, setting = Load(kind="closed", connections=4), Settings(workers=1, threads=8)
    cells = [Cell(server=name, app="x:app", scenario="requests", load=load, settings=setting) for name in NAMES]
    windows = Windows(window_s=1.0, slice_s=None)
    plan = make_plan(
        cells, blocks=2, windows=windows, seed=7, control=True, parts=(("a", "b"), ("a", "c", "d"), ("a", "e"))
    )
    for block in plan.blocks:
        alive = [{cell.server for group in stage.groups for cell in group.cells} for stage in block.stages]
        assert sorted(map(sorted, alive)) == [["a", "b"], ["a", "c", "d"], ["a", "e"]]
        ids = [cell.id for stage in block.stages for group in stage.groups for cell in group.cells]
        assert len(ids) == len(set(ids)) == 5 + 2 + 1
        assert {cell_id.split("/")[0] for cell_id in ids} >= {"a", "a~part2", "a~part3"}


def trials_in_parts() -> tuple[Trial, ...]:
    """A machine that is 1.5 times as slow while the second part is measured."""
    servers = tuple(replace(QUICK[0], id=name) for name in ("ref", "same", "other"))
    (ref, same, other) = make_run(Making(servers=servers, blocks=1, control=False, scenarios=("json",))).trials
    quick = Latency(mean=1000.0, p50=1000.0, p90=None, p99=2000.0, p999=None, max=None)
    slow = Latency(mean=1500.0, p50=1500.0, p90=None, p99=4000.0, p999=None, max=None)
    ref = replace(ref, cpu_us_per_request=100.0, rps=900.0, latency_us=quick)
    same = replace(same, cpu_us_per_request=120.0, rps=800.0, latency_us=quick)
    other = replace(other, cpu_us_per_request=300.0, rps=300.0, latency_us=slow, part=1)
    copy = replace(ref, cell=f"again-{ref.cell}", part=1, again=True)
    copy = replace(copy, cpu_us_per_request=150.0, rps=600.0, latency_us=slow)
    return ref, same, other, copy


def test_ratios_between_parts_go_over_the_reference() -> None:
    ref, same, other = stats.levelled(trials_in_parts())
    assert (ref.cpu_us_per_request, same.cpu_us_per_request) == (100.0, 120.0)
    assert other.cpu_us_per_request == pytest.approx(200.0)
    assert other.rps == pytest.approx(450.0)
    assert other.latency_us is not None
    assert other.latency_us.p50 == pytest.approx(1000.0)
    assert other.latency_us.p99 == pytest.approx(2000.0)


def test_a_part_whose_reference_failed_has_no_figures() -> None:
    ref, same, other, copy = trials_in_parts()
    failed = replace(copy, cpu_us_per_request=None, rps=None, latency_us=None, status="failed")
    *_, left = stats.levelled((ref, same, other, failed))
    assert (left.cpu_us_per_request, left.rps, left.latency_us) == (None, None, Latency(
        mean=None, p50=None, p90=None, p99=None, p999=None, max=None
    ))  # fmt: skip


def test_a_run_that_does_not_fit_is_split_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(APP, encoding="utf-8")
    words = (
        "run --app small:app --server cheroot --server waitress --server fastpysgi-wsgi --blocks 1 --window 0.2s --json"
    )
    words += " --connections 2 --rate none --no-control"
    command = [sys.executable, "-m", "sgibench.cli", *words.split()]
    done = subprocess.run([*command, "--memory", "240M"], cwd=tmp_path, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (group,) = told["summary"]["groups"]
    assert {row["server"] for row in group["rows"]} == {"cheroot", "waitress", "fastpysgi-wsgi"}
    own = json.loads((tmp_path / told["run"] / "run.json").read_text(encoding="utf-8"))["own"]
    assert [len(part) for part in own["parts"]] == [2, 2]
    assert "measured in 2 parts, each with" in done.stderr
    done = subprocess.run([*command, "--memory", "50M"], cwd=tmp_path, capture_output=True, check=False, text=True)
    assert done.returncode == 2
    assert "--memory: " in done.stderr.splitlines()[-1]
