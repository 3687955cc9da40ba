"""Is what the load process says true? Beside other clients, against the schedule, and over ten million requests.

    python benchmarks/exactness.py                 # wrk, reference, open loop, memory
    python benchmarks/exactness.py --only wrk      # one of them: wrk, reference, open, memory
    python benchmarks/exactness.py --json

wrk: uvicorn-httptools, 32 connections, closed loop, interleaved pairs: requests/s and the median. Open: half of the
generator's ceiling against nginx (the null server where it is missing): the rate that was achieved, and how late
requests left. Reference: twenty random mixes of delays, each met at the same time by the load process and by the tests'
client of threads and http.client, which shares no code with it: ratios of rate, p50, p90 and p99, the farthest from 1.
Memory: resident memory of the load process in closed and open loops and with tasks, ten million requests each, in one
unbroken window (six minutes; `--requests 3000000` takes two): after a tenth of the window, at its end and at most, and
the slope of a line through what lies between, in bytes per million requests.
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
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.generator import nginx, null
from benchmarks.serving import Bench, bench
from sgibench.engine.orders import LoadProcess, Measured, Step, Target
from sgibench.histogram import Histogram
from sgibench.model import Load, Scenario, Windows
from sgibench.serve.process import HOST
from tests import reference_client
from tests.scripted_server import serving

CONNECTIONS = 32
ENOUGH, LONGEST_S = 600, 15.0
"""Answers of each mix, so that both clients met it all; and the longest window that this may take."""
UNITS_US = {"us": 1.0, "ms": 1e3, "s": 1e6}


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def median_us(measured: Measured) -> float:
    """Median service time."""
    if measured.histogram is None:
        raise SystemExit("the load process gave no histogram")
    return Histogram.from_data(measured.histogram).percentile_us(0.5) or 0.0


def wrk(port: int, cpus: Sequence[int], seconds: int) -> tuple[float, float]:
    """Requests per second and median in microseconds, as wrk sees them."""
    argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", f"http://{HOST}:{port}/json"]
    pin = ["taskset", "-c", ",".join(map(str, cpus))] if cpus and shutil.which("taskset") else []
    out = subprocess.run([*pin, *argv], capture_output=True, text=True, check=True).stdout
    rps = re.search(r"Requests/sec:\s+([\d.]+)", out)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s)", out)
    if rps is None or median is None:
        raise SystemExit(f"wrk said something unexpected: {out}")
    return float(rps[1]), float(median[1]) * UNITS_US[median[2]]


def beside_wrk(stand: Bench, *, pairs: int, seconds: int) -> dict[str, Any]:
    """Ratios of sgibench over wrk, taken in turns against one server."""
    rps: list[float] = []
    medians: list[float] = []
    with stand.servers(["uvicorn-httptools"]) as servers:
        for number in range(pairs):
            theirs = wrk(servers[0].port, stand.cpus.load, seconds) if number % 2 else None
            (ours,) = stand.measure(
                "json", servers, window_s=seconds, slice_s=None, connections=CONNECTIONS, seed=number
            )
            theirs = theirs or wrk(servers[0].port, stand.cpus.load, seconds)
            rps.append(ours.requests / ours.window_s / theirs[0])
            medians.append(median_us(ours) / theirs[1])
            say(f"pair {number + 1} of {pairs}: requests/s x {rps[-1]:.3f}, median x {medians[-1]:.3f}")
    return {
        "pairs": pairs,
        "rps_ratio": math.exp(statistics.fmean(map(math.log, rps))),
        "p50_ratio": math.exp(statistics.fmean(map(math.log, medians))),
    }


BODY = b'{"message":"Hello, World!"}'


@contextmanager
def fast_server(stand: Bench) -> Iterator[Target]:
    """Run nginx, or the null server where nginx is missing, on the servers' CPUs."""
    make = nginx if shutil.which("nginx") else null
    scratch = Path(tempfile.mkdtemp(dir=stand.scratch))
    with make(scratch, stand.cpus.servers[0] if stand.cpus.servers else None, BODY) as (host, port):
        yield Target(id="fast", host=host, port=port, pids=())


def measure_fast(load: LoadProcess, stand: Bench, target: Target, wanted: Load, window_s: float) -> Measured:
    """Measure it with the scenario json."""
    windows = Windows(window_s=window_s, slice_s=None)
    (measured,) = load.measure(
        stand.scenarios["json"], [target], wanted, windows, 1, on_step=lambda _: None, watch=dict
    )
    return measured


def open_loop(stand: Bench, *, window_s: float) -> dict[str, Any]:
    """Rate and lateness of a schedule at half of what the generator can do."""
    ceiling = stand.load.calibrate(stand.scenarios["json"], 2.0).rps_per_core
    rate = round(ceiling / 2)
    with fast_server(stand) as target:
        wanted = Load(kind="open", connections=CONNECTIONS, rate_per_s=float(rate))
        measured = measure_fast(stand.load, stand, target, wanted, window_s)
    return {
        "asked_per_s": rate,
        "achieved_per_s": measured.requests / measured.window_s,
        "off_by": measured.requests / measured.window_s / rate - 1,
        "lateness_us_p99": measured.lag_us_p99,
        "generator_utilisation": measured.generator_utilisation,
    }


def reference(stand: Bench, *, mixes: int, window_s: float) -> dict[str, Any]:
    """Ratios of ours over those of a simple client, for random mixes of delays."""
    ratios: list[dict[str, float]] = []
    for seed in range(mixes):
        mix = reference_client.random_mix(seed)
        length_s = min(max(window_s, ENOUGH * mix.mean_s / mix.connections), LONGEST_S)
        seen: list[reference_client.Seen] = []
        with serving(reference_client.MixedServer(mix)) as ours, serving(reference_client.MixedServer(mix)) as theirs:
            given = (theirs.host, theirs.port, mix.connections, 1.0, length_s)
            other = threading.Thread(
                target=lambda given=given, seen=seen: seen.append(reference_client.measure(*given))
            )
            other.start()
            target = Target(id="mixed", host=ours.host, port=ours.port, pids=())
            wanted = Load(kind="closed", connections=mix.connections)
            (measured,) = stand.load.measure(
                stand.scenarios["json"],
                [target],
                wanted,
                Windows(window_s=length_s, slice_s=0.1),
                seed,
                on_step=lambda _: None,
                watch=dict,
            )
            other.join()
        ratios.append(ratios_of(measured, seen[0]))
        visits = measured.window.visits if measured.window else "?"
        told = ", ".join(f"{name} {value:.3f}" for name, value in ratios[-1].items())
        say(f"mix {seed}: {mix.connections} connections, mean {mix.mean_s * 1e3:.1f} ms, {visits}: {told}")
    return {f"{name}_farthest": max((each[name] for each in ratios), key=lambda r: abs(r - 1)) for name in ratios[0]}


def ratios_of(measured: Measured, seen: reference_client.Seen) -> dict[str, float]:
    """Rate and percentiles of ours over theirs."""
    if measured.histogram is None:
        raise SystemExit("the load process gave no histogram")
    histogram = Histogram.from_data(measured.histogram)
    found = {"rate": measured.requests / measured.window_s / seen.rate_per_s}
    for q, theirs_s in zip(reference_client.PERCENTILES, seen.percentiles_s, strict=True):
        found[f"p{q * 100:g}"] = (histogram.percentile_us(q) or math.nan) / 1e6 / theirs_s
    return found


TASKS = """Tasks that ask for one document.\"\"\"

from locust import task

from sgibench.load.user import BenchUser


class Tasks(BenchUser):
    @task
    def ask(self) -> None:
        self.client.get("/json")
"""


OPEN_SHARE = 0.6
"""Of the generator's ceiling: an open loop keeps up with that."""
SETTLED = 0.1
"""Of a window: from there on memory has to be flat."""


def memory(stand: Bench, *, requests: int) -> dict[str, Any]:
    """Resident memory of the load process over very many requests of each kind of load."""
    path = stand.scratch / "memory_tasks.py"
    path.write_text('"""' + TASKS)
    (tasks,) = stand.load.describe([path])
    ceiling = stand.load.calibrate(stand.scenarios["json"], 2.0).rps_per_core
    closed = Load(kind="closed", connections=CONNECTIONS)
    opened = replace(closed, kind="open", rate_per_s=float(round(ceiling * OPEN_SHARE)))
    kinds: dict[str, tuple[Scenario, Load]] = {
        "closed": (stand.scenarios["json"], closed),
        "open": (stand.scenarios["json"], opened),
        "tasks": (tasks, closed),
    }
    found: dict[str, Any] = {}
    for name, (scenario, load) in kinds.items():
        sizes = growth(stand, name, scenario, load, requests)
        found |= {f"{name}_{key}": value for key, value in sizes.items()}
    return found


def growth(stand: Bench, name: str, scenario: Scenario, load: Load, requests: int) -> dict[str, float]:
    """Watch its resident memory through one window of so many requests."""
    processes = psutil.Process().children(recursive=True)
    process = next(child for child in reversed(processes) if "sgibench.load" in child.cmdline())
    looks: list[tuple[float, int]] = []

    def look(step: Step) -> None:
        if step.phase == "measure":
            looks.append((step.done, process.memory_info().rss))

    def ask(window_s: float) -> Measured:
        looks.clear()
        windows = Windows(window_s=window_s, slice_s=None)
        (measured,) = stand.load.measure(scenario, [target], load, windows, 1, on_step=look, watch=dict)
        return measured

    with fast_server(stand) as target:
        first = ask(2.0)
        measured = ask(requests / (first.requests / first.window_s))
    settled = [(done * measured.requests / 1e6, size) for done, size in looks if done >= SETTLED]
    millions, sizes = zip(*settled, strict=True)
    found = {
        "requests": measured.requests,
        "first_bytes": sizes[0],
        "last_bytes": sizes[-1],
        "most_bytes": max(sizes),
        "bytes_per_million": statistics.linear_regression(millions, sizes).slope,
    }
    mib = ", ".join(f"{key[:-6]} {found[key] / 2**20:.1f} MiB" for key in ("first_bytes", "last_bytes", "most_bytes"))
    say(f"{name}: {measured.requests:,} requests in {measured.window_s:.0f} s, {mib}")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=["wrk", "reference", "open", "memory"], action="append")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--window", type=float, default=3.0, help="seconds of each window (default: 3)")
    parser.add_argument(
        "--requests", type=int, default=10_000_000, help="for memory, of each kind (default: ten million)"
    )
    parser.add_argument("--mixes", type=int, default=20, help="for the reference (default: 20)")
    options = parser.parse_args()
    wanted = options.only or ["wrk", "reference", "open", "memory"]
    if "wrk" in wanted and not shutil.which("wrk"):
        say("wrk is not installed: apt-get install wrk")
        wanted.remove("wrk")
    parts: dict[str, Callable[[Bench], dict[str, Any]]] = {
        "wrk": lambda stand: beside_wrk(stand, pairs=options.pairs, seconds=max(1, round(options.window))),
        "reference": lambda stand: reference(stand, mixes=options.mixes, window_s=max(4.0, options.window)),
        "open": lambda stand: open_loop(stand, window_s=options.window),
        "memory": lambda stand: memory(stand, requests=options.requests),
    }
    with bench(["uvicorn-httptools"] if "wrk" in wanted else [], ["json"], say) as stand:
        found = {name: parts[name](stand) for name in wanted}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, values in found.items():
        print(f"{name}: " + ", ".join(f"{key} {value:,.4g}" for key, value in values.items() if value is not None))


if __name__ == "__main__":
    main()
