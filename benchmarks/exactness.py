"""Is what the load process says true? Beside wrk on a real server, against the schedule, and over ten million requests.

    python benchmarks/exactness.py                 # wrk, open loop, memory
    python benchmarks/exactness.py --only wrk      # one of them: wrk, open, memory
    python benchmarks/exactness.py --json

wrk: uvicorn-httptools, 32 connections, closed loop, interleaved pairs: requests/s and the median. Open: half of the
generator's ceiling against nginx (the null server where it is missing): the rate that was achieved, and how late
requests left. Memory: resident memory of the load process from the first ten seconds to the last.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.generator import nginx, null
from benchmarks.serving import Bench, bench
from sgibench.engine.orders import LoadProcess, Measured, Target
from sgibench.histogram import Histogram
from sgibench.model import Load, Windows
from sgibench.serve.process import HOST

CONNECTIONS = 32
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


def memory(stand: Bench, *, requests: int) -> dict[str, Any]:
    """Resident memory of the load process over very many requests."""
    process = next(child for child in psutil.Process().children() if "sgibench.load" in child.cmdline())
    sizes: list[int] = []
    done = 0
    with fast_server(stand) as target:
        while done < requests:
            wanted = Load(kind="closed", connections=CONNECTIONS)
            done += measure_fast(stand.load, stand, target, wanted, 10.0).requests
            sizes.append(process.memory_info().rss)
            say(f"{done:,} requests, {sizes[-1] / 2**20:.1f} MiB")
    return {"requests": done, "first_bytes": sizes[0], "last_bytes": sizes[-1], "most_bytes": max(sizes)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=["wrk", "open", "memory"], action="append")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--window", type=float, default=3.0, help="seconds of each window (default: 3)")
    parser.add_argument("--requests", type=int, default=10_000_000, help="for memory (default: ten million)")
    options = parser.parse_args()
    wanted = options.only or ["wrk", "open", "memory"]
    if "wrk" in wanted and not shutil.which("wrk"):
        say("wrk is not installed: apt-get install wrk")
        wanted.remove("wrk")
    parts: dict[str, Callable[[Bench], dict[str, Any]]] = {
        "wrk": lambda stand: beside_wrk(stand, pairs=options.pairs, seconds=max(1, round(options.window))),
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
