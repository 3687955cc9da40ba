"""How large a report of 3,600 trials is and how long it takes to make: `python benchmarks/report_size.py`.

The goal is under 6 MB in under 15 s on a small machine.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from sgibench import report
from sgibench.results import store
from tests.results_maker import CATALOGUE, WORK, Making, make_run, write_run

MOST_MB = 6.0
MOST_S = 15.0


def main() -> int:
    """Make a run with at least 3,600 trials, write its page, and print what it took."""
    making = Making(servers=CATALOGUE, scenarios=tuple(WORK), rates=(100.0,), settings=((1, 8), (2, 8)), blocks=9)
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_run(make_run(making), Path(scratch) / "results")
        started = time.perf_counter()
        run = store.read_run(folder)
        read = time.perf_counter()
        page = report.write(run, Path(scratch) / "reports")
        made = time.perf_counter()
        megabytes = page.stat().st_size / 1e6
    print(f"{len(run.trials)} trials: read in {read - started:.1f} s, page made in {made - read:.1f} s")
    print(f"the page has {megabytes:.2f} MB")
    fine = megabytes < MOST_MB and made - started < MOST_S
    print(f"goal: under {MOST_MB:g} MB in under {MOST_S:g} s: {'reached' if fine else 'missed'}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
