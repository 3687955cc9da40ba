"""What a reader can take away: the table as CSV, the summary as JSON, latency percentiles as HdrHistogram text.

Each is a `data:` link, so that it works without a server, without JavaScript and under a strict policy.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from sgibench.histogram import BITS, Histogram
from sgibench.later import Later
from sgibench.model import Metric
from sgibench.report.panels import Panel, Row, View
from sgibench.report.summary import summary_of
from sgibench.stats import METRICS

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = Later("pandas")

TICKS_PER_HALF = 5
"""HdrHistogram's own default: lines for each halving of what is left to 100 %."""
CSV_TRAPS = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins like this is a formula to a spreadsheet."""


def frame_of(view: View) -> pd.DataFrame:
    """Put all panels into one table: a line a row of the page; units in the names, NaN where nothing was measured."""
    frame = pd.DataFrame([_record(panel, row) for panel in view.panels for row in panel.rows])
    return frame.astype({name: "Int64" for name in frame.columns if name == "place" or name.endswith("_place")})


def _record(panel: Panel, row: Row) -> dict[str, str | float | int | None]:
    entry = row.entry
    key = panel.main.key
    return {
        "scenario": _cell(key.scenario),
        "load": key.load.id,
        "workers": key.workers,
        "threads": key.threads,
        "server": _cell(entry.server),
        "app": _cell(entry.app),
        "interface": entry.interface,
        "concurrency": entry.concurrency,
        "status": entry.status,
        "failure": _cell(f"{entry.failure.reason}: {entry.failure.detail}") if entry.failure else None,
        "place": row.cost.place if row.cost else None,
        "place_shared": row.cost.shared if row.cost else None,
        "latency_load": panel.latency_standing.key.load.id,
        **{name: value for metric in METRICS for name, value in _judged(panel, row, metric).items()},
        "pss_bytes": entry.pss_bytes.value if entry.pss_bytes else None,
        "startup_s": entry.startup_s.value if entry.startup_s else None,
        "errors": sum(entry.errors.values()),
        "blocks": len(entry.good),
        "failed_blocks": entry.failed_blocks,
        "doubts": " ".join(dict.fromkeys(doubt.kind for doubt in row.doubts)),
    }


def _cell(text: str) -> str:
    """Keep a spreadsheet from running a name that came from outside."""
    return f"'{text}" if text.startswith(CSV_TRAPS) else text


def _judged(panel: Panel, row: Row, metric: Metric) -> dict[str, float | int | None]:
    """A figure with its interval and its place."""
    found, stands = panel.estimate(row, metric), row.places.get(metric)
    return {
        metric: found.value if found else None,
        f"{metric}_low": found.low if found else None,
        f"{metric}_high": found.high if found else None,
        f"{metric}_place": stands.place if stands else None,
        f"{metric}_place_shared": stands.shared if stands else None,
    }


def csv_link(view: View) -> str:
    """Give the `data:` address of the table as CSV."""
    return _link("text/csv", frame_of(view).to_csv(index=False))


def json_link(view: View) -> str:
    """Give the `data:` address of the summary as JSON."""
    return _link("application/json", json.dumps(summary_of(view), allow_nan=False))


def hgrm_link(histogram: Histogram) -> str:
    """Give the `data:` address of a percentile table."""
    return _link("text/plain", hgrm_of(histogram))


def hgrm_of(histogram: Histogram) -> str:
    """Write HdrHistogram's percentile text, values in milliseconds, for its plotter and its readers.

    Format and steps: AbstractHistogram.outputPercentileDistribution of HdrHistogram (G. Tene).
    """
    values_us, counts = histogram.buckets()
    total = int(counts.sum())
    cumulative = np.cumsum(counts)
    shares = _shares(total)
    places = np.minimum(np.searchsorted(cumulative, np.ceil(shares * total - 1e-6)), len(counts) - 1)
    places = np.maximum(places, 0)
    lines = ["Value Percentile TotalCount 1/(1-Percentile)", ""]
    previous = -1
    for share, place in zip(shares.tolist(), places.tolist(), strict=True):
        if place == previous and share < 1:
            continue
        previous = place
        inverse = f" {1 / (1 - share):.2f}" if share < 1 else ""
        lines.append(f"{values_us[place] / 1000:.3f} {share:.6f} {int(cumulative[place])}{inverse}")
    mean = float(values_us @ counts) / total
    deviation = float(np.sqrt((values_us - mean) ** 2 @ counts / total))
    lines += [
        f"#[Mean = {mean / 1000:.3f}, StdDeviation = {deviation / 1000:.3f}]",
        f"#[Max = {(histogram.max_us or 0) / 1000:.3f}, Total count = {total}]",
        f"#[Buckets = {len(counts)}, SubBuckets = {1 << BITS}]",
    ]
    return "\n".join(lines) + "\n"


def _shares(total: int) -> np.ndarray:
    """Shares at which a line is written: TICKS_PER_HALF steps, then the rest halves, until one sample is left."""
    shares, start, half = [], 0.0, 0.5
    while half * total >= 1:
        shares += [start + half * step / TICKS_PER_HALF for step in range(TICKS_PER_HALF)]
        start, half = start + half, half / 2
    return np.array([*shares, 1.0])


def _link(kind: str, text: str) -> str:
    return f"data:{kind};charset=utf-8,{quote(text, safe='!*()/:;,?@&=+$')}"
