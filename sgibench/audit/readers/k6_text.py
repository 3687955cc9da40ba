"""The lines of k6's end-of-test text, as the metrics that its JSON would hold; old and new layouts.

Old versions print rates as `4.25% ✓ 70 ✗ 1573` (what the metric's name says, and the rest), new ones as
`4.25% 70 out of 1643`. A metric that comes again begins the next run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sgibench.audit.readers.fields import TIME, known_times, time_ms

METRIC = re.compile(
    r"^[ \t]*(?:[✓✗✔✘]\s*)?(?P<name>[a-z_]{2,80}|\{ ?expected_response:true ?\})\.*:[ \t]+(?P<rest>\S.*)\n",
    re.MULTILINE,
)
DURATION = re.compile(r"http_req_duration\.*:\s+avg=")
_TREND = re.compile(rf"(?P<key>avg|min|med|max|p\([0-9]+(?:\.[0-9]+)?\))=(?P<value>{TIME}|[0-9]+(?:\.[0-9]+)?)(?=\s|$)")
_CELL = re.compile(r"(?P<key>avg|min|med|max|p\([0-9]+(?:\.[0-9]+)?\))=(?P<value>\S+)")
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_COUNTER = re.compile(r"(?P<count>[0-9]+)[ \t]+(?P<rate>[0-9]+(?:\.[0-9]+)?)/s")
_OLD_RATE = re.compile(
    r"(?P<share>[0-9]+(?:\.[0-9]+)?)%[ \t]+[✓✔][ \t]+(?P<passes>[0-9]+)[ \t]+[✗✘][ \t]+(?P<fails>[0-9]+)"
)
_NEW_RATE = re.compile(r"(?P<share>[0-9]+(?:\.[0-9]+)?)%[ \t]+(?P<passes>[0-9]+) out of (?P<all>[0-9]+)")
_GAUGE = re.compile(r"(?P<value>[0-9]+)[ \t]+min=(?P<min>[0-9]+)[ \t]+max=(?P<max>[0-9]+)")
_EXPECTED = "http_req_duration{expected_response:true}"
_RATES = ("http_req_failed",)
_GAUGES = ("vus", "vus_max")
_COUNTERS = ("http_reqs", "iterations", "dropped_iterations")
_TRENDS = ("http_req_duration", "iteration_duration", "http_req_connecting", _EXPECTED)


def runs_of(text: str) -> list[Mapping[str, Any]]:
    """Collect the metrics of each run of the text."""
    runs: list[dict[str, Any]] = [{}]
    for found in METRIC.finditer(text):
        name = _EXPECTED if found["name"].startswith("{") else found["name"]
        values = _values(name, found["rest"])
        if values is None:
            continue
        if name in runs[-1]:
            runs.append({})
        runs[-1][name] = values
    return list(runs)


def _values(name: str, rest: str) -> dict[str, float] | None:
    if name in _TRENDS:
        cells = {each["key"]: each["value"] for each in _CELL.finditer(rest)}
        for key, cell in cells.items():
            known_times(name, key, () if _PLAIN.fullmatch(cell) else (cell,))
        values = {found["key"]: time_ms(found["value"]) for found in _TREND.finditer(rest)}
        return {key: value for key, value in values.items() if value is not None} or None
    if name in _COUNTERS:
        counter = _COUNTER.search(rest)
        return {"count": float(counter["count"]), "rate": float(counter["rate"])} if counter else None
    if name in _RATES:
        return _rate(rest)
    gauge = _GAUGE.search(rest) if name in _GAUGES else None
    return {key: float(value) for key, value in gauge.groupdict().items()} if gauge else None


def _rate(rest: str) -> dict[str, float] | None:
    old, new = _OLD_RATE.search(rest), _NEW_RATE.search(rest)
    if old:
        return {"value": float(old["share"]) / 100, "passes": float(old["passes"]), "fails": float(old["fails"])}
    if new is None:
        return None
    passes = float(new["passes"])
    return {"value": float(new["share"]) / 100, "passes": passes, "fails": float(new["all"]) - passes}
