"""Simulated runs whose truth is known, to see whether the judgement is as sure as it says.

The machine's speed wanders (autocorrelated), drifts and stalls (heavy tails) under all servers alike; the load visits
the servers of a group in random order in short slices, as the method says; every block has a fresh process with a level
of its own. `--results DIR` adds noise resampled from the blocks of stored runs: of cost, throughput, p50 and p99. It
prints one line for each claim, then the power at each effect, beside the paired t's; it ends with 1 when a claim does
not hold.

    python benchmarks/judgement_simulation.py --simulations 2000
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sgibench import stats
from sgibench.errors import ResultsError
from sgibench.model import Metric
from sgibench.results.store import read_run
from sgibench.stats.runs import BETWEEN_FLOOR, LEAST_UNCHANGED, REFERENCED_FLOOR, noise_of, shifts_of, widened

Logs = NDArray[np.float64]
"""Logarithms of the measured values: servers × blocks."""
Noise = Callable[[np.random.Generator, int, int], Logs]

SERVERS = 6
"""In a table, as in the quick profile; the A/A control's copy comes to them."""
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


def unlike(rng: np.random.Generator, servers: int, blocks: int) -> Logs:
    """Servers of which each scatters in its own way, the loudest about four times as much as the calmest."""
    sizes = np.exp(rng.uniform(math.log(0.01), math.log(0.04), (servers, 1)))
    return np.asarray(sizes * rng.normal(size=(servers, blocks)) + rng.normal(0, 0.1, blocks))


def one_loud(rng: np.random.Generator, servers: int, blocks: int) -> Logs:
    """One server with four times the noise of the others."""
    logs = rng.normal(0, 0.018, (servers, blocks))
    logs[0] *= 4
    return logs


def calm_and_wild(rng: np.random.Generator, servers: int, blocks: int) -> Logs:
    """Two calm servers among wild ones: a p99 that is their own beside some that the machine decides."""
    logs = rng.normal(0, 0.5, (servers, blocks))
    logs[:2] *= 0.06
    return np.asarray(logs + rng.normal(0, 0.05, blocks))


def disturbed(rng: np.random.Generator, servers: int, blocks: int) -> Logs:
    """Now and then a block in which one server's figure is several times as high: a p99 on a disturbed machine."""
    logs = rng.normal(0, 0.05, (servers, blocks))
    return np.asarray(logs + (rng.random((servers, blocks)) < 0.04) * rng.exponential(1.0, (servers, blocks)))


NOISES: dict[str, Noise] = {
    "independent": plain,
    "autocorrelated": autocorrelated,
    "drifting": drifting,
    "heavy-tailed": heavy_tailed,
    "unlike cells": unlike,
    "one loud cell": one_loud,
    "calm and wild": calm_and_wild,
    "disturbed blocks": disturbed,
}


def stored(results: Path, metric: Metric) -> Noise | None:
    """Noise of one figure resampled from stored runs: residuals of each cell against its group, block by block.

    Each table takes its noise from one stored group: what waits scatters otherwise than what computes.
    """
    pools: list[Logs] = []
    for folder in sorted(results.glob("*/")):
        try:
            run = read_run(folder)
        except ResultsError:
            continue
        groups: dict[tuple[str, str], dict[str, stats.Values]] = {}
        for cell, values in stats.values_of(run, metric).items():
            _server, _app, scenario, load, settings = cell.split("/")
            if stats.judged(metric, "open" if load.startswith("open") else "closed", ("open", "closed")):
                groups.setdefault((scenario, load + settings), {})[cell] = values
        for cells in groups.values():
            blocks = sorted(set.intersection(*(set(values) for values in cells.values())))
            if len(cells) < 2 or len(blocks) < 3:
                continue
            logs = np.array([[math.log(values[block]) for block in blocks] for values in cells.values()])
            logs -= np.median(logs - np.median(logs, axis=1, keepdims=True), axis=0)  # what all share in a block
            logs -= logs.mean(axis=1, keepdims=True)
            pools.append(logs.ravel() / math.sqrt((1 - 1 / len(cells)) * (1 - 1 / len(blocks))))
    if not pools:
        return None

    def noise(rng: np.random.Generator, servers: int, blocks: int) -> Logs:
        pool = pools[rng.integers(len(pools))]
        return np.asarray(rng.choice(pool, size=(servers, blocks)) + rng.normal(0, 1e-4, (servers, blocks)))

    return noise


def as_values(logs: Logs) -> dict[str, stats.Values]:
    """Servers s0, s1, … with their blocks."""
    return {f"s{place}": dict(enumerate(np.exp(row).tolist())) for place, row in enumerate(logs)}


# --- claims --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What kind of tables are simulated."""

    name: str
    noise: Noise
    runs: int
    rng: np.random.Generator


def tables(kind: Kind, servers: int, blocks: int, *, lost: float = 0.0) -> Iterator[Claim]:
    """Rank equal servers beside an A/A copy: false verdicts, and how often the intervals of all pairs cover."""
    wrong = inside = pairs = 0
    for _ in range(kind.runs):
        cells = as_values(kind.noise(kind.rng, servers + 1, blocks))
        if lost:
            cells = {cell: thinned(values, lost, kind.rng) for cell, values in cells.items()}
        found = stats.rank(cells, higher_is_better=False, control=("s0", f"s{servers}"))
        wrong += len(found.groups) > 1
        for pair in found.verdicts.values():
            if pair.low is not None and pair.high is not None:
                pairs += 1
                inside += pair.low <= 1 <= pair.high
    what = f"{servers} servers, {blocks} blocks" + (f", {lost:.0%} of them missing" if lost else "")
    yield Claim(
        claim=f"any false verdict: {what}", noise=kind.name, simulations=kind.runs, share=wrong / kind.runs,
        least=0.0, most=0.05,
    )  # fmt: skip
    # The pairs of a table are not independent: the simulation's own error is that of the tables.
    yield Claim(
        claim=f"intervals cover: {what}", noise=kind.name, simulations=kind.runs, share=inside / pairs,
        least=0.93, most=LOOSE.get(kind.name, 0.97 if servers < 10 else 0.985),
    )  # fmt: skip


LOOSE = {"disturbed blocks": 1.0, "heavy-tailed": 0.985, "one loud cell": 0.98}
"""Where heavy tails or one cell's noise make intervals wider than they need be; never narrower."""


def thinned(values: stats.Values, lost: float, rng: np.random.Generator) -> stats.Values:
    """Lose blocks, but not the first two."""
    return {block: value for block, value in values.items() if block < 2 or rng.random() >= lost}


def false_looks(kind: Kind) -> Claim:
    """Look after each block from the sixth to the fifteenth, five equal servers against a baseline."""
    wrong = 0
    for _ in range(kind.runs):
        cells = as_values(kind.noise(kind.rng, 6, LOOKS[-1]))
        for at in LOOKS:
            table = stats.table_of({key: {b: values[b] for b in range(at)} for key, values in cells.items()})
            ratios = {key: ratio for key in cells if key != "s0" and (ratio := table.ratio(key, "s0"))}
            found = stats.look(ratios, at=at, looks=LOOKS, delta=stats.DELTA)
            different = any(each.verdict in ("faster", "slower") for each in found.values())
            wrong += different
            if different or stats.settled(found):
                break
    text = f"any false verdict with looks at {LOOKS[0]} to {LOOKS[-1]} blocks, 5 against a baseline"
    return Claim(claim=text, noise=kind.name, simulations=kind.runs, share=wrong / kind.runs, least=0.0, most=0.05)


def run_against_run(kind: Kind, servers: int) -> Iterator[Claim]:
    """Compare two runs of the same servers: a machine that moved by a tenth, and levels of each run's own.

    Six servers stand as references for one another; with three the plain levels are compared.
    """
    blocks, referenced = 8, servers > LEAST_UNCHANGED
    own = (REFERENCED_FLOOR if referenced else BETWEEN_FLOOR)["cpu_us_per_request"]
    wrong = inside = 0
    for _ in range(kind.runs):
        old, new = (
            {
                f"{server}/app/json/closed/w1": values
                for server, values in as_values(
                    kind.noise(kind.rng, servers, blocks)
                    + kind.rng.normal(0, own, (servers, 1))
                    + referenced * kind.rng.normal(0, 0.1)
                ).items()
            }
            for _run in range(2)
        )
        same = frozenset(old)
        shifts = shifts_of(list(old), old, new, same)
        ratios = {
            cell: widened(shift.ratio, *noise_of(cell, shifts, same, "cpu_us_per_request"))
            for cell, shift in shifts.items()
        }
        first = next(iter(ratios.values()))
        half = first.half_width(0.05)
        inside += half is not None and abs(first.mean) <= half
        verdicts = [found.verdict for found in stats.holm(ratios, delta=stats.DELTA).values()]
        wrong += any(verdict in ("faster", "slower") for verdict in verdicts)
    text = f"any false verdict between two runs of {servers} servers, {blocks} blocks"
    yield Claim(claim=text, noise=kind.name, simulations=kind.runs, share=wrong / kind.runs, least=0.0, most=0.05)
    text = f"interval across runs of {servers} servers covers the truth, {blocks} blocks"
    yield Claim(claim=text, noise=kind.name, simulations=kind.runs, share=inside / kind.runs, least=0.93, most=1.0)


def advice(kind: Kind) -> Iterator[Claim]:
    """Take the advice about more blocks for two of six servers that may differ, and see if the pair is settled."""
    right = given = 0
    for _ in range(kind.runs // 2):
        logs = kind.noise(kind.rng, SERVERS, MOST_BLOCKS)
        logs[1] += kind.rng.normal(0, 0.06)
        pair = ranked(logs[:, :6]).between("s0", "s1")
        more = pair.more_blocks if pair is not None and pair.verdict == "unknown" else None
        if more is None or 6 + more > MOST_BLOCKS:
            continue
        given += 1
        later = ranked(logs[:, : 6 + more]).between("s0", "s1")
        right += later is not None and later.verdict != "unknown"
    if kind.name in UNSEEN:
        text = f"advice about more blocks is given and does not come true, 6 blocks ({given} times given)"
        share = (given - right) / (kind.runs // 2)
        yield Claim(
            claim=text, noise=kind.name, simulations=kind.runs // 2, share=share, least=0.0, most=UNSEEN[kind.name]
        )
        return
    if given < FEWEST:
        return
    text = f"advice about more blocks comes true, 6 blocks ({given} times given)"
    yield Claim(claim=text, noise=kind.name, simulations=given, share=right / given, least=0.8, most=1.0)


UNSEEN = {"disturbed blocks": 0.1}
"""Where a block is disturbed now and then, six blocks without one tell nothing of those to come: in so many pairs the
advice may be wrong. Where one is seen none is given."""
FEWEST = 20
"""With loud noise most advice is beyond what is tried; fewer than this say nothing about four in five."""
MOST_BLOCKS = 160
"""Advice that needs more than this is not tried."""


def ranked(logs: Logs) -> stats.Ranking:
    """Judge a table without a control."""
    return stats.rank(as_values(logs), higher_is_better=False, control=None)


def claims(kinds: Iterable[Kind]) -> Iterator[Claim]:
    """All claims under all kinds of noise."""
    for kind in kinds:
        for blocks in (3, 6, 10):
            yield from tables(kind, SERVERS, blocks)
        yield from tables(kind, 4, 3)
        yield from tables(kind, 3, 3)
        yield from tables(kind, SERVERS, 6, lost=0.25)
        few = Kind(name=kind.name, noise=kind.noise, runs=max(kind.runs // 7, 50), rng=kind.rng)
        yield from tables(few, 30, 3)
        yield false_looks(few)
        for servers in (3, 6):
            yield from run_against_run(kind, servers)
        yield from advice(kind)


# --- power ---------------------------------------------------------------------------------------------------------


EFFECTS = (0.05, 0.10, 0.20)


@dataclass(frozen=True, kw_only=True)
class Power:
    """How often a server that needs more is told apart from one that does not, in a table with others."""

    noise: str
    servers: int
    blocks: int
    half_width: float
    """Median over tables, of the pair's interval."""
    found: tuple[float, ...]
    """For each of EFFECTS."""
    paired_half_width: float
    paired: tuple[float, ...]
    """The same by the paired t, Holm over the same pairs."""


def power(kind: Kind, servers: int, blocks: int) -> Power:
    """Try each effect on the same tables with both ways of judging."""
    found, paired = [0] * len(EFFECTS), [0] * len(EFFECTS)
    halves, paired_halves = [], []
    for _ in range(kind.runs):
        plain = kind.noise(kind.rng, servers + 1, blocks)
        for place, effect in enumerate(EFFECTS):
            logs = plain.copy()
            logs[1] += math.log1p(effect)
            cells = as_values(logs)
            table = stats.table_of(cells)
            names = [f"s{at}" for at in range(servers)]
            pairs = list(combinations(names, 2))
            moderated = {pair: ratio for pair in pairs if (ratio := table.ratio(*pair))}
            alone = {pair: ratio for pair in pairs if (ratio := stats.log_ratio(cells[pair[0]], cells[pair[1]]))}
            found[place] += told_apart(moderated)
            paired[place] += told_apart(alone)
        halves.append(moderated["s0", "s1"].half_width(0.05) or 0.0)
        paired_halves.append(alone["s0", "s1"].half_width(0.05) or 0.0)
    return Power(
        noise=kind.name,
        servers=servers,
        blocks=blocks,
        half_width=float(np.median(halves)),
        found=tuple(count / kind.runs for count in found),
        paired_half_width=float(np.median(paired_halves)),
        paired=tuple(count / kind.runs for count in paired),
    )


def told_apart(ratios: dict[tuple[str, str], stats.LogRatio]) -> bool:
    """Whether the first two servers get the right verdict."""
    return stats.holm(ratios, delta=stats.DELTA, higher_is_better=False)["s0", "s1"].verdict == "faster"


def main() -> int:
    """Run all simulations and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2000, help="for each claim and kind of noise")
    parser.add_argument("--results", type=Path, help="take noise from the stored runs in this folder too")
    parser.add_argument("--only", action="append", help="only this kind of noise; repeatable")
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    asked = parser.parse_args()
    noises = dict(NOISES)
    for metric in stats.METRICS[:4] if asked.results is not None else ():
        if (found := stored(asked.results, metric)) is not None:
            noises[f"stored {metric}"] = found
    kinds = [
        Kind(name=name, noise=noise, runs=asked.simulations, rng=np.random.default_rng(asked.seed + at))
        for at, (name, noise) in enumerate(noises.items())
        if not asked.only or name in asked.only
    ]
    held = []
    for claim in claims(kinds):
        held.append(claim)
        if not asked.json:
            mark = "holds" if claim.holds else "FAILS"
            print(f"{mark}  {claim.noise:25} {claim.claim}: {claim.share:.2%} of {claim.simulations}", flush=True)
    powers = []
    for kind in kinds:
        few = Kind(name=kind.name, noise=kind.noise, runs=max(asked.simulations // 4, 50), rng=kind.rng)
        for servers, blocks in ((6, 3), (6, 6), (6, 10)):
            powers.append(power(few, servers, blocks))
            if not asked.json:
                print(power_line(powers[-1]), flush=True)
    if asked.json:
        told = {"claims": [asdict(claim) | {"holds": claim.holds} for claim in held]}
        print(json.dumps(told | {"effects": EFFECTS, "power": [asdict(one) for one in powers]}))
    return 0 if all(claim.holds for claim in held) else 1


def power_line(one: Power) -> str:
    """Say it in a line."""
    effects = " ".join(f"{effect:.0%}" for effect in EFFECTS)
    found, paired = (" ".join(f"{share:.2f}" for share in shares) for shares in (one.found, one.paired))
    what = f"{one.servers} servers, {one.blocks} blocks: ±{one.half_width:.1%}, {effects} more found {found}"
    return f"power  {one.noise:25} {what} (paired t: ±{one.paired_half_width:.1%}, {paired})"


if __name__ == "__main__":
    sys.exit(main())
