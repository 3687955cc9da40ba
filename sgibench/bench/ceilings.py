"""The generator's ceilings by themselves: no server, no run, one figure a scenario."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median_low

from sgibench import catalogue, machine
from sgibench.bench.request import select_scenarios
from sgibench.bench.workshop import load_process
from sgibench.engine.workshop import Listener
from sgibench.model import Calibration


def find_ceilings(
    patterns: Sequence[str], catalogues: Sequence[Path], window_s: float, repeats: int, listener: Listener
) -> list[Calibration]:
    """Calibrate the generator in turn for each scenario, `repeats` times round; gives the median one of each."""
    paths = select_scenarios(catalogue.load(catalogues), patterns)
    with load_process(machine.plan_cpus(1)) as (process, _):
        scenarios = process.describe(paths)
        rounds: list[list[Calibration]] = []
        for number in range(repeats):
            listener.say(f"calibrating the load generator, round {number + 1} of {repeats}")
            rounds.append([process.calibrate(scenario, window_s) for scenario in scenarios])
    found = []
    for repeated in zip(*rounds, strict=True):
        middle = median_low([each.rps_per_core for each in repeated])
        found.append(next(each for each in repeated if each.rps_per_core == middle))
    return found
