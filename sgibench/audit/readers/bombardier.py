"""bombardier's text (with or without `-l`) and its JSON (`-o json`, microseconds); several runs may follow one another.

Its `Reqs/sec` is a mean of short samples and not requests over time, which comes out a little high on slow servers: so
only too few requests under way refute a row by Little's law, and the time is taken from the rate. Every request is in
the rate, whatever became of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sgibench.audit.figures import Figures
from sgibench.audit.readers.bombardier_twice import Told, told_twice
from sgibench.audit.readers.fields import (
    TIME,
    counted,
    known_times,
    labels,
    measured_ms,
    number,
    objects,
    part,
    scaled,
    sections,
    time_ms,
)
from sgibench.audit.readers.material import Material
from sgibench.audit.readers.moments import Moments

_N = r"[0-9]+(?:\.[0-9]+)?"
RATE = re.compile(rf"Reqs/sec[ \t]+(?P<rate>{_N})[ \t]+(?P<spread>{_N})(?:[ \t]+(?P<most>{_N})[ \t]*\n)?")
CODES = re.compile(
    r"1xx - ([0-9]+), 2xx - ([0-9]+), 3xx - ([0-9]+), 4xx - ([0-9]+), 5xx - ([0-9]+)\s+others - ([0-9]+)[ \t]*\n"
)
START = re.compile(r"Bombarding \S{1,500}|^.{0,40}?Statistics[ \t]+Avg[ \t]+Stdev[ \t]+Max", re.MULTILINE)
_CONNECTIONS = re.compile(r"using ([0-9]+) connections?")
_PACED = re.compile(r"bombardier\b.{0,500}?\s(?:-r|--rate)[ =]?[0-9]")
_LATENCY = re.compile(rf"Latency[ \t]+(?P<mean>{TIME})[ \t]+(?P<spread>{TIME})[ \t]+(?P<max>{TIME})")
_PERCENTILE = re.compile(rf"^[ \t]*(?P<percent>[0-9]+(?:\.[0-9]+)?)%[ \t]+(?P<value>{TIME})\s*$", re.MULTILINE)
_CELLS = re.compile(r"Reqs/sec[^\n]*\n[ \t]*Latency[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)")
_SHARES = re.compile(r"Latency Distribution[ \t]*\n(?P<lines>(?:[ \t]*[0-9]+(?:\.[0-9]+)?%[ \t]+\S+[ \t]*\n){1,20})")
_TIMED = re.compile(rf"Bombarding \S{{1,500}} for (?P<time>{TIME}) using")
_COUNTED = re.compile(r"Bombarding \S{1,500} with ([0-9]{1,15}) request")
_BAR = re.compile(
    rf"^[ \t]*[0-9]{{1,15}} / [0-9]{{1,15}} \[=+\] 100\.00% (?P<time>{TIME})(?: Done!|[ \t]*$)", re.MULTILINE
)
_ERRORS = re.compile(r"Errors:[ \t]*\n(?P<lines>(?:[ \t]*\S.{0,300} - [0-9]+[ \t]*\n){1,50})")
_SUCCESSES = "Latency Distribution (2xx)"
_MICRO_MS = 1e-3
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx", "others")


def read_text(material: Material) -> list[Figures]:
    """Read every run of the text."""
    runs = _runs(material.plain)
    return [_text_row(run, name) for run, name in zip(runs, labels(material.name, runs), strict=True)]


def read_json(material: Material) -> list[Figures]:
    """Read every run of the text."""
    runs = objects(material.documents, "spec", "result")
    return [_json_row(run, name) for run, name in zip(runs, labels(material.name, runs), strict=True)]


def _runs(text: str) -> list[str]:
    """Cut before each heading; a run's first line and its table are one run."""
    parts, runs = sections(text, START, above=True), [""]
    for each in parts:
        runs[-1] += each
        if "Reqs/sec" in each:
            runs.append("")
    rest = runs.pop()
    return runs if not rest.strip() or not runs else [*runs[:-1], runs[-1] + rest]


def _text_row(run: str, name: str) -> Figures:
    rate, codes, latency = RATE.search(run), CODES.search(run), _LATENCY.search(run)
    if rate is None or codes is None:
        raise ValueError(f"{name} has no {'`Reqs/sec`' if rate is None else '`HTTP codes:` with `others`'}")
    connections, errors = _CONNECTIONS.search(run), _ERRORS.search(run)
    cells, shares = _CELLS.search(run), _SHARES.search(run)
    known_times(name, "Latency", cells.groups() if cells else ())
    known_times(name, "Latency Distribution", shares["lines"].split()[1::2] if shares else ())
    all_answers, _successes, _own = run.partition(_SUCCESSES)
    at = {float(each["percent"]) / 100: measured_ms(each["value"]) for each in _PERCENTILE.finditer(all_answers)}
    kinds = [line.strip() for line in errors["lines"].splitlines() if line.strip()] if errors else []
    counts = [float(count) for count in codes.groups()]
    max_ms, asked = measured_ms(latency["max"]) if latency else None, _COUNTED.search(run)
    least_s, most_s = _lasted(run, max_ms)
    return _row(
        name,
        counts,
        "; ".join(kinds),
        paced=_PACED.search(run) is not None,
        told=Told(
            requests=sum(counts),
            rps=float(rate["rate"]),
            spread_rps=float(rate["spread"]),
            most_rps=float(rate["most"]) if rate["most"] else None,
            connections=float(connections[1]) if connections else None,
            mean_ms=measured_ms(latency["mean"]) if latency else None,
            least_s=least_s,
            most_s=most_s,
            asked=float(asked[1]) if asked else None,
        ),
        max_ms=max_ms,
        spread_ms=time_ms(latency["spread"]) if latency else None,
        at={q: value for q, value in at.items() if value is not None},
    )


def _json_row(found: Mapping[str, Any], name: str) -> Figures:
    spec, result = part(found, "spec"), part(found, "result")
    latency, rate = part(result, "latency"), part(result, "rps")
    counts = [
        number(result.get(key), f"result.{key}") or 0.0 for key in (*(f"req{n}xx" for n in range(1, 6)), "others")
    ]
    percentiles = part(latency, "percentiles")
    at = {q / 100: scaled(number(percentiles.get(str(q)), f"percentiles.{q}"), _MICRO_MS) for q in (50, 75, 90, 95, 99)}
    taken_s = number(result.get("timeTakenSeconds"), "result.timeTakenSeconds")
    errors = result.get("errors")
    described = (
        [str(part({"": each}, "").get("description"))[:100] for each in errors] if isinstance(errors, list) else []
    )
    return _row(
        name,
        counts,
        "; ".join(described[:5]),
        paced=bool(spec.get("rate")),
        told=Told(
            requests=sum(counts),
            rps=number(rate.get("mean"), "result.rps.mean"),
            spread_rps=number(rate.get("stddev"), "result.rps.stddev"),
            most_rps=number(rate.get("max"), "result.rps.max"),
            connections=number(spec.get("numberOfConnections"), "spec.numberOfConnections"),
            mean_ms=scaled(number(latency.get("mean"), "result.latency.mean"), _MICRO_MS) or None,
            least_s=taken_s,
            most_s=taken_s,
            asked=number(spec.get("numberOfRequests"), "spec.numberOfRequests"),
        ),
        max_ms=scaled(number(latency.get("max"), "result.latency.max"), _MICRO_MS) or None,
        spread_ms=scaled(number(latency.get("stddev"), "result.latency.stddev"), _MICRO_MS),
        at={q: value for q, value in at.items() if value},
    )


def _lasted(run: str, max_ms: float | None) -> tuple[float | None, float | None]:
    """Give the least and the most that a run took: its bar has whole seconds; one by time waits for the last answers.

    One that is interrupted may take less than it was to.
    """
    bar, timed = _BAR.search(run), _TIMED.search(run)
    taken_ms = time_ms(bar["time"]) if bar else None
    if taken_ms is not None:
        return max(taken_ms / 1e3 - 1, 0.0), taken_ms / 1e3 + 1
    most_ms = time_ms(timed["time"]) if timed else None
    return None, None if most_ms is None else (most_ms + (max_ms or 0.0)) / 1e3 + 1


def _row(
    name: str,
    counts: list[float],
    errors: str,
    *,
    paced: bool,
    told: Told,
    max_ms: float | None,
    spread_ms: float | None,
    at: Mapping[float, float],
) -> Figures:
    failed = {f"{what} answers": count for what, count in zip(_CLASSES[3:5], counts[3:5], strict=True)}
    failed["errors"] = counts[5]
    rps, mean_ms = told.rps, told.mean_ms
    moments = Moments(mean_ms=mean_ms, spread_ms=spread_ms, max_ms=max_ms, count=sum(counts))
    return Figures(
        id=name,
        connections=None if paced else told.connections,
        mean_raised=True,
        # What it calls a deviation counts each different time once: it is less than the deviation of all.
        edge_ms=max_ms,
        duration_s=sum(counts) / rps if rps else None,
        requests_ok=counts[1] + counts[2] + counts[0],
        errors=sum(failed.values()),
        answered_wrong=sum(counts[3:5]),
        error_text=": ".join(filter(None, (counted(failed), errors))),
        rps=rps,
        mean_ms=mean_ms,
        p50_ms=at.get(0.5),
        p90_ms=at.get(0.9),
        p95_ms=at.get(0.95),
        p99_ms=at.get(0.99),
        max_ms=max_ms,
        quantiles_ms=tuple(sorted(at.items())),
        twice=(*moments.told_twice(), *told_twice(told)),
    )
