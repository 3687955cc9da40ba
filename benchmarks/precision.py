"""How sharp a run is for the time it takes: half-width of the ratios times the square root of the minutes.

    python benchmarks/precision.py                      # the quick profile, as it was once, and wrk: about 15 minutes
    python benchmarks/precision.py --only quick         # one of them: quick, before, wrk
    python benchmarks/precision.py results/2026-…       # of stored runs

For each figure of the json scenario: the median, over all pairs of servers, of half of the 95 % interval of their
ratio. Four times the minutes halve it, so half-width times √minutes is what a way of measuring is worth, however long
it is used. `quick` is the default profile, `before` the plan that it had once (three blocks of 3 s, all scenarios in
each) in the same engine; the minutes are those of the whole command once all is installed. `wrk` is wrk as people
run it: each server started, 10 s of wrk with one thread and 64 connections, the next server, three rounds; its latency
is that of saturation, where sgibench's is at a fixed rate, and it knows no CPU per request. See docs/method.md.

Where a yardstick lay on the servers' CPU, the next row has the same run as measured, without it. Below stands how late
the load's requests left at fixed rates although a connection was free, all trials together; and each server's latencies
there from when requests were due, the median over its blocks.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.serving import Bench, bench
from sgibench import bench as measuring
from sgibench.bench.profiles import PROFILES
from sgibench.engine.progress import Silent
from sgibench.histogram import Histogram
from sgibench.model import Comparison, LoadKind, Metric, Run
from sgibench.report.standings import standings_of
from sgibench.results import store
from sgibench.serve.process import HOST
from sgibench.stats import compare, spread_us

QUICK = PROFILES["quick"]
BEFORE = replace(
    QUICK,
    name="before",
    blocks=3,
    window_s=3.0,
    open_window_s=1.2,
    own_percentile_s=0.0,
    fewer_blocks={},
    connections={},
)
FIGURES: Mapping[str, tuple[Metric, LoadKind]] = {
    "CPU per request": ("cpu_us_per_request", "closed"),
    "CPU per request, fixed rate": ("cpu_us_per_request", "open"),
    "requests/s": ("rps", "closed"),
    "p50": ("p50_us", "open"),
    "p99": ("p99_us", "open"),
}
SCENARIO = "json"
QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
CONNECTIONS, SECONDS, ROUNDS = 64, 10, 3
WRK = {
    "requests/s": re.compile(r"Requests/sec:\s+([\d.]+)()"),
    "p50": re.compile(r"50%\s+([\d.]+)(us|ms|s)"),
    "p99": re.compile(r"99%\s+([\d.]+)(us|ms|s)"),
}
UNITS_US = {"": 1.0, "us": 1.0, "ms": 1e3, "s": 1e6}


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def half_width(found: Sequence[Comparison]) -> float | None:
    """Median half of the intervals, as a share: 0.03 is from 3 % less to 3 % more."""
    halves = [
        math.expm1(math.log(one.high / one.low) / 2) for one in found if one.low is not None and one.high is not None
    ]
    return statistics.median(halves) if halves else None


def of_run(run: Run, minutes: float | None = None) -> dict[str, Any]:
    """What a stored run reached on json, and how long it took."""
    if minutes is None and run.info.finished_at:
        began, ended = (datetime.fromisoformat(each) for each in (run.info.started_at, run.info.finished_at))
        minutes = (ended - began).total_seconds() / 60
    return {
        "what": run.info.profile,
        "minutes": minutes,
        "half_widths": half_widths(run),
        "as_measured": half_widths(without_yardstick(run)) if spread_us(run.trials) else None,
        "lateness_us": lateness_us(run),
        "levels_us": levels_us(run),
    }


def half_widths(run: Run) -> dict[str, float | None]:
    """Figure -> half-width on json."""
    halves: dict[str, float | None] = dict.fromkeys(FIGURES)
    for standing in standings_of(run):
        for name, (metric, kind) in FIGURES.items():
            if standing.key.scenario == SCENARIO and standing.key.load.kind == kind:
                halves[name] = half_width([*standing.rankings[metric].verdicts.values()])
    return halves


def without_yardstick(run: Run) -> Run:
    """The same run, had nobody looked how fast the servers' CPUs were."""
    return replace(
        run,
        trials=tuple(
            replace(trial, slices=tuple(replace(one, yard_us=None) for one in trial.slices)) for trial in run.trials
        ),
    )


def lateness_us(run: Run) -> dict[str, float | None]:
    """How late requests of the scenario left at fixed rates, by quantile."""
    windows = [trial.window for trial in run.trials if trial.scenario == SCENARIO and trial.load.kind == "open"]
    noted = [one.lateness_histogram_us for one in windows if one is not None and one.lateness_histogram_us is not None]
    merged = Histogram.merged(map(Histogram.from_data, noted))
    return {name: merged.percentile_us(share) for name, share in QUANTILES.items()}


def levels_us(run: Run) -> dict[str, dict[str, float]]:
    """Latencies at fixed rates by server and quantile: the median over its trials."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for trial in run.trials:
        data = trial.intended_histogram_us
        if trial.scenario == SCENARIO and trial.load.kind == "open" and data is not None:
            histogram = Histogram.from_data(data)
            for name, share in QUANTILES.items():
                if (us := histogram.percentile_us(share)) is not None:
                    found[trial.server][name].append(us)
    return {
        server: {name: statistics.median(each) for name, each in by_name.items()} for server, by_name in found.items()
    }


def of_profile(name: str) -> dict[str, Any]:
    """Run a profile and look at it."""
    PROFILES[BEFORE.name] = BEFORE
    with tempfile.TemporaryDirectory(prefix="sgibench-precision-") as folder:
        began = time.monotonic()
        request = measuring.Request(
            results=Path(folder), argv=("benchmarks/precision.py",), profile=name, connections_named=False
        )
        outcome = measuring.run(request, Silent())
        return of_run(store.read_run(outcome.folder), (time.monotonic() - began) / 60)


def wrk(stand: Bench, port: int) -> dict[str, float]:
    """Run wrk once; figure -> value."""
    argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", f"http://{HOST}:{port}/{SCENARIO}"]
    pin = ["taskset", "-c", ",".join(map(str, stand.cpus.load))] if stand.cpus.load and shutil.which("taskset") else []
    out = subprocess.run([*pin, *argv], capture_output=True, text=True, check=True).stdout
    found = {name: pattern.search(out) for name, pattern in WRK.items()}
    missing = [name for name, match in found.items() if match is None]
    if missing:
        raise SystemExit(f"wrk gave no {missing[0]}: {out}")
    return {name: float(match[1]) * UNITS_US[match[2]] for name, match in found.items() if match is not None}


def as_people_do() -> dict[str, Any]:
    """One server after the other, ten seconds each, three rounds; ratios are paired by round (Student's t)."""
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed: apt-get install wrk")
    values: dict[str, dict[str, dict[int, float]]] = {name: defaultdict(dict) for name in WRK}
    with bench(QUICK.servers, [SCENARIO], say) as stand:
        began = time.monotonic()
        for round_ in range(ROUNDS):
            for server in QUICK.servers:
                with stand.servers([server]) as (process,):
                    for name, value in wrk(stand, process.port).items():
                        values[name][server][round_] = value
            say(f"wrk: round {round_ + 1} of {ROUNDS}")
        minutes = (time.monotonic() - began) / 60
    halves: dict[str, float | None] = dict.fromkeys(FIGURES)
    for name, by_server in values.items():
        pairs = (compare(a, b, delta=0.02) for a, b in combinations(by_server.values(), 2))
        halves[name] = half_width([pair for pair in pairs if pair is not None])
    return {"what": "wrk", "minutes": minutes, "half_widths": halves, "lateness_us": {}, "levels_us": {}}


def shown(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one row for each way: half-width, and in brackets times √minutes."""
    print(f"{'':10} {'minutes':>8}  " + "  ".join(f"{name:>27}" for name in FIGURES))
    measured = [
        [row, *([{**row, "what": "as measured", "half_widths": plain}] if (plain := row.get("as_measured")) else [])]
        for row in rows
    ]
    for row in (each for both in measured for each in both):
        minutes = row["minutes"]
        cells = []
        for name in FIGURES:
            half = row["half_widths"][name]
            worth = "" if half is None or minutes is None else f" ({half * 100 * math.sqrt(minutes):.1f} % √min)"
            cells.append(f"{'-' if half is None else f'{half:.1%}{worth}':>27}")
        print(f"{row['what']:10} {'-' if minutes is None else f'{minutes:.1f}':>8}  " + "  ".join(cells))
    for row in rows:
        late = ", ".join(f"{name} {us:.0f} µs" for name, us in row["lateness_us"].items() if us is not None)
        if late:
            print(f"{row['what']}: late by {late}")
        for server, levels in row["levels_us"].items():
            told = ", ".join(f"{name} {us:.0f} µs" for name, us in levels.items())
            print(f"{row['what']}: {server} {told}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("runs", nargs="*", type=Path, help="folders of stored runs, to be looked at instead")
    parser.add_argument("--only", choices=["quick", "before", "wrk"], action="append")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.runs:
        rows = [{**of_run(store.read_run(folder)), "what": folder.name} for folder in options.runs]
    else:
        wanted = options.only or ["before", "quick", "wrk"]
        if "wrk" in wanted and not shutil.which("wrk"):
            raise SystemExit("wrk is not installed: apt-get install wrk")
        rows = [as_people_do() if what == "wrk" else of_profile(what) for what in wanted]
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        shown(rows)


if __name__ == "__main__":
    main()
