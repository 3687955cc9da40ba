"""oha's JSON (`--output-format json`, formerly `-j`; seconds throughout) and its text, which is its default.

Its requests per second count every request, failed ones and those cut off at the deadline included. Its success rate
leaves those cut off aside and calls every answer a success, whatever its status. It does not say how many connections
it used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sgibench.audit.figures import Figures
from sgibench.audit.readers import hey
from sgibench.audit.readers.fields import counted, labels, number, objects, part, scaled, sections
from sgibench.audit.readers.material import Material
from sgibench.audit.readers.summary_text import FIRST_FAILURE, RESOLUTION, START, STEP_MS, read_summary

_CUT_OFF = "aborted due to deadline"
_NAMED = (("p10", 0.1), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99))
_RARE = (("p99.9", 0.999), ("p99.99", 0.9999))


def read_json(material: Material) -> list[Figures]:
    """Read every run of the text."""
    runs = objects(material.documents, "summary", "latencyPercentiles")
    return [_json_row(run, name) for run, name in zip(runs, labels(material.name, runs), strict=True)]


def read_text(material: Material) -> list[Figures]:
    """Read every run of the text; hey's begin alike and tell no success rate."""
    runs = sections(material.plain, START)
    named = zip(runs, labels(material.name, runs), strict=True)
    return [_text_row(run, name) if "Success rate:" in run else hey.row(run, name) for run, name in named]


def _json_row(found: Mapping[str, Any], name: str) -> Figures:
    summary, latency = part(found, "summary"), part(found, "latencyPercentiles")
    statuses = {
        _status(code): number(count, code) or 0.0 for code, count in part(found, "statusCodeDistribution").items()
    }
    errors = {what: number(count, what) or 0.0 for what, count in part(found, "errorDistribution").items()}

    def ms(value: object, what: str) -> float | None:
        return scaled(number(value, what), 1e3)

    at = {q: ms(latency.get(key), key) for key, q in (*_NAMED, *_RARE)}
    return _row(
        name,
        statuses,
        errors,
        duration_s=number(summary.get("total"), "summary.total"),
        rps=number(summary.get("requestsPerSec"), "summary.requestsPerSec"),
        mean_ms=ms(summary.get("average"), "summary.average"),
        max_ms=ms(summary.get("slowest"), "summary.slowest"),
        at={q: value for q, value in at.items() if value is not None},
    )


def _status(code: str) -> int:
    if not code.isascii() or not code.isdigit() or len(code) > 3:  # noqa: PLR2004 - an HTTP status has three digits
        raise ValueError(f"statusCodeDistribution has {code[:20]!r} where a status such as 200 was expected")
    return int(code)


def _text_row(run: str, name: str) -> Figures:
    found = read_summary(run, name)
    row = _row(
        name,
        found.statuses,
        found.errors,
        duration_s=found.duration_s,
        rps=found.rps,
        mean_ms=found.mean_ms,
        max_ms=found.max_ms,
        at=found.quantiles_ms,
    )
    return replace(
        row,
        printed_ms=found.printed_ms,
        printed_mean_ms=found.printed_mean_ms,
        resolution=RESOLUTION,
        resolution_ms=STEP_MS,
    )


def _row(
    name: str,
    statuses: Mapping[int, float],
    errors: Mapping[str, float],
    *,
    duration_s: float | None,
    rps: float | None,
    mean_ms: float | None,
    max_ms: float | None,
    at: Mapping[float, float],
) -> Figures:
    failed = {f"{status} answers": count for status, count in statuses.items() if status >= FIRST_FAILURE}
    broken = {what: count for what, count in errors.items() if what != _CUT_OFF}
    return Figures(
        id=name,
        duration_s=duration_s,
        run_s=duration_s,
        requests_ok=sum(statuses.values()) - sum(failed.values()),
        cut_off=errors.get(_CUT_OFF),
        errors=sum(failed.values()) + sum(broken.values()),
        answered_wrong=sum(failed.values()),
        timed=sum(statuses.values()),
        error_text=counted(failed | broken),
        rps=rps,
        mean_ms=mean_ms,
        p50_ms=at.get(0.5),
        p90_ms=at.get(0.9),
        p95_ms=at.get(0.95),
        p99_ms=at.get(0.99),
        max_ms=max_ms,
        quantiles_ms=tuple(sorted(at.items())),
    )
