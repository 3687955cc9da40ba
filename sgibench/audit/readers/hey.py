"""hey's text output; several runs may follow one another.

It does not say how many connections it used, so Little's law can't be asked. Its rate counts every request, whatever
became of it: answers of any status and errors together are rate x time. Its latencies are of what was answered. It
keeps the first million answers and no more: of a longer run, statuses and latencies are of those, the rate of all. Its
average is then the time of all answers by a million, and none.
"""

from __future__ import annotations

from sgibench.audit.figures import Figures
from sgibench.audit.readers.fields import counted, labels, sections
from sgibench.audit.readers.hey_twice import told_twice
from sgibench.audit.readers.material import Material
from sgibench.audit.readers.summary_text import FIRST_FAILURE, RESOLUTION, START, STEP_MS, read_summary

MOST_KEPT = 1_000_000


def read(material: Material) -> list[Figures]:
    """Read every run of the text."""
    runs = sections(material.plain, START)
    return [row(run, name) for run, name in zip(runs, labels(material.name, runs), strict=True)]


def row(run: str, name: str) -> Figures:
    """Read one run."""
    found = read_summary(run, name)
    failed = {f"{status} answers": count for status, count in found.statuses.items() if status >= FIRST_FAILURE}
    answers = sum(found.statuses.values())
    capped = answers == MOST_KEPT
    return Figures(
        id=name,
        duration_s=(answers + sum(found.errors.values())) / found.rps if capped and found.rps else found.duration_s,
        run_s=found.duration_s,
        requests_ok=answers - sum(failed.values()),
        errors=sum(failed.values()) + sum(found.errors.values()),
        answered_wrong=sum(failed.values()),
        timed=answers,
        error_text=counted(failed | found.errors),
        rps=found.rps,
        mean_ms=None if capped else found.mean_ms,
        p50_ms=found.quantiles_ms.get(0.5),
        p90_ms=found.quantiles_ms.get(0.9),
        p95_ms=found.quantiles_ms.get(0.95),
        p99_ms=found.quantiles_ms.get(0.99),
        max_ms=found.max_ms,
        quantiles_ms=tuple(sorted(found.quantiles_ms.items())),
        printed_ms=found.printed_ms,
        printed_mean_ms=None if capped else found.printed_mean_ms,
        resolution=RESOLUTION,
        resolution_ms=STEP_MS,
        twice=tuple(told_twice(run, found, capped=capped)),
    )
