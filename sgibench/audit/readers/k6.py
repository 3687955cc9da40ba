"""k6's end-of-test summary: its JSON (`--summary-export`, and handleSummary under `values`) and its text.

Virtual users may think between requests, and their number may change. Only when it was constant and at least 97 % of
their time went into requests are they taken as connections kept busy; a run that ends gracefully waits for its last
iterations, and loses up to one for each user. Iterations can't keep more users busy than there were. Requests and
latencies count failures too: in `http_req_failed`, `passes` are the failures, and `expected_response:true` are the
others by themselves. Opening a connection is outside of a request's duration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sgibench.audit.figures import Figures, Twice
from sgibench.audit.readers import k6_text
from sgibench.audit.readers.fields import labels, number, objects, part
from sgibench.audit.readers.material import Material
from sgibench.units import percent, seconds, significant

_BUSY_SHARE = 0.97
_SAME_TIME = 0.02
_SHARE = 0.0002
"""Shares are printed as hundredths of a per cent, cut."""
_GRACE_MS = 30_000.0
"""How long a graceful stop waits, unless it is told otherwise."""
_QUANTILES = (("med", 0.5), ("p(75)", 0.75), ("p(90)", 0.9), ("p(95)", 0.95), ("p(99)", 0.99), ("p(99.9)", 0.999))


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """A run's metrics by name, with their values checked as they are asked for."""

    found: Mapping[str, Any]

    def get(self, metric: str, value: str) -> float | None:
        """Look up one value; both shapes of the JSON are known."""
        member = part(self.found, metric)
        return number((part(member, "values") or member).get(value), f"{metric}.{value}")


def read_json(material: Material) -> list[Figures]:
    """Read every run of the text."""
    return list(_rows([part(each, "metrics") for each in objects(material.documents, "metrics")], material.name))


def read_text(material: Material) -> list[Figures]:
    """Read every run of the text."""
    return list(_rows(k6_text.runs_of(material.plain), material.name))


def _rows(runs: list[Mapping[str, Any]], name: str) -> Iterator[Figures]:
    for run, label in zip(runs, labels(name, runs), strict=True):
        yield _row(Metrics(found=run), label)


def _row(run: Metrics, name: str) -> Figures:
    count, rate = run.get("http_reqs", "count"), run.get("http_reqs", "rate")
    if count is None or rate is None:
        raise ValueError("http_reqs has no count and rate")
    failed = run.get("http_req_failed", "passes")
    mean_ms = run.get("http_req_duration", "avg") or None
    each_connects = (run.get("http_req_connecting", "med") or 0.0) > 0
    # 0 is what it prints for what was never answered, and for microseconds in a summary that is in seconds.
    at = {q: run.get("http_req_duration", key) or None for key, q in _QUANTILES}
    right = {q: run.get("http_req_duration{expected_response:true}", key) or None for key, q in _QUANTILES}
    return Figures(
        id=name,
        connections=_kept_busy(run, count, mean_ms),
        edge_ms=_edge_ms(run),
        users=_users(run),
        users_at_work=_at_work(run),
        users_at_work_how=_how(run),
        dropped=run.get("dropped_iterations", "count"),
        iterations_due=(run.get("dropped_iterations", "count") or 0.0) + (run.get("iterations", "count") or 0.0),
        duration_s=count / rate if rate else None,
        requests_ok=count - (failed or 0.0),
        errors=failed,
        error_text="" if not failed else f"{failed:.0f} × http_req_failed",
        rps=rate,
        mean_ms=mean_ms,
        new_connections=each_connects,
        opening_ms=run.get("http_req_connecting", "avg"),
        connect_ms=run.get("http_req_connecting", "avg") if each_connects else None,
        p50_ms=at[0.5],
        p90_ms=at[0.9],
        p95_ms=at[0.95],
        p99_ms=at[0.99],
        max_ms=run.get("http_req_duration", "max") or None,
        quantiles_ms=tuple((q, value) for q, value in at.items() if value is not None),
        twice=tuple(_told_twice(run, count, rate)),
        right_quantiles_ms=tuple((q, value) for q, value in right.items() if value is not None),
    )


def _told_twice(run: Metrics, count: float, rate: float) -> Iterator[Twice]:
    """Compare the time that rates are over, which is one for all, and the share of failures with its counts."""
    turns, turn_rate = run.get("iterations", "count"), run.get("iterations", "rate")
    if count and rate > 0 and turns and turn_rate and turn_rate > 0:
        lasted_s, turning_s = count / rate, turns / turn_rate
        room = _SAME_TIME + 0.01 / rate + 0.01 / turn_rate
        yield Twice(
            told=f"{count:,.0f} requests at {significant(rate)}/s take {seconds(lasted_s)}",
            parts=f"{turns:,.0f} iterations at {significant(turn_rate)}/s take {seconds(turning_s)}",
            agree=abs(lasted_s - turning_s) <= room * max(lasted_s, turning_s),
        )
    failed, others = run.get("http_req_failed", "passes"), run.get("http_req_failed", "fails")
    told = run.get("http_req_failed", "rate")
    share = run.get("http_req_failed", "value") if told is None else told
    if failed is None or others is None:
        return
    asked = failed + others
    yield Twice(told=f"{asked:,.0f} requests failed or not", parts=f"{count:,.0f} in all", agree=asked <= count + 1)
    if share is not None and asked > 0:
        yield Twice(
            told=f"{percent(share)} of the requests failed",
            parts=f"{failed:,.0f} of {asked:,.0f} are {percent(failed / asked)}",
            agree=abs(share - failed / asked) <= _SHARE,
        )


def _kept_busy(run: Metrics, requests: float, mean_ms: float | None) -> float | None:
    fewest, most = run.get("vus", "min"), run.get("vus", "max")
    turns, turn_ms = run.get("iterations", "count"), run.get("iteration_duration", "avg")
    if not most or fewest != most or mean_ms is None or not turns or not turn_ms:
        return None
    return most if requests * mean_ms >= _BUSY_SHARE * turns * turn_ms else None


def _edge_ms(run: Metrics) -> float | None:
    longest = run.get("iteration_duration", "max")
    return None if longest is None else min(longest, _GRACE_MS)


def _users(run: Metrics) -> float | None:
    known = [run.get("vus", "max"), run.get("vus_max", "max")]
    return max((value for value in known if value is not None), default=None)


def _at_work(run: Metrics) -> float | None:
    """Users that the iterations kept busy on average; the longest two are left out.

    Older versions count setup and teardown among the iterations' durations, and no user runs those.
    """
    count, rate = run.get("iterations", "count"), run.get("iterations", "rate")
    turn_ms, longest_ms = run.get("iteration_duration", "avg"), run.get("iteration_duration", "max")
    if not count or not rate or turn_ms is None:
        return None
    return max(count * turn_ms - 2 * (longest_ms or 0.0), 0.0) / 1e3 * rate / count


def _how(run: Metrics) -> str:
    rate, turn_ms = run.get("iterations", "rate"), run.get("iteration_duration", "avg")
    return "" if rate is None or turn_ms is None else f"{rate:.2f} iterations/s × {turn_ms:.2f} ms"
