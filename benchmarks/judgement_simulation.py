"""Simulated runs whose truth is known, to see whether the judgement is as sure as it says.

The machine's speed wanders (autocorrelated), drifts and stalls (heavy tails) under all servers alike; the load visits
the servers of a group in random order in short slices, as the method says; every block has a fresh process with a level
of its own. `--results DIR` adds noise resampled from the blocks of stored runs. Prints one line for each claim, and
ends with 1 when one does not hold.

    python benchmarks/judgement_simulation.py --simulations 2000
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sgibench import stats
from sgibench.errors import ResultsError
from sgibench.results.store import read_run
from sgibench.stats.runs import BETWEEN_FLOOR, LEAST_UNCHANGED, REFERENCED_FLOOR, noise_of, shift_of, widened

Logs = NDArray[np.float64]
"""Logarithms of the measured values: servers × blocks."""
Noise = Callable[[np.random.Generator, int, int], Logs]

SERVERS = 12
ROUNDS = 30
"""Slices of each server in a block."""
PROCESS_SD = 0.015
"""Levels of fresh processes, log space; with the slices the ratio's spread is about 2.3 %."""
LOOKS = tuple(range(6, 16))


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One promise, and what the simulations say."""

    claim: str
    noise: str
    simulations: int
    share: float
    least: float
    most: float

    @property
    def holds(self) -> bool:
        """Whether the share is within its bounds, allowing for the simulation's own error (three standard errors)."""
        error = 3 * math.sqrt(max(self.share * (1 - self.share), 1e-4) / self.simulations)
        return self.least - error <= self.share <= self.most + error


# --- noise ---------------------------------------------------------------------------------------------------------


def sliced(rng: np.random.Generator, servers: int, blocks: int, *, spikes: bool, drift: bool, rho: float) -> Logs:
    """Simulate blocks slice by slice: one path of machine speed, visited by the servers in random order."""
    visits = servers * ROUNDS
    kicks = rng.standard_t(3, (blocks, visits)) / math.sqrt(3) if spikes else rng.normal(size=(blocks, visits))
    speed = np.empty((blocks, visits))
    speed[:, 0] = kicks[:, 0]
    for visit in range(1, visits):
        speed[:, visit] = rho * speed[:, visit - 1] + math.sqrt(1 - rho**2) * kicks[:, visit]
    speed *= 0.08
    if drift:
        speed += np.linspace(0, 1, visits)[None, :] * rng.normal(0, 0.2, (blocks, 1)) + rng.normal(0, 0.1, (blocks, 1))
    order = np.argsort(rng.random((blocks, ROUNDS, servers)), axis=2)
    of_round = np.exp(speed).reshape(blocks, ROUNDS, servers)
    mine = np.take_along_axis(of_round, order, axis=2)
    process = rng.standard_t(4, (servers, blocks)) / math.sqrt(2) if spikes else rng.normal(size=(servers, blocks))
    return np.asarray(np.log(mine.mean(axis=1)).T + PROCESS_SD * process)


def plain(rng: np.random.Generator, servers: int, blocks: int) -> Logs:
    """Independent normal noise."""
    return sliced(rng, servers, blocks, spikes=False, drift=False, rho=0.0)


def autocorrelated(rng: np.random.Generator, servers: int, blocks: int) -> Logs:
    """Machine speed that remembers about thirty slices."""
    return sliced(rng, servers, blocks, spikes=False, drift=False, rho=0.97)


def drifting(rng: np.random.Generator, servers: int, blocks: int) -> Logs:
    """Speed that drifts by a fifth within a block, from a level that changes by a tenth between blocks."""
    return sliced(rng, servers, blocks, spikes=False, drift=True, rho=0.9)


def heavy_tailed(rng: np.random.Generator, servers: int, blocks: int) -> Logs:
    """Stalls of the machine and odd processes: Student's t with 3 and 4 degrees of freedom."""
    return sliced(rng, servers, blocks, spikes=True, drift=True, rho=0.9)


NOISES: dict[str, Noise] = {
    "independent": plain,
    "autocorrelated": autocorrelated,
    "drifting": drifting,
    "heavy-tailed": heavy_tailed,
}


def stored(results: Path) -> Noise | None:
    """Noise resampled from stored runs: residuals of each cell against its group, block by block."""
    pools: list[Logs] = []
    for folder in sorted(results.glob("*/")):
        try:
            run = read_run(folder)
        except ResultsError:
            continue
        groups: dict[tuple[str, str], dict[str, stats.Values]] = {}
        for cell, values in stats.values_of(run, "cpu_us_per_request").items():
            _server, _app, scenario, load, settings = cell.split("/")
            groups.setdefault((scenario, load + settings), {})[cell] = values
        for cells in groups.values():
            blocks = sorted(set.intersection(*(set(values) for values in cells.values())))
            if len(cells) < 2 or len(blocks) < 3:
                continue
            logs = np.array([[math.log(values[block]) for block in blocks] for values in cells.values()])
            logs -= logs.mean(axis=0)  # what all share in a block cancels in every ratio
            logs -= logs.mean(axis=1, keepdims=True)
            shrunk = math.sqrt((1 - 1 / len(cells)) * (1 - 1 / len(blocks)))
            pools.append(logs.ravel() / shrunk)
    if not pools:
        return None
    pool = np.concatenate(pools)
    return lambda rng, servers, blocks: rng.choice(pool, size=(servers, blocks))


def as_values(logs: Logs) -> dict[str, stats.Values]:
    """Servers s0, s1, … with their blocks."""
    return {f"s{place}": dict(enumerate(np.exp(row).tolist())) for place, row in enumerate(logs)}


# --- claims --------------------------------------------------------------------------------------------------------


def false_verdicts(name: str, noise: Noise, blocks: int, runs: int, rng: np.random.Generator) -> Claim:
    """Rank equal servers, with an A/A control, and count tables in which any pair is called different."""
    wrong = 0
    for _ in range(runs):
        cells = as_values(noise(rng, SERVERS + 1, blocks))
        found = stats.rank(cells, higher_is_better=False, control=("s0", f"s{SERVERS}"))
        wrong += len(found.groups) > 1
    text = f"any false verdict among {SERVERS} equal servers, {blocks} blocks"
    return Claim(claim=text, noise=name, simulations=runs, share=wrong / runs, least=0.0, most=0.05)


def coverage(name: str, noise: Noise, blocks: int, runs: int, rng: np.random.Generator) -> Claim:
    """Count intervals of a ratio that cover the truth."""
    truth, inside = 1.05, 0
    for _ in range(runs):
        logs = noise(rng, 2, blocks)
        logs[0] += math.log(truth)
        cells = as_values(logs)
        found = stats.compare(cells["s0"], cells["s1"], delta=0.02)
        if found is not None and found.low is not None and found.high is not None:
            inside += found.low <= truth <= found.high
    text = f"interval covers the truth, {blocks} blocks"
    return Claim(claim=text, noise=name, simulations=runs, share=inside / runs, least=0.93, most=0.97)


def false_looks(name: str, noise: Noise, runs: int, rng: np.random.Generator) -> Claim:
    """Look after each block from the sixth to the fifteenth, five equal servers against a baseline."""
    wrong = 0
    for _ in range(runs):
        cells = as_values(noise(rng, 6, LOOKS[-1]))
        for at in LOOKS:
            upto = {key: {block: values[block] for block in range(at)} for key, values in cells.items()}
            pairs = {key: (values, upto["s0"]) for key, values in upto.items() if key != "s0"}
            found = stats.look(pairs, at=at, looks=LOOKS, delta=0.02)
            different = any(each.verdict in ("faster", "slower") for each in found.values())
            wrong += different
            if different or stats.settled(found):
                break
    text = f"any false verdict with looks at {LOOKS[0]} to {LOOKS[-1]} blocks, 5 against a baseline"
    return Claim(claim=text, noise=name, simulations=runs, share=wrong / runs, least=0.0, most=0.05)


def run_against_run(name: str, noise: Noise, servers: int, runs: int, rng: np.random.Generator) -> Iterator[Claim]:
    """Compare two runs of the same servers: a machine that moved by a tenth, and levels of each run's own.

    Six servers stand as references for one another; with three the plain levels are compared.
    """
    blocks, referenced = 8, servers > LEAST_UNCHANGED
    own = (REFERENCED_FLOOR if referenced else BETWEEN_FLOOR)["cpu_us_per_request"]
    wrong = inside = 0
    for _ in range(runs):
        old, new = (
            {
                f"{server}/app/json/closed/w1": values
                for server, values in as_values(
                    noise(rng, servers, blocks) + rng.normal(0, own, (servers, 1)) + referenced * rng.normal(0, 0.1)
                ).items()
            }
            for _run in range(2)
        )
        same = frozenset(old)
        shifts = {cell: shift_of(cell, old, new, same) for cell in old}
        ratios = {
            cell: widened(shift.ratio, *noise_of(cell, shifts, same, "cpu_us_per_request"))
            for cell, shift in shifts.items()
        }
        first = next(iter(ratios.values()))
        half = first.half_width(0.05)
        inside += half is not None and abs(first.mean) <= half
        levels = stats.holm_levels({cell: ratio.p_value for cell, ratio in ratios.items()}, alpha=0.05)
        verdicts = [stats.judge(ratio, delta=0.02, level=levels[cell]).verdict for cell, ratio in ratios.items()]
        wrong += any(verdict in ("faster", "slower") for verdict in verdicts)
    text = f"any false verdict between two runs of {servers} servers, {blocks} blocks"
    yield Claim(claim=text, noise=name, simulations=runs, share=wrong / runs, least=0.0, most=0.05)
    text = f"interval across runs of {servers} servers covers the truth, {blocks} blocks"
    yield Claim(claim=text, noise=name, simulations=runs, share=inside / runs, least=0.93, most=1.0)


def power(noise: Noise, effect: float, *, blocks: int, others: int, runs: int, rng: np.random.Generator) -> float:
    """Share of runs in which a server that costs `effect` more than the baseline is called slower.

    `others` equal servers stand in the same table, and all pairs are corrected together.
    """
    found = 0
    for _ in range(runs):
        logs = noise(rng, others + 2, blocks)
        logs[1] += math.log1p(effect)
        cells = as_values(logs)
        pairs = {(a, b): (cells[a], cells[b]) for a, b in combinations(cells, 2)}
        found += stats.holm(pairs, delta=0.02, higher_is_better=False)["s0", "s1"].verdict == "faster"
    return found / runs


def smallest_effect(noise: Noise, blocks: int, others: int, runs: int, rng: np.random.Generator) -> float:
    """Smallest effect that is found in 80 % of the runs, to a tenth of a per cent."""
    low, high = 0.0, 0.64
    while high - low > 0.001:
        middle = (low + high) / 2
        low, high = (
            (low, middle)
            if power(noise, middle, blocks=blocks, others=others, runs=runs, rng=rng) >= 0.8
            else (middle, high)
        )
    return high


def ratio_spread(noise: Noise, rng: np.random.Generator) -> float:
    """Standard deviation over blocks of one pair's log ratio."""
    logs = noise(rng, 2, 4000)
    return float(np.std(logs[0] - logs[1]))


def claims(noises: dict[str, Noise], runs: int, rng: np.random.Generator) -> Iterator[Claim]:
    """All claims under all kinds of noise."""
    for name, noise in noises.items():
        for blocks in (3, 6, 10):
            yield coverage(name, noise, blocks, runs, rng)
        for blocks in (3, 6, 10):
            yield false_verdicts(name, noise, blocks, runs, rng)
        yield false_looks(name, noise, runs, rng)
        for servers in (3, 6):
            yield from run_against_run(name, noise, servers, runs, rng)


def main() -> int:
    """Run all simulations and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2000, help="for each claim and kind of noise")
    parser.add_argument("--results", type=Path, help="take noise from the stored runs in this folder too")
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    noises = dict(NOISES)
    if asked.results is not None and (found := stored(asked.results)) is not None:
        noises["stored runs"] = found
    held = []
    for claim in claims(noises, asked.simulations, rng):
        held.append(claim)
        if not asked.json:
            mark = "holds" if claim.holds else "FAILS"
            print(f"{mark}  {claim.noise:15} {claim.claim}: {claim.share:.2%} of {claim.simulations}", flush=True)
    effects = []
    for name, noise in noises.items():
        spread = ratio_spread(noise, rng)
        for others, blocks in ((0, 6), (4, 6), (0, 10), (0, 20)):
            effect = smallest_effect(noise, blocks, others, max(asked.simulations // 4, 100), rng)
            effects.append({"noise": name, "spread": spread, "servers": others + 2, "blocks": blocks, "effect": effect})
            if not asked.json:
                text = f"{others + 2} servers, {blocks} blocks: {effect:.1%} more CPU is found in 80 % of runs"
                print(f"power  {name:15} {text} (spread of the ratio {spread:.1%})", flush=True)
    if asked.json:
        print(json.dumps({"claims": [asdict(claim) | {"holds": claim.holds} for claim in held], "power": effects}))
    return 0 if all(claim.holds for claim in held) else 1


if __name__ == "__main__":
    sys.exit(main())
