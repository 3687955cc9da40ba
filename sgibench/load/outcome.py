"""What each process counted of a target, and the result made of it: sums are added and histograms merged.

A share is plain data, so that it can travel from a worker to its master. Percentiles are read after merging, never
averaged; what limits one process (its CPU, its lag) is the worst of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sgibench.histogram import Histogram
from sgibench.load.sizes import mean_bytes
from sgibench.model import HistogramData

OF_OPEN = ("due", "queue_start", "queue_end", "queue_max", "waiting_start", "waiting_end")
"""What only open loops have."""
LEAST = ("least_early", "least_late")
"""What only those have that were watched in one visit by every process."""

MOST_KINDS = 24
"""Kinds of requests whose latencies are kept apart."""

Share = Mapping[str, Any]
"""What one process counted of one target; made by `Visited.share`."""


def pack(histogram: Histogram) -> dict[str, list[int]]:
    """A histogram as JSON."""
    data = histogram.to_data()
    return {"gaps": list(data.gaps), "counts": list(data.counts)}


def merged(shares: Sequence[Share], key: str) -> Histogram:
    """Merge one histogram of all shares."""
    return Histogram.merged(
        Histogram.from_data(HistogramData(gaps=tuple(share[key]["gaps"]), counts=tuple(share[key]["counts"])))
        for share in shares
    )


def result(shares: Sequence[Share], *, is_open: bool) -> dict[str, Any]:
    """Say what was measured of a target, as the protocol has it; `shares` are those of all processes."""
    first = shares[0]
    requests = _sum(shares, "requests")
    window_s = _sum(shares, "window_s") / len(shares)
    histogram, intended = merged(shares, "histogram"), merged(shares, "intended")
    first_chunk, gaps = merged(shares, "first_chunk"), merged(shares, "gaps")
    answered = _counted(shares, "answers")
    server_cpu_ns, front_cpu_ns = first["server_cpu_ns"], first["front_cpu_ns"]
    return {
        "id": first["id"],
        "warmup_s": first["warmup_s"],
        "warmup_rps": first["warmup_rps"],
        "window_s": window_s,
        "requests": requests,
        "requests_uncounted": _sum(shares, "requests_uncounted"),
        "errors": _counted(shares, "errors"),
        "error_samples": {kind: text for share in reversed(shares) for kind, text in _samples(share).items()},
        "errors_uncounted": _counted(shares, "errors_uncounted"),
        "cpu_s": None if server_cpu_ns is None or not window_s else server_cpu_ns / 1e9,
        "samples": [_sample(parts) for parts in zip(*(share["samples"] for share in shares), strict=False)],
        "slow": _sum_known(shares, "slow"),
        "edges_ns": [list(pair) for pair in first["edges_ns"]],
        "front_cpu_s": None if front_cpu_ns is None or not window_s else front_cpu_ns / 1e9,
        "service_cpu_s": {
            name: used_ns / 1e9 for name, used_ns in first["service_cpu_ns"].items() if used_ns is not None
        },
        "inside": first["inside"],
        "asking": first["asking"],
        "cache": first["cache"],
        "within": first["within"],
        "answers": answered,
        "histogram": pack(histogram),
        "intended_histogram": pack(intended) if is_open else None,
        "first_chunk_histogram": pack(first_chunk) if first_chunk.count else None,
        "gap_histogram": pack(gaps) if gaps.count else None,
        "mean_us": _sum(shares, "sum_ns") / requests / 1e3 if requests else None,
        "max_us": max(share["max_ns"] for share in shares) / 1e3 if requests else None,
        "held": _held([share["held"] for share in shares if share["held"]]),
        "handshakes": _handshakes([share["handshakes"] for share in shares if share["handshakes"]]),
        "overflow": first["overflow"],
        "peak": first["peak"],
        "window": _window(shares, window_s, is_open=is_open),
        "slices": []
        if first["visits"] == "unbroken"
        else [_slice(parts) for parts in zip(*(share["slices"] for share in shares), strict=False)],
        "series": [sum(counts) for counts in zip(*(share["series"] for share in shares), strict=False)],
        "connections_established": _sum_known(shares, "established"),
        **_fairness([count for share in shares for count in share["per_connection"]]),
        "connect_us_p50": merged(shares, "connect").percentile_us(0.5),
        "lag_us_p99": _worst(
            shares, lambda share: merged([share], "lateness" if is_open else "lag").percentile_us(0.99)
        ),
        "generator_cpu_s": _sum(shares, "own_cpu_ns") / 1e9,
        "generator_utilisation": _worst(shares, _utilisation),
        "generator_workers": [_worker(share, is_open=is_open) for share in shares],
        "answer_bytes": mean_bytes((share["answer_sizes"] for share in shares), answered),
        "requests_by_pid": _by_pid(shares),
        "by_request": _by_request(shares),
        "achieved_rate_per_s": requests / window_s if is_open and window_s else None,
        "queue_max": _sum(shares, "queue_max") if is_open else None,
        "reopened": _sum(shares, "reopened"),
        "singly": first["singly"],
        "gave_up": next((share["gave_up"] for share in shares if share["gave_up"]), None),
    }


def _samples(share: Share) -> dict[str, str]:
    """Give an example of each kind of error; of those on connections held beside, where there is no other."""
    return {**(share["held"] or {}).get("samples", {}), **share["error_samples"]}


def _held(held: Sequence[Share]) -> dict[str, Any] | None:
    """Add up what was held open beside; its memory was looked at by the first process."""
    if not held:
        return None
    added = {name: _sum(held, name) for name in ("wanted", "stood", "stood_end", "closed", "answers")}
    memory = {name: held[0][name] for name in ("before_bytes", "held_bytes")}
    return {**added, **memory, "errors": _counted(held, "errors")}


def _handshakes(seen: Sequence[Share]) -> dict[str, int] | None:
    return {name: _sum(seen, name) for name in ("full", "resumed", "refused")} if seen else None


def _window(shares: Sequence[Share], window_s: float, *, is_open: bool) -> dict[str, Any]:
    """What the window owned and how it was made; field by field as `Window` says."""
    first = shares[0]
    bounds = [share["censored_from_ns"] for share in shares if share["censored_from_ns"] is not None]
    of_open = {name: _sum(shares, name) if is_open else None for name in OF_OPEN}
    tasks = first["tasks"]
    return {
        "visits": first["visits"],
        "why": first["why"],
        "pieces": len(first["slices"]),
        "timeout_s": first["timeout_s"],
        **of_open,
        **{name: None if any(share[name] is None for share in shares) else _sum(shares, name) for name in LEAST},
        "grown_most": _grown_most(shares) if is_open else None,
        "sent": _sum(shares, "sent"),
        "in_time": _sum(shares, "in_time"),
        "censored": _sum(shares, "censored"),
        "censored_from_us": min(bounds) / 1e3 if bounds else None,
        "in_flight": _sum(shares, "busy_ns") / 1e9 / window_s if window_s else None,
        "thinking": _sum(shares, "think_ns") / 1e9 / window_s if tasks and not is_open and window_s else None,
        "thinks": first["thinks"],
        "sessions": _sum(shares, "sessions") if first["in_sessions"] else None,
        "set_aside": first["set_aside"],
        "disturbed": first["disturbed"],
        "uncounted": _counted(shares, "uncounted"),
        "errors_outside": _counted(shares, "errors_uncounted"),
        "lateness_histogram_us": pack(merged(shares, "lateness")) if is_open else None,
    }


def _grown_most(shares: Sequence[Share]) -> int | None:
    """By how much more waited at the end of a visit than at its beginning, where that was most; None of one visit."""
    grown = [sum(parts) for parts in zip(*(share["growths"] for share in shares), strict=False)]
    return max(grown) if len(grown) > 1 else None


def _sum(shares: Sequence[Share], key: str) -> Any:
    return sum(share[key] for share in shares)


def _sum_known(shares: Sequence[Share], key: str) -> Any:
    known = [share[key] for share in shares if share[key] is not None]
    return sum(known) if known else None


def _worst(shares: Sequence[Share], of: Callable[[Share], float | None]) -> float | None:
    return max((value for value in map(of, shares) if value is not None), default=None)


def _counted(shares: Sequence[Share], key: str) -> dict[str, int]:
    total: Counter[str] = Counter()
    for share in shares:
        total.update(share[key])
    return dict(total)


def _utilisation(share: Share) -> float | None:
    """CPU seconds that one process worked per second of counted time; waiting for a due moment is no work."""
    window_s = float(share["window_s"])
    worked_ns = max(0, share["own_cpu_ns"] - share["awake_ns"])
    return worked_ns / 1e9 / window_s if window_s else None


def _worker(share: Share, *, is_open: bool) -> dict[str, Any]:
    """How one process fared."""
    return {
        "requests": share["requests"],
        "utilisation": _utilisation(share),
        "lag_us_p99": merged([share], "lateness" if is_open else "lag").percentile_us(0.99),
    }


def _slice(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One visit; its CPU is read by the first process."""
    return {
        "round": parts[0]["round"],
        "window_s": sum(part["window_s"] for part in parts) / len(parts),
        "requests": sum(part["requests"] for part in parts),
        "cpu_s": parts[0]["cpu_s"],
    }


def _sample(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A piece of the window, by all processes."""
    return {"at_s": parts[0]["at_s"], "answered": _sum(parts, "answered"), "failed": _sum(parts, "failed")}


def _by_request(shares: Sequence[Share]) -> dict[str, dict[str, list[int]]]:
    """Service times by kind of request where there are several; of very many those that were asked most."""
    kinds = dict.fromkeys(kind for share in shares for kind in share["by_request"])
    found = {
        kind: merged([share["by_request"] for share in shares if kind in share["by_request"]], kind) for kind in kinds
    }
    most = sorted(found, key=lambda kind: -found[kind].count)[:MOST_KINDS]
    return {kind: pack(found[kind]) for kind in kinds if kind in most} if len(found) > 1 else {}


def _by_pid(shares: Sequence[Share]) -> dict[str, int] | None:
    """Requests by the server's worker process; None when a process could not find out."""
    if any(share["requests_by_pid"] is None for share in shares):
        return None
    return _counted(shares, "requests_by_pid")


def _fairness(per_connection: Sequence[int]) -> dict[str, float | None]:
    """Jain's index, (Σx)² / (n·Σx²) (Jain, Chiu, Hawe 1984), and the slowest connection's share of the median."""
    counts = np.array(per_connection, dtype=np.float64)
    if not counts.size or not counts.sum():
        return {"jain": None, "slowest_share": None}
    median = float(np.median(counts))
    return {
        "jain": float(counts.sum() ** 2 / (counts.size * (counts**2).sum())),
        "slowest_share": float(counts.min()) / median if median else None,
    }
