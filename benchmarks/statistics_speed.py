"""How long the judgement of a large run takes: 30 servers × 12 scenarios × 10 blocks = 3,600 trials, at most 5 s.

Times the rankings of three metrics (all pairs of every table), the audit of every trial and its tables, and the
comparison of two such runs; the trials carry slices and histograms as stored ones do. Ends with 1 above the limit.

    python benchmarks/statistics_speed.py
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sgibench import audit, stats
from sgibench.histogram import Histogram
from sgibench.model import SCHEMA, Generator, Latency, Load, Machine, Metric, Plan, Run, RunInfo, Slice, Trial, Windows

SERVERS, SCENARIOS, BLOCKS = 30, 12, 10
LIMIT_S = 5.0
METRICS: tuple[Metric, ...] = ("cpu_us_per_request", "rps", "p99_us")
WINDOW_S = 3.0


def make_run(seed: int) -> Run:
    """Make a run of 3,600 plausible trials."""
    rng = np.random.default_rng(seed)
    trials = [
        make_trial(rng, server, scenario, block)
        for block in range(BLOCKS)
        for scenario in range(SCENARIOS)
        for server in range(SERVERS)
    ]
    return Run(path=Path("run"), info=make_info(), trials=tuple(trials))


def make_trial(rng: np.random.Generator, server: int, scenario: int, block: int) -> Trial:
    """Make one trial: cost by server and scenario, with 2 % noise."""
    cost_us = 50 * 1.04**server * (1 + scenario) * math.exp(rng.normal(0, 0.02))
    rps = 1e6 / cost_us
    latencies_ns = (64 / rps * 1e9 * rng.gamma(12, 1 / 12, 2000)).astype(np.int64)
    histogram = Histogram()
    histogram.record(latencies_ns)
    counts = rng.poisson(rps * 0.1, 30).tolist()
    name = "s0" if server == SERVERS - 1 else f"s{server}"
    control = "~control" if server == SERVERS - 1 else ""
    return Trial(
        cell=f"{name}{control}/asgi_plain/scenario{scenario}/closed-64/w1t1",
        server=name,
        app="asgi_plain",
        scenario=f"scenario{scenario}",
        load=Load(kind="closed", connections=64),
        workers=1,
        threads=1,
        block=block,
        order=server,
        started_at="2026-01-01T00:00:00+00:00",
        status="ok",
        control=bool(control),
        window_s=WINDOW_S,
        requests=sum(counts),
        rps=sum(counts) / WINDOW_S,
        cpu_s=0.97 * WINDOW_S,
        cpu_us_per_request=cost_us,
        latency_us=Latency(mean=64 / rps * 1e6, p50=60 / rps * 1e6, p90=None, p99=110 / rps * 1e6, p999=None, max=1e6),
        histogram_us=histogram.to_data(),
        slices=tuple(Slice(round=i, window_s=0.1, requests=count, cpu_s=0.09) for i, count in enumerate(counts)),
        generator=Generator(
            cpu_s=1.0,
            utilisation=0.4,
            lag_us_p99=60.0,
            connections_established=64,
            jain=0.99,
            slowest_share=0.9,
        ),
        steal=0.0,
        pressure=0.01,
        idle_cpu=0.0,
    )


def make_info() -> RunInfo:
    """Make the least that a run must say about itself."""
    machine = Machine(
        hostname_hash="h",
        cpu_model="m",
        cores=2,
        cpus_usable=(0, 1),
        server_cpus=(0,),
        load_cpus=(1,),
        kernel="k",
        system="Linux",
        governor=None,
        python="3.11",
        memory_bytes=1 << 32,
        container=None,
        cpu_quota=None,
        sysctls={},
        not_measured={},
    )
    plan = Plan(seed=1, windows=Windows(window_s=WINDOW_S, slice_s=0.1), blocks=())
    return RunInfo(
        schema=SCHEMA,
        run="r",
        started_at="t",
        finished_at="t",
        profile="full",
        seed=1,
        argv=(),
        version="0",
        commit=None,
        machine=machine,
        environments={},
        skipped={},
        plan=plan,
    )


def rank_all(run: Run) -> int:
    """Rank every table of three metrics; gives the number of pairs that were compared."""
    pairs = 0
    for metric in METRICS:
        tables: dict[str, dict[str, stats.Values]] = {}
        for control in (False, True):
            for cell, values in stats.values_of(run, metric, control=control).items():
                tables.setdefault(cell.split("/")[2], {})[cell] = values
        for cells in tables.values():
            copy = next(cell for cell in cells if "~control" in cell)
            ranking = stats.rank(cells, higher_is_better=metric == "rps", control=(copy.replace("~control", ""), copy))
            pairs += len(ranking.rows) * (len(ranking.rows) - 1) // 2
    return pairs


def timed(what: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


def main() -> int:
    """Time each part and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    run = make_run(1)
    parts = {
        "rankings": timed(lambda: rank_all(run)),
        "audit": timed(lambda: audit.audit_run(run)),
    }
    statistics_s = sum(parts.values())
    parts["run against run"] = timed(lambda: stats.compare_runs(run, run, metric="cpu_us_per_request"))
    if asked.json:
        print(
            json.dumps({"trials": len(run.trials), "statistics_s": statistics_s, "limit_s": LIMIT_S, "parts_s": parts})
        )
    else:
        for name, seconds in parts.items():
            print(f"{name:16} {seconds:6.2f} s")
        print(f"{len(run.trials)} trials: statistics in {statistics_s:.2f} s, limit {LIMIT_S:g} s")
    return 0 if statistics_s < LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
