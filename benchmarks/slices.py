"""What slices are worth on this machine: the spread of ratios between identical servers, and the bias of levels.

    python benchmarks/slices.py            # two tables
    python benchmarks/slices.py --json

First table: two identical servers, fresh processes in every block, the same counted time for each, measured in every
way in random order; the standard deviation over blocks of ln(A / B), for requests per second and for server CPU per
request. Second table: five unlike servers, their level in slices over their level in windows of a second, taken in
turns, too, so that both see the same drift; with the standard error of each bias. All servers of a block are alive all
the time, as in a run. See docs/method.md, "slices".
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from benchmarks.serving import Bench, bench
from sgibench.engine.orders import Measured

TWINS = ("uvicorn-httptools", "waitress")
UNLIKE = ("uvicorn-httptools", "waitress", "gunicorn-gthread", "granian-wsgi", "hypercorn-uvloop")
WAYS: dict[str, float | None] = {"unbroken": None, "200 ms": 0.2, "100 ms": 0.1, "50 ms": 0.05}
LONG = "1 s"
LEVEL_WAYS: dict[str, float] = {LONG: 1.0, "100 ms": 0.1, "50 ms": 0.05}
SCENARIO = "json"
CONNECTIONS = 32


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
    parser.add_argument("--only", choices=["spread", "levels"], help="one of the tables (default: both)")
    options = parser.parse_args()
    with bench([*TWINS, *UNLIKE], [SCENARIO], say) as stand:
        spreads = [
            row
            for name in (TWINS if options.only != "levels" else ())
            for row in twins(stand, name, blocks=options.blocks, window_s=options.window, seed=options.seed)
        ]
        level_rows = (
            levels(stand, blocks=options.blocks, window_s=options.window, seed=options.seed)
            if options.only != "spread"
            else []
        )
    if options.json:
        print(json.dumps({"spread": spreads, "levels": level_rows}, indent=2))
    else:
        print(f"{options.blocks} blocks, {options.window:g} s counted for each server, {CONNECTIONS} connections.\n")
        tables = [spread_table(spreads)] if spreads else []
        tables += [level_table(level_rows)] if level_rows else []
        print("\n\n".join(tables))


if __name__ == "__main__":
    main()
