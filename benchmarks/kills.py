"""Ends runs at random moments, in every way a run can end, and looks at what is left.

    python benchmarks/kills.py --kills 100 --seed 1

Each run has two load workers and starts with an empty cache, so that environments are made in it. After each end: no
process goes on, the next command takes the scratch folder away, every trial that was on disk is still there, `--resume`
completes the plan, and the exit status says what ended it. Exit 1 when anything of this does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sgibench.engine.windows import trials_in
from sgibench.errors import ResultsError
from sgibench.results import store

FAULTY = Path(__file__).parent.parent / "tests" / "faulty"
WORK = (
    "--server faulty-none --server faulty-hides-child --scenario json --blocks 2 --window 0.2s --connections 4 "
    "--no-control --retries 0 --load-workers 2"
).split()
WAYS = ("SIGINT", "SIGTERM", "SIGKILL", "SIGHUP", "terminal")
"""The last: the terminal in which it runs is closed."""
ENDED_BY = {**{way: signal.Signals[way] for way in WAYS[:-1]}, "terminal": signal.SIGHUP}
PATIENCE_S = 60.0
SETTLED_S = 15.0
"""Who is there so long after a run has ended is left behind; on a machine with much else to do guards have to wait.
How long it took is in the table."""


@dataclass(frozen=True, kw_only=True)
class Kill:
    """What became of one run."""

    way: str
    after_s: float
    stage: str
    """How far it had come: nothing, environments, run.json, trials, finished."""
    ended_after_s: float
    """From the signal to the end of the command itself."""
    outlived_s: float
    """From the end of the command to the end of the last process that it had started."""
    left: list[str]
    """Processes that were still there two seconds after the command's end."""
    scratch: list[str]
    """Folders that were still there after the next command."""
    kept: bool
    """Whether all that was on disk is still there."""
    completed: bool | None
    """Whether `--resume` completed the plan; None when there was nothing to resume."""
    told: bool
    """Whether its exit status is that of what ended it."""
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Whether all is as it should be."""
        return not self.left and not self.scratch and self.kept and self.completed is not False and self.told


def of_campaign(folder: Path) -> dict[int, str]:
    """Processes that belong to this campaign, known by the TMPDIR that all of them inherit: pid -> command line."""
    mark = f"TMPDIR={folder / 'tmp'}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if "\nState:\tZ" not in (entry / "status").read_text():
                    found[int(entry.name)] = words[:200]
        except OSError:
            continue
    return found


class Campaign:
    """One folder in which runs are started and ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results"
        (folder / "tmp").mkdir()

    def environment(self, *, fresh: bool) -> dict[str, str]:
        """Give a run its own temporary files, and a cache, which may have to be filled first."""
        cache = self.folder / "cache"
        if fresh:
            shutil.rmtree(cache, ignore_errors=True)
        return {**os.environ, "TMPDIR": str(self.folder / "tmp"), "SGIBENCH_CACHE": str(cache)}

    def command(self, *arguments: str) -> list[str]:
        """Give the command line of a run of this campaign."""
        folders = ["--results", str(self.results), "--reports", str(self.folder / "reports")]
        catalogue = ["--catalogue", str(FAULTY)]
        return [sys.executable, "-m", "sgibench.cli", "run", "--quiet", *folders, *catalogue, *arguments]

    def kill(self, way: str, after_s: float) -> Kill:
        """Start a run, end it, and look."""
        shutil.rmtree(self.results, ignore_errors=True)
        running, end = self._start(way)
        time.sleep(after_s)
        finished = running.poll() is not None
        end()
        asked_s = time.monotonic()
        status = running.wait(PATIENCE_S)
        ended_s = time.monotonic()
        alive = of_campaign(self.folder)
        while alive and time.monotonic() < ended_s + SETTLED_S:
            time.sleep(0.02)
            alive = of_campaign(self.folder)
        outlived_s = time.monotonic() - ended_s
        runs = store.list_runs(self.results)
        made = (self.folder / "cache" / "envs").exists()
        stage = "finished" if finished else self._stage(runs) or ("environments" if made else "nothing")
        try:
            kept, completed, detail = self._resumed(runs)
        except ResultsError as unreadable:
            kept, completed, detail = False, False, str(unreadable)
        return Kill(
            way=way,
            after_s=after_s,
            stage=stage,
            ended_after_s=ended_s - asked_s,
            outlived_s=outlived_s,
            left=sorted(alive.values()),
            scratch=sorted(each.name for each in (self.folder / "tmp").glob("sgibench-*")),
            kept=kept,
            completed=completed,
            told=finished or status in {128 + ENDED_BY[way], -ENDED_BY[way]},  # the latter before it has begun
            detail=detail or f"exit {status}",
        )

    def _stage(self, runs: Sequence[Path]) -> str:
        if not runs:
            return ""
        return "trials" if store.read_run(runs[0]).trials else "run.json"

    def _start(self, way: str) -> tuple[subprocess.Popen[bytes], Callable[[], None]]:
        """Start a run; gives it and what ends it."""
        command, environment = self.command(*WORK), self.environment(fresh=True)
        if way != "terminal":
            running = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
            return running, lambda: running.send_signal(signal.Signals[way])
        ours, theirs = pty.openpty()
        running = subprocess.Popen(
            [shutil.which("setsid") or "setsid", "--ctty", *command],
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        return running, lambda: os.close(ours)

    def _resumed(self, runs: Sequence[Path]) -> tuple[bool, bool | None, str]:
        """Start the next command, which resumes the run if there is one: kept, completed, what went wrong."""
        if not runs or store.read_run(runs[0]).info.finished_at is not None:
            command = [sys.executable, "-m", "sgibench.cli", "check", "faulty-none", "--catalogue", str(FAULTY)]
            done = self._run(command)
            return True, None, "" if done.returncode in {0, 1} else done.stderr
        path = runs[0] / store.TRIALS_FILE
        before = path.read_bytes() if path.exists() else b""
        whole = before[: before.rfind(b"\n") + 1]
        done = self._run(self.command("--resume", runs[0].name))
        run = store.read_run(runs[0])
        measured = [(trial.block, trial.cell) for trial in run.trials]
        completed = done.returncode == 0 and len(measured) == len(set(measured)) == trials_in(run.info.plan)
        return path.read_bytes().startswith(whole), completed, "" if completed else done.stderr[-300:]

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self.environment(fresh=False), capture_output=True, check=False, text=True, timeout=300
        )

    def whole_s(self) -> float:
        """How long a run takes that nobody ends."""
        began_s = time.monotonic()
        done = subprocess.run(
            self.command(*WORK), env=self.environment(fresh=True), capture_output=True, check=False, text=True
        )
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        return time.monotonic() - began_s


def main() -> None:
    """End as many runs as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--within", type=float, help="seconds in which to end them; else as long as a whole run takes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for ignored in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(ignored) == signal.SIG_IGN:  # as nohup and a shell's & leave them: runs would inherit that
            signal.signal(ignored, signal.SIG_DFL)
    dice = random.Random(options.seed)
    ways = [WAYS[number % len(WAYS)] for number in range(options.kills)]
    dice.shuffle(ways)
    kills = []
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        campaign = Campaign(Path(name))
        whole_s = options.within or campaign.whole_s()
        for way in ways:
            kills.append(campaign.kill(way, dice.uniform(0, whole_s)))
            if not options.json:
                print("." if kills[-1].holds else f"\n{kills[-1]}", end="", flush=True)
    if options.json:
        print(json.dumps({"kills": [asdict(kill) | {"holds": kill.holds} for kill in kills]}))
    else:
        tell(kills)
    sys.exit(0 if all(kill.holds for kill in kills) else 1)


def tell(kills: Sequence[Kill]) -> None:
    """Print what came out, by way."""
    print(f"\n{'way':10}{'runs':>5}{'held':>6}{'resumed':>9}{'command ended after':>22}{'outlived by at most':>22}")
    for way in WAYS:
        mine = [kill for kill in kills if kill.way == way]
        if mine:
            resumed = sum(1 for kill in mine if kill.completed)
            ended_s, outlived_s = (
                max(getattr(kill, name) for kill in mine) for name in ("ended_after_s", "outlived_s")
            )
            held = sum(kill.holds for kill in mine)
            print(f"{way:10}{len(mine):5}{held:6}{resumed:9}{ended_s:20.2f} s{outlived_s:20.2f} s")
    stages = sorted({kill.stage for kill in kills})
    print("ended while there was: " + ", ".join(f"{s} {sum(k.stage == s for k in kills)}" for s in stages))


if __name__ == "__main__":
    main()
