"""Whether verdicts on this machine are right: planted differences are found, identical apps are not told apart.

    python benchmarks/judgement_live.py            # about a quarter of an hour on two quiet cores
    python benchmarks/judgement_live.py --only planted --json

Each question is answered by runs of the product itself, under one server, with all apps side by side:
planted: an app that burns 5 % more CPU per request and one whose p50 is 10 % higher beside two plain ones, and two apps
that sleep now and then, one so much longer that its p99 is 30 % higher: is each told apart after 6 blocks? (The plain
app's own p99 is what the machine does to one request in a hundred, which no app is to blame for.)
pairs: six copies of one app in two runs of 6 blocks: how many of the 30 pairs get a verdict other than tie or unknown,
by CPU per request, requests per second, p50 and p99?
How much work and which sleep make those shares is found by calibration beforehand.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgibench import bench, stats
from sgibench.engine.progress import Silent
from sgibench.model import Metric, Run
from sgibench.results import store

SERVER = "uvicorn-httptools"
COPIES = 6
ROUNDS = 4000
"""Of busy work, to find out what one round adds to a figure: so many that it stands far above the noise."""
WINDOW_S = 3.0
RATE = 600.0
"""Requests per second of the open loop: 1,800 answers in a window, enough for a p99."""
SLEEPING = 40
"""One request in so many sleeps: more than one in a hundred, so that p99 is theirs."""
NAP_S = 0.005
"""How long: well above what the machine itself does to one request in a hundred."""
JUDGED: tuple[Metric, ...] = ("cpu_us_per_request", "rps", "p50_us", "p99_us")
APP = '''"""The plain app after {rounds} rounds of busy work; one request in {sleeping} sleeps for {sleep_s:.6f} s."""

import asyncio
from itertools import count, repeat

from asgi_plain import app as inner

INTERFACE = "asgi"
TARGET = "app"
PACKAGES = ()
numbers = count()


async def app(scope, receive, send):
    """Work, sleep now and then, and answer."""
    for _ in repeat(None, {rounds}):
        pass
    if {sleep_s:.6f} and next(numbers) % {sleeping} == 0:
        await asyncio.sleep({sleep_s:.6f})
    await inner(scope, receive, send)
'''


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What an app does beyond the plain one."""

    rounds: int = 0
    sleep_s: float = 0.0


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def measure(folder: Path, apps: Mapping[str, Planted], *, blocks: int) -> Run:
    """Run apps side by side, at saturation and at the fixed rate."""
    (folder / "apps").mkdir(parents=True, exist_ok=True)
    for name, planted in apps.items():
        text = APP.format(rounds=planted.rounds, sleep_s=planted.sleep_s, sleeping=SLEEPING)
        (folder / "apps" / f"{name}.py").write_text(text)
    request = bench.Request(
        results=folder / "results",
        argv=("judgement_live",),
        servers=(SERVER,),
        apps=tuple(apps),
        scenarios=("json",),
        blocks=blocks,
        window_s=WINDOW_S,
        rate_per_s=RATE,
        catalogues=(folder,),
    )
    return store.read_run(bench.run(request, Silent()).folder)


def tables(run: Run) -> dict[Metric, stats.Ranking]:
    """Rank the apps by each figure where it is judged, as the report does."""
    rankings: dict[Metric, stats.Ranking] = {}
    for metric in JUDGED:
        kind = "open" if metric in stats.LATENCIES else "closed"
        cells = {
            cell.split("/")[1] + ("~control" if "~control" in cell else ""): values
            for control in (False, True)
            for cell, values in stats.values_of(run, metric, control=control).items()
            if f"/{kind}-" in cell
        }
        copy = next((name for name in cells if "~control" in name), None)
        rankings[metric] = stats.rank(
            cells,
            higher_is_better=stats.HIGHER_IS_BETTER[metric],
            control=(copy.removesuffix("~control"), copy) if copy else None,
        )
    return rankings


def level(rankings: Mapping[Metric, stats.Ranking], metric: Metric, app: str) -> float:
    """Give an app's figure."""
    return next(row.estimate.value for row in rankings[metric].rows if row.cell == app)


def calibrated(folder: Path) -> dict[str, Planted]:
    """Find what makes a request cost 5 % more, p50 10 % higher and p99 30 % higher."""
    found = tables(measure(folder, {"calm": Planted(), "busy": Planted(rounds=ROUNDS)}, blocks=4))
    return {
        "burns": Planted(rounds=rounds_for(0.05, found, "cpu_us_per_request")),
        "late": Planted(rounds=rounds_for(0.10, found, "p50_us")),
        "naps": Planted(sleep_s=NAP_S),
        "sleeps": Planted(sleep_s=1.3 * NAP_S + 0.3 * level(found, "p50_us", "calm") / 1e6),
    }


def rounds_for(share: float, found: Mapping[Metric, stats.Ranking], metric: Metric) -> int:
    """How many rounds of work add that share to a figure, by what they added to that very figure.

    What a round adds to p50 at the fixed rate need not be what it adds to CPU per request at saturation.
    """
    calm, busy = (level(found, metric, app) for app in ("calm", "busy"))
    if busy <= calm:
        raise SystemExit(
            f"calibration failed: {ROUNDS} rounds of work added nothing to {metric} ({calm:.1f}, {busy:.1f})"
        )
    return max(1, round(share * calm * ROUNDS / (busy - calm)))


def planted(folder: Path) -> list[dict[str, Any]]:
    """Whether each planted difference is found after 6 blocks, beside what was planted."""
    apps = calibrated(folder / "calibration")
    say(str(apps))
    found = tables(measure(folder / "run", {"plain": Planted(), "twin": Planted(), **apps}, blocks=6))
    asked: tuple[tuple[str, str, Metric, str], ...] = (
        ("burns", "plain", "cpu_us_per_request", "5 % more CPU per request"),
        ("late", "plain", "p50_us", "a p50 10 % higher"),
        ("sleeps", "naps", "p99_us", "a p99 30 % higher"),
    )
    answers = []
    for app, beside, metric, what in asked:
        pair = found[metric].between(app, beside)
        if pair is not None:
            told = {"ratio": pair.ratio, "low": pair.low, "high": pair.high, "verdict": pair.verdict}
            answers.append({"question": f"{what}, 6 blocks", **told})
    return answers


def pairs(folder: Path) -> list[dict[str, Any]]:
    """How many pairs of identical apps get a verdict that says they differ, by each figure."""
    verdicts: dict[Metric, Counter[str]] = {metric: Counter() for metric in JUDGED}
    for number in range(2):
        names = [f"same_{number}_{copy}" for copy in range(COPIES)]
        found = tables(measure(folder / str(number), dict.fromkeys(names, Planted()), blocks=6))
        for metric, ranking in found.items():
            judged = [ranking.between(*pair) for pair in itertools.combinations(names, 2)]
            verdicts[metric].update(one.verdict for one in judged if one is not None)
    return [
        {"question": f"{sum(counts.values())} pairs of identical apps, {metric}, 6 blocks", "verdicts": dict(counts)}
        for metric, counts in verdicts.items()
    ]


def main() -> None:
    """Ask the questions and print the answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", choices=["planted", "pairs"], action="append", help="one of the questions")
    options = parser.parse_args()
    questions: dict[str, Callable[[Path], list[dict[str, Any]]]] = {"planted": planted, "pairs": pairs}
    answers: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="judgement-") as name:
        for question in options.only or questions:
            answers += questions[question](Path(name) / question)
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
