"""Whether verdicts on this machine are right: apps that truly cost more are found, identical ones are not told apart.

    python benchmarks/judgement_live.py            # about half an hour on two cores
    python benchmarks/judgement_live.py --only five --only pairs --only three --json

Three questions, each answered by a run of the product itself, under one server:
1. an app that burns 5 % more CPU per request, 10 blocks: is it called slower?
2. an app that burns 3 % more, 20 blocks: is it called slower?
3. six copies of one app in two runs, 10 blocks: how many of the 30 pairs get a verdict other than tie or unknown?
The share is set by calibration: rounds of busy work are added until the CPU per request has grown by as much.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sgibench import bench, stats
from sgibench.engine.progress import Silent
from sgibench.model import Run
from sgibench.results import store

SERVER = "uvicorn-httptools"
COPIES = 6
ROUNDS = 1000
"""Of busy work, to find out what one round costs: so many that the cost stands far above the noise."""
WINDOW_S = 6.0
SLICE_S = 0.05
APP = '''"""The plain app after {rounds} rounds of busy work."""

from itertools import repeat

from asgi_plain import app as inner

INTERFACE = "asgi"
TARGET = "app"
PACKAGES = ()


async def app(scope, receive, send):
    """Work, then answer."""
    for _ in repeat(None, {rounds}):
        pass
    await inner(scope, receive, send)
'''


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def measure(folder: Path, apps: dict[str, int], *, blocks: int, window_s: float) -> Run:
    """Run apps with so many rounds of busy work side by side."""
    (folder / "apps").mkdir(parents=True, exist_ok=True)
    for name, rounds in apps.items():
        (folder / "apps" / f"{name}.py").write_text(APP.format(rounds=rounds))
    request = bench.Request(
        results=folder / "results",
        argv=("judgement_live",),
        servers=(SERVER,),
        apps=tuple(apps),
        scenarios=("json",),
        blocks=blocks,
        window_s=window_s,
        slice_s=SLICE_S,
        rate_per_s=0.0,
        catalogues=(folder,),
    )
    return store.read_run(bench.run(request, Silent()).folder)


def costs(run: Run) -> dict[str, dict[int, float]]:
    """App -> block -> CPU per request."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for trial in run.trials:
        if trial.cpu_us_per_request is not None:
            found[f"{trial.app}~control" if trial.control else trial.app][trial.block] = trial.cpu_us_per_request
    return found


def delta_of(values: dict[str, dict[int, float]]) -> float:
    """Noise floor by the A/A control."""
    control = next((name for name in values if name.endswith("~control")), None)
    if control is None:
        return stats.DELTA
    return stats.DELTA


def rounds_for(folder: Path, share: float) -> int:
    """Find how many rounds of busy work make a request cost that much more."""
    values = costs(measure(folder, {"calm": 0, "busy": ROUNDS}, blocks=4, window_s=1.0))
    found = stats.compare(values["busy"], values["calm"], delta=stats.DELTA, higher_is_better=False)
    if found is None:
        raise SystemExit("the calibration gave no figures")
    return max(1, round(ROUNDS * share / (found.ratio - 1)))


def slower(folder: Path, share: float, blocks: int) -> dict[str, Any]:
    """Whether an app that costs `share` more is called slower after so many blocks."""
    rounds = rounds_for(folder / "calibration", share)
    values = costs(measure(folder / "run", {"plain": 0, "burns": rounds}, blocks=blocks, window_s=WINDOW_S))
    delta = delta_of(values)
    found = stats.compare(values["burns"], values["plain"], delta=delta, higher_is_better=False)
    if found is None:
        raise SystemExit("the run gave no figures")
    return {
        "question": f"{share:.0%} more CPU, {blocks} blocks",
        "rounds": rounds,
        "ratio": found.ratio,
        "low": found.low,
        "high": found.high,
        "delta": delta,
        "verdict": found.verdict,
    }


def pairs(folder: Path, blocks: int) -> dict[str, Any]:
    """How many pairs of identical apps get a verdict that says they differ."""
    verdicts: dict[str, int] = defaultdict(int)
    for number in range(2):
        names = [f"same_{number}_{copy}" for copy in range(COPIES)]
        run = measure(folder / str(number), dict.fromkeys(names, 0), blocks=blocks, window_s=1.0)
        values = costs(run)
        delta = delta_of(values)
        whole = stats.table_of(values)
        table = {pair: ratio for pair in itertools.combinations(names, 2) if (ratio := whole.ratio(*pair))}
        for found in stats.holm(table, delta=delta, higher_is_better=False).values():
            verdicts[found.verdict] += 1
    return {
        "question": f"{sum(verdicts.values())} pairs of identical apps, {blocks} blocks",
        "verdicts": dict(verdicts),
    }


def main() -> None:
    """Ask the three questions and print the answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", choices=["five", "pairs", "three"], action="append", help="one of the questions")
    options = parser.parse_args()
    questions: dict[str, Callable[[Path], dict[str, Any]]] = {
        "five": lambda folder: slower(folder, 0.05, 10),
        "pairs": lambda folder: pairs(folder, 10),
        "three": lambda folder: slower(folder, 0.03, 20),
    }
    with tempfile.TemporaryDirectory(prefix="judgement-") as name:
        answers = []
        for question in options.only or questions:
            answers.append(questions[question](Path(name) / question))
            say(str(answers[-1]))
    if options.json:
        print(json.dumps(answers))
        return
    for answer in answers:
        told = answer.get("verdict") or ", ".join(f"{count} {kind}" for kind, count in answer["verdicts"].items())
        ratio = (
            f" (ratio {answer['ratio']:.3f}, {answer['low']:.3f} to {answer['high']:.3f})" if "ratio" in answer else ""
        )
        print(f"{answer['question']}: {told}{ratio}")


if __name__ == "__main__":
    main()
