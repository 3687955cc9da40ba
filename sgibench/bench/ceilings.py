"""The generator's ceilings by themselves: no server, no run, one figure a scenario."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median_low

from sgibench import catalogue, machine
from sgibench.bench.request import select_scenarios
from sgibench.bench.workshop import Ceilings, load_process
from sgibench.engine.workshop import Listener
from sgibench.errors import CeilingError
from sgibench.model import Calibration


def find_ceilings(
    patterns: Sequence[str], catalogues: Sequence[Path], window_s: float, repeats: int, listener: Listener
) -> Ceilings:
    """Calibrate the generator in turn for each scenario, `repeats` times round; gives the median one of each.

    A scenario for which one round told no ceiling has none; the others have theirs.
    """
    paths = select_scenarios(catalogue.load(catalogues), patterns)
    with load_process(machine.plan_cpus(1)) as (process, _):
        scenarios = process.describe(paths)
        rounds: dict[str, list[Calibration]] = {scenario.id: [] for scenario in scenarios}
        unknown: dict[str, str] = {}
        for number in range(repeats):
            listener.say(f"calibrating the load generator, round {number + 1} of {repeats}")
            for scenario in scenarios:
                if scenario.id not in unknown:
                    try:
                        rounds[scenario.id].append(process.calibrate(scenario, window_s))
                    except CeilingError as error:
                        unknown[scenario.id] = str(error)
    found = [_middle(repeated) for scenario, repeated in rounds.items() if scenario not in unknown]
    return Ceilings(found=tuple(found), unknown=unknown)


def _middle(repeated: Sequence[Calibration]) -> Calibration:
    middle = median_low([each.rps_per_core for each in repeated])
    return next(each for each in repeated if each.rps_per_core == middle)
