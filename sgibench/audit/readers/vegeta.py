"""vegeta's report as text and as JSON (nanoseconds); several reports may follow one another.

An open loop: `rate` is what was sent per second of the attack, whatever became of it; `throughput` is what succeeded,
over attack and wait. A status of 0 is no answer: the request failed at the client or the connection broke.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sgibench.audit.figures import Figures
from sgibench.audit.readers.fields import (
    TIME,
    counted,
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

REQUESTS = re.compile(
    r"Requests\s+\[total, rate(?:, throughput)?\]\s+(?P<total>\d+), (?P<rate>\d+(?:\.\d+)?)", re.MULTILINE
)
_DURATION = re.compile(rf"Duration\s+\[total, attack, wait\]\s+(?P<total>{TIME}), (?P<attack>{TIME}), (?P<wait>{TIME})")
_LATENCIES = re.compile(rf"Latencies\s+\[(?P<names>[a-z0-9., ]{{3,80}})\]\s+(?P<values>{TIME}(?:, {TIME}){{0,12}})")
_CODES = re.compile(r"Status Codes\s+\[code:count\][ \t]*(?P<codes>(?:\d{1,3}:\d+[ \t]*)*)\n")
_ERRORS = re.compile(r"Error Set:[ \t]*\n(?P<first>[^\n#]{0,200})")
_FIRST_FAILURE = 400
_NANO_MS = 1e-6


def read_text(material: Material) -> list[Figures]:
    """Read every report of the text."""
    runs = sections(material.plain, REQUESTS)
    return [_text_row(run, name) for run, name in zip(runs, labels(material.name, runs), strict=True)]


def read_json(material: Material) -> list[Figures]:
    """Read every report of the text."""
    runs = objects(material.documents, "latencies", "status_codes")
    return [_json_row(run, name) for run, name in zip(runs, labels(material.name, runs), strict=True)]


def _text_row(run: str, name: str) -> Figures:
    requests, duration, codes = REQUESTS.search(run), _DURATION.search(run), _CODES.search(run)
    counts = (
        {int(code): float(count) for code, count in (each.split(":") for each in codes["codes"].split())}
        if codes
        else {}
    )
    # Who pastes it may leave out what follows; then only counts that are whole are believed.
    whole = requests is not None and ("Error Set:" in run or sum(counts.values()) == float(requests["total"]))
    if requests is None or codes is None or duration is None or not whole:
        missing = (
            "Duration      [total, attack, wait]"
            if duration is None
            else "Status Codes  [code:count]` with `Error Set:"
        )
        raise ValueError(f"{name} has no line `{missing}`")
    latencies, errors = _LATENCIES.search(run), _ERRORS.search(run)
    names = [each.strip() for each in latencies["names"].split(",")] if latencies else []
    values = [measured_ms(each) for each in latencies["values"].split(", ")] if latencies else []
    return _row(
        name,
        counts,
        errors["first"].strip() if errors else "",
        rps=float(requests["rate"]),
        attack_ms=time_ms(duration["attack"]),
        said={key: value for key, value in zip(names, values, strict=False) if value is not None},
    )


def _json_row(found: Mapping[str, Any], name: str) -> Figures:
    codes = {}
    for code, count in part(found, "status_codes").items():
        if not (code.isascii() and code.isdigit() and len(code) <= 3):  # noqa: PLR2004 - three digits
            raise ValueError(f"status_codes has {code[:20]!r} where a status such as 200 was expected")
        codes[int(code)] = number(count, f"status_codes.{code}") or 0.0
    errors = found.get("errors")
    first = str(errors[0])[:200] if isinstance(errors, list) and errors else ""
    keys = {"mean": "mean", "50th": "50", "90th": "90", "95th": "95", "99th": "99", "max": "max"}
    latencies = part(found, "latencies")
    said = {name: scaled(number(latencies.get(key), f"latencies.{key}"), _NANO_MS) for key, name in keys.items()}
    return _row(
        name,
        codes,
        first,
        rps=number(found.get("rate"), "rate"),
        attack_ms=scaled(number(found.get("duration"), "duration"), _NANO_MS),
        said={key: value for key, value in said.items() if value},
    )


def _row(
    name: str,
    codes: Mapping[int, float],
    first_error: str,
    *,
    rps: float | None,
    attack_ms: float | None,
    said: Mapping[str, float],
) -> Figures:
    right = sum(count for code, count in codes.items() if 0 < code < _FIRST_FAILURE)
    failed = {
        f"{code} answers" if code else "no answer": count
        for code, count in codes.items()
        if not 0 < code < _FIRST_FAILURE
    }
    at = {q: said[key] for key, q in (("50", 0.5), ("90", 0.9), ("95", 0.95), ("99", 0.99)) if key in said}
    return Figures(
        id=name,
        load="open",
        duration_s=None if attack_ms is None else attack_ms / 1e3,
        requests_ok=right,
        errors=sum(failed.values()),
        answered_wrong=sum(failed.values()) - codes.get(0, 0.0),
        error_text=": ".join(filter(None, (counted(failed), first_error if failed else ""))),
        rps=rps,
        mean_ms=said.get("mean"),
        p50_ms=at.get(0.5),
        p90_ms=at.get(0.9),
        p95_ms=at.get(0.95),
        p99_ms=at.get(0.99),
        max_ms=said.get("max"),
        quantiles_ms=tuple(sorted(at.items())),
    )
