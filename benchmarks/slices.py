"""What slices and turns are worth on this machine: the spread between identical servers, and the bias of levels.

    python benchmarks/slices.py                     # closed loops: two tables; open loops: two more
    python benchmarks/slices.py --only turns        # one of them: spread, levels, turns, turn-levels
    python benchmarks/slices.py --json

First table: two identical servers, fresh processes in every block, the same counted time for each, measured in every
way in random order; the standard deviation over blocks of ln(A / B), for requests per second and for server CPU per
request. Second table: five unlike servers, their level in slices over their level in windows of a second, taken in
turns, too, so that both see the same drift; with the standard error of each bias. Third and fourth: the same for p50
and p99 from the due time at a fixed rate, in turns and in one unbroken window for each server, at equal counted time.
All servers of a block are alive all the time, as in a run. See docs/method.md, "slices" and "turns".
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.serving import Bench, bench
from sgibench.engine.orders import Measured
from sgibench.histogram import Histogram
from sgibench.model import Load

TWINS = ("uvicorn-httptools", "waitress")
UNLIKE = ("uvicorn-httptools", "waitress", "gunicorn-gthread", "granian-wsgi", "hypercorn-uvloop")
WAYS: dict[str, float | None] = {"unbroken": None, "100 ms": 0.1, "40 ms": 0.04}
LONG = "1 s"
LEVEL_WAYS: dict[str, float] = {LONG: 1.0, "100 ms": 0.1, "40 ms": 0.04}
UNBROKEN = "unbroken"
TURN_WAYS: dict[str, float | None] = {UNBROKEN: None, "turns of 100 ms": 0.1, "turns of 30 ms": 0.03}
SCENARIO = "json"
CONNECTIONS = 16
RATE_PER_S = 1000.0
"""Of the open loops; p99 needs 1,000 answers."""


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def rate(measured: Measured) -> float:
    """Requests per second."""
    return measured.requests / measured.window_s


def cost(measured: Measured) -> float:
    """Server CPU microseconds per request."""
    if measured.cpu_s is None:
        raise SystemExit("the servers' CPU clocks can't be read here, so there is nothing to compare")
    return measured.cpu_s / measured.requests * 1e6


def latencies(measured: Measured) -> tuple[float, float]:
    """p50 and p99 from the due time, microseconds."""
    if measured.intended_histogram is None:
        raise SystemExit("the load process gave no latencies from the due time")
    histogram = Histogram.from_data(measured.intended_histogram)
    return histogram.percentile_us(0.5) or math.nan, histogram.percentile_us(0.99) or math.nan


def at_rate(stand: Bench, servers: Sequence[Any], way: str, window_s: float, seed: int) -> list[tuple[float, float]]:
    """Logarithms of p50 and p99 of each server at the fixed rate; tells when another way was taken than asked for."""
    load = Load(kind="open", connections=CONNECTIONS, rate_per_s=RATE_PER_S)
    measured = stand.measure(
        SCENARIO, servers, window_s=window_s, slice_s=None, turn_s=TURN_WAYS[way], connections=CONNECTIONS, seed=seed,
        load=load,
    )  # fmt: skip
    for each in measured:
        if each.window is not None and (each.window.visits == "turns") != (TURN_WAYS[way] is not None):
            say(f"{way}: measured {each.window.visits}, because {each.window.why}")
    return [(math.log(p50), math.log(p99)) for p50, p99 in map(latencies, measured)]


def turn_twins(stand: Bench, name: str, *, blocks: int, window_s: float, seed: int) -> list[dict[str, Any]]:
    """Spread of the ratio of p50 and p99 between two servers that are the same."""
    order = random.Random(f"{seed}/turns/{name}")
    ratios: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for block in range(blocks):
        with stand.servers([name, name]) as servers:
            for way in order.sample(list(TURN_WAYS), len(TURN_WAYS)):
                one, two = at_rate(stand, servers, way, window_s, order.randrange(2**31))
                ratios[way].append((one[0] - two[0], one[1] - two[1]))
        say(f"{name} at {RATE_PER_S:g}/s: block {block + 1} of {blocks}")
    return [
        {
            "server": name,
            "way": way,
            "blocks": blocks,
            "counted_s": window_s,
            "p50_spread": statistics.stdev(pair[0] for pair in ratios[way]),
            "p99_spread": statistics.stdev(pair[1] for pair in ratios[way]),
        }
        for way in TURN_WAYS
    ]


def turn_levels(stand: Bench, *, blocks: int, window_s: float, seed: int) -> list[dict[str, Any]]:
    """Levels of p50 and p99 of unlike servers in turns, over those in unbroken windows."""
    order = random.Random(f"{seed}/turn-levels")
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for block in range(blocks):
        with stand.servers(UNLIKE) as servers:
            by_way = {
                way: at_rate(stand, servers, way, window_s, order.randrange(2**31))
                for way in order.sample(list(TURN_WAYS), len(TURN_WAYS))
            }
        whole = by_way.pop(UNBROKEN)
        for way, turned in by_way.items():
            for name, one, other in zip(UNLIKE, turned, whole, strict=True):
                found[name, way].append((one[0] - other[0], one[1] - other[1]))
        say(f"levels in turns: block {block + 1} of {blocks}")
    rows: list[dict[str, Any]] = []
    for name, way in sorted(found, key=lambda pair: (UNLIKE.index(pair[0]), pair[1])):
        row: dict[str, Any] = {"server": name, "way": way}
        for place, key in enumerate(("p50", "p99")):
            own = [pair[place] for pair in found[name, way] if not math.isnan(pair[place])]
            row[f"{key}_level"] = math.exp(statistics.fmean(own)) if own else math.nan
            row[f"{key}_error"] = statistics.stdev(own) / math.sqrt(len(own)) if len(own) > 1 else None
        rows.append(row)
    return rows


def turn_spread_table(rows: Sequence[dict[str, Any]]) -> str:
    """The third table."""
    lines = ["| two identical servers | way | spread of p50 | spread of p99 |", "|---|---|---:|---:|"]
    lines += [
        f"| {row['server']} | {row['way']} | {row['p50_spread'] * 100:.1f} % | {row['p99_spread'] * 100:.1f} % |"
        for row in rows
    ]
    return "\n".join(lines)


def turn_level_table(rows: Sequence[dict[str, Any]]) -> str:
    """The fourth table: levels with their standard errors."""

    def told(row: dict[str, Any], key: str) -> str:
        error = row[f"{key}_error"]
        return f"{row[f'{key}_level']:.3f}" + ("" if error is None else f" ± {error:.3f}")

    lines = ["| level in turns / in unbroken windows | way | p50 | p99 |", "|---|---|---:|---:|"]
    lines += [f"| {row['server']} | {row['way']} | {told(row, 'p50')} | {told(row, 'p99')} |" for row in rows]
    return "\n".join(lines)


def twins(stand: Bench, name: str, *, blocks: int, window_s: float, seed: int) -> list[dict[str, Any]]:
    """Spread of the ratio between two servers that are the same."""
    order = random.Random(f"{seed}/{name}")
    ratios: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for block in range(blocks):
        with stand.servers([name, name]) as servers:
            ways = list(WAYS)
            order.shuffle(ways)
            for way in ways:
                one, two = stand.measure(
                    SCENARIO,
                    servers,
                    window_s=window_s,
                    slice_s=WAYS[way],
                    connections=CONNECTIONS,
                    seed=order.randrange(2**31),
                )
                ratios[way].append((math.log(rate(one) / rate(two)), math.log(cost(one) / cost(two))))
        say(f"{name}: block {block + 1} of {blocks}")
    return [
        {
            "server": name,
            "way": way,
            "blocks": blocks,
            "counted_s": window_s,
            "rps_spread": statistics.stdev(pair[0] for pair in pairs),
            "cpu_spread": statistics.stdev(pair[1] for pair in pairs),
        }
        for way, pairs in sorted(ratios.items(), key=lambda item: list(WAYS).index(item[0]))
    ]


def levels(stand: Bench, *, blocks: int, window_s: float, seed: int) -> list[dict[str, Any]]:
    """Levels of unlike servers in slices, over those in long windows."""
    order = random.Random(seed)
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for block in range(blocks):
        with stand.servers(UNLIKE) as servers:
            ways = list(LEVEL_WAYS)
            order.shuffle(ways)
            for way in ways:
                measured = stand.measure(
                    SCENARIO,
                    servers,
                    window_s=window_s,
                    slice_s=LEVEL_WAYS[way],
                    connections=CONNECTIONS,
                    seed=order.randrange(2**31),
                )
                for name, each in zip(UNLIKE, measured, strict=True):
                    found[name, way].append((math.log(rate(each)), math.log(cost(each))))
        say(f"levels: block {block + 1} of {blocks}")
    rows: list[dict[str, Any]] = []
    for way in LEVEL_WAYS:
        logs = {
            name: [
                (sliced[0] - whole[0], sliced[1] - whole[1])
                for sliced, whole in zip(found[name, way], found[name, LONG], strict=True)
            ]
            for name in UNLIKE
        }
        for name in UNLIKE:
            row: dict[str, Any] = {"server": name, "way": way}
            for place, key in enumerate(("rps", "cpu")):
                own = [pair[place] for pair in logs[name]]
                common = [statistics.fmean(logs[other][block][place] for other in UNLIKE) for block in range(blocks)]
                apart = [a - b for a, b in zip(own, common, strict=True)]
                row[f"{key}_level"] = math.exp(statistics.fmean(own))
                row[f"{key}_bias"] = statistics.fmean(apart)
                row[f"{key}_error"] = statistics.stdev(apart) / math.sqrt(blocks) if blocks > 1 else None
            rows.append(row)
    return rows


def spread_table(rows: Sequence[dict[str, Any]]) -> str:
    """The first table."""
    lines = [
        "| two identical servers | way | spread of requests/s | spread of CPU per request |",
        "|---|---|---:|---:|",
    ]
    lines += [
        f"| {row['server']} | {row['way']} | {row['rps_spread'] * 100:.1f} % | {row['cpu_spread'] * 100:.1f} % |"
        for row in rows
    ]
    return "\n".join(lines)


def level_table(rows: Sequence[dict[str, Any]]) -> str:
    """The second table: each server's level, and how far its bias lies from the one that all share."""
    ways = [way for way in LEVEL_WAYS if way != LONG]
    lines = [
        "| level in slices / in windows of 1 s | " + " | ".join(f"rps, {way} | CPU, {way}" for way in ways) + " |",
        "|---|" + "---:|" * (2 * len(ways)),
    ]
    by_key = {(row["server"], row["way"]): row for row in rows}

    def told(row: dict[str, Any], key: str) -> str:
        error = "" if row[f"{key}_error"] is None else f" ± {row[f'{key}_error'] * 100:.1f}"
        return f"{row[f'{key}_level']:.3f} ({row[f'{key}_bias'] * 100:+.1f}{error} %)"

    for name in UNLIKE:
        cells = [told(by_key[name, way], key) for way in ways for key in ("rps", "cpu")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    farthest = [max(abs(by_key[name, way][f"{key}_bias"]) for name in UNLIKE) for way in ways for key in ("rps", "cpu")]
    lines.append(
        "| **farthest from the common level** | " + " | ".join(f"{far * 100:.1f} %" for far in farthest) + " |"
    )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print an object instead of tables")
    parser.add_argument("--blocks", type=int, default=8, help="fresh pairs of servers (default: 8)")
    parser.add_argument("--window", type=float, default=3.0, help="counted seconds of each server (default: 3)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=list(TABLES), help="one of the tables (default: all)")
    options = parser.parse_args()
    wanted = [options.only] if options.only else list(TABLES)
    found: dict[str, list[dict[str, Any]]] = {}
    with bench([*TWINS, *UNLIKE], [SCENARIO], say) as stand:
        for name in wanted:
            measure_rows, _ = TABLES[name]
            found[name] = measure_rows(stand, options.blocks, options.window, options.seed)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(
        f"{options.blocks} blocks, {options.window:g} s counted for each server, {CONNECTIONS} connections; "
        f"open loops {RATE_PER_S:g} requests/s.\n"
    )
    print("\n\n".join(TABLES[name][1](rows) for name, rows in found.items()))


def of_twins(
    rows_of: Callable[..., list[dict[str, Any]]], stand: Bench, blocks: int, window_s: float, seed: int
) -> list[dict[str, Any]]:
    """Rows of both pairs."""
    return [row for name in TWINS for row in rows_of(stand, name, blocks=blocks, window_s=window_s, seed=seed)]


Rows = list[dict[str, Any]]
TABLES: dict[str, tuple[Callable[[Bench, int, float, int], Rows], Callable[[Rows], str]]] = {
    "spread": (lambda *given: of_twins(twins, *given), spread_table),
    "levels": (
        lambda stand, blocks, window_s, seed: levels(stand, blocks=blocks, window_s=window_s, seed=seed),
        level_table,
    ),
    "turns": (lambda *given: of_twins(turn_twins, *given), turn_spread_table),
    "turn-levels": (
        lambda stand, blocks, window_s, seed: turn_levels(stand, blocks=blocks, window_s=window_s, seed=seed),
        turn_level_table,
    ),
}

if __name__ == "__main__":
    main()
