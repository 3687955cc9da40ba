"""oha's JSON (`oha --output-format json`, formerly `-j`); seconds throughout, as its schema.json says.

Its requestsPerSec counts every request, failed ones and those cut off at the deadline included. It does not say how
many connections it used.
"""

from __future__ import annotations

from sgibench.audit.figures import Figures
from sgibench.audit.readers.fields import json_object, number, part, scaled

_CUT_OFF = "aborted due to deadline"
_FIRST_FAILURE = 400


def recognises(text: str) -> bool:
    """Look for its two most particular members."""
    found = json_object(text)
    return found is not None and "latencyPercentiles" in found and "requestsPerSec" in part(found, "summary")


def read(text: str, name: str) -> list[Figures]:
    """Read the one run of the text."""
    found = json_object(text) or {}
    summary, latency = part(found, "summary"), part(found, "latencyPercentiles")
    codes = {code: number(count, code) or 0.0 for code, count in part(found, "statusCodeDistribution").items()}
    errors = {what: number(count, what) or 0.0 for what, count in part(found, "errorDistribution").items()}
    cut_off = errors.pop(_CUT_OFF, None)
    failed = {f"{code} answers": count for code, count in codes.items() if int(code) >= _FIRST_FAILURE} | errors

    def ms(value: object, what: str) -> float | None:
        return scaled(number(value, what), 1e3)

    return [
        Figures(
            id=name,
            duration_s=number(summary.get("total"), "summary.total"),
            requests_ok=sum(count for code, count in codes.items() if int(code) < _FIRST_FAILURE),
            cut_off=cut_off,
            errors=sum(failed.values()),
            error_text=", ".join(f"{count:.0f} × {what}" for what, count in failed.items()),
            rps=number(summary.get("requestsPerSec"), "summary.requestsPerSec"),
            mean_ms=ms(summary.get("average"), "summary.average"),
            p50_ms=ms(latency.get("p50"), "p50"),
            p90_ms=ms(latency.get("p90"), "p90"),
            p95_ms=ms(latency.get("p95"), "p95"),
            p99_ms=ms(latency.get("p99"), "p99"),
            max_ms=ms(summary.get("slowest"), "summary.slowest"),
        )
    ]
