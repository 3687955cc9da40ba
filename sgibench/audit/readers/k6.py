"""k6's summary JSON: `--summary-export` (figures beside the metric's name) and handleSummary (under `values`).

Virtual users may think between requests, and their number may change. Only when it was constant and at least 97 % of
their time went into requests are they taken as connections kept busy. In `http_req_failed`, `passes` are the failures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sgibench.audit.figures import Figures
from sgibench.audit.readers.fields import json_object, number, part

_BUSY_SHARE = 0.97


def recognises(text: str) -> bool:
    """Look for the metric that every HTTP test has."""
    found = json_object(text)
    return found is not None and "http_req_duration" in part(found, "metrics")


def read(text: str, name: str) -> list[Figures]:
    """Read the one run of the text."""
    metrics = part(json_object(text) or {}, "metrics")
    latency, requests, failures = (
        _of(metrics, "http_req_duration"),
        _of(metrics, "http_reqs"),
        _of(metrics, "http_req_failed"),
    )
    count, rate = number(requests.get("count"), "http_reqs.count"), number(requests.get("rate"), "http_reqs.rate")
    if count is None or rate is None:
        raise ValueError("http_reqs has no count and rate")
    failed = number(failures.get("passes"), "http_req_failed.passes")
    mean_ms = number(latency.get("avg"), "http_req_duration.avg")
    return [
        Figures(
            id=name,
            connections=_kept_busy(metrics, count, mean_ms),
            duration_s=count / rate if rate else None,
            requests_ok=count - (failed or 0.0),
            errors=failed,
            rps=rate,
            mean_ms=mean_ms,
            p50_ms=number(latency.get("med"), "http_req_duration.med"),
            p90_ms=number(latency.get("p(90)"), "http_req_duration.p(90)"),
            p95_ms=number(latency.get("p(95)"), "http_req_duration.p(95)"),
            p99_ms=number(latency.get("p(99)"), "http_req_duration.p(99)"),
            max_ms=number(latency.get("max"), "http_req_duration.max"),
        )
    ]


def _of(metrics: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    metric = part(metrics, name)
    return part(metric, "values") or metric


def _kept_busy(metrics: Mapping[str, Any], requests: float, mean_ms: float | None) -> float | None:
    users, rounds, turn = _of(metrics, "vus"), _of(metrics, "iterations"), _of(metrics, "iteration_duration")
    fewest, most = number(users.get("min"), "vus.min"), number(users.get("max"), "vus.max")
    turns, turn_ms = number(rounds.get("count"), "iterations.count"), number(turn.get("avg"), "iteration_duration.avg")
    if not most or fewest != most or mean_ms is None or not turns or not turn_ms:
        return None
    return most if requests * mean_ms >= _BUSY_SHARE * turns * turn_ms else None
