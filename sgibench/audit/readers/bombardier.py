"""bombardier's text (with or without `-l`) and its JSON (`-o json`, microseconds); several runs may follow one another.

Its `Reqs/sec` is a mean of short samples and not requests over time, which comes out a little high on slow servers: so
only too few requests under way refute a row, and the time is taken from the rate. Every request is in the rate,
whatever became of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sgibench.audit.figures import Figures, Twice
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
from sgibench.units import significant

RATE = re.compile(r"Reqs/sec[ \t]+(?P<rate>\d+(?:\.\d+)?)[ \t]+\d+(?:\.\d+)?(?:[ \t]+(?P<most>\d+(?:\.\d+)?)[ \t]*\n)?")
CODES = re.compile(r"1xx - (\d+), 2xx - (\d+), 3xx - (\d+), 4xx - (\d+), 5xx - (\d+)\s+others - (\d+)[ \t]*\n")
START = re.compile(r"Bombarding \S{1,500}|^.{0,40}?Statistics[ \t]+Avg[ \t]+Stdev[ \t]+Max", re.MULTILINE)
_CONNECTIONS = re.compile(r"using (\d+) connections?")
_PACED = re.compile(r"bombardier\b.{0,500}?\s(?:-r|--rate)[ =]?\d")
_LATENCY = re.compile(rf"Latency[ \t]+(?P<mean>{TIME})[ \t]+(?P<spread>{TIME})[ \t]+(?P<max>{TIME})")
_PERCENTILE = re.compile(rf"^[ \t]*(?P<percent>\d+(?:\.\d+)?)%[ \t]+(?P<value>{TIME})\s*$", re.MULTILINE)
_CELLS = re.compile(r"Reqs/sec[^\n]*\n[ \t]*Latency[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)")
_SHARES = re.compile(r"Latency Distribution[ \t]*\n(?P<lines>(?:[ \t]*\d+(?:\.\d+)?%[ \t]+\S+[ \t]*\n){1,20})")
_ERRORS = re.compile(r"Errors:[ \t]*\n(?P<lines>(?:[ \t]*\S.{0,300} - \d+[ \t]*\n){1,50})")
_SUCCESSES = "Latency Distribution (2xx)"
_ROUNDED = 1.001
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
    return _row(
        name,
        [float(count) for count in codes.groups()],
        "; ".join(kinds),
        connections=float(connections[1]) if connections and not _PACED.search(run) else None,
        rps=float(rate["rate"]),
        most_rps=float(rate["most"]) if rate["most"] else None,
        mean_ms=measured_ms(latency["mean"]) if latency else None,
        max_ms=measured_ms(latency["max"]) if latency else None,
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
    errors = result.get("errors")
    described = (
        [str(part({"": each}, "").get("description"))[:100] for each in errors] if isinstance(errors, list) else []
    )
    return _row(
        name,
        counts,
        "; ".join(described[:5]),
        connections=None if spec.get("rate") else number(spec.get("numberOfConnections"), "spec.numberOfConnections"),
        rps=number(rate.get("mean"), "result.rps.mean"),
        most_rps=number(rate.get("max"), "result.rps.max"),
        mean_ms=scaled(number(latency.get("mean"), "result.latency.mean"), _MICRO_MS) or None,
        max_ms=scaled(number(latency.get("max"), "result.latency.max"), _MICRO_MS) or None,
        spread_ms=scaled(number(latency.get("stddev"), "result.latency.stddev"), _MICRO_MS),
        at={q: value for q, value in at.items() if value},
    )


def _told_twice(counts: Sequence[float], rps: float | None, most_rps: float | None) -> Iterator[Twice]:
    """Compare the mean of its samples with the largest, and that there is a rate with that something was asked."""
    if rps is None:
        return
    if most_rps is not None:
        yield Twice(
            told=f"{significant(rps)}/s on average",
            parts=f"{significant(most_rps)}/s in the quickest sample",
            agree=rps <= most_rps * _ROUNDED + 1,
        )
    yield Twice(told=f"{significant(rps)}/s", parts="no request by its codes", agree=rps <= 0 or sum(counts) > 0)


def _row(
    name: str,
    counts: list[float],
    errors: str,
    *,
    connections: float | None,
    rps: float | None,
    most_rps: float | None,
    mean_ms: float | None,
    max_ms: float | None,
    spread_ms: float | None,
    at: Mapping[float, float],
) -> Figures:
    failed = {f"{what} answers": count for what, count in zip(_CLASSES[3:5], counts[3:5], strict=True)}
    failed["errors"] = counts[5]
    moments = Moments(mean_ms=mean_ms, spread_ms=spread_ms, max_ms=max_ms, count=sum(counts))
    return Figures(
        id=name,
        connections=connections,
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
        twice=(*moments.told_twice(), *_told_twice(counts, rps, most_rps)),
    )
