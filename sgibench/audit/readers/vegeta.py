"""vegeta's report as text and as JSON (nanoseconds); several reports may follow one another.

An open loop: `rate` is what was sent per second of the attack, whatever became of it; `throughput` is what succeeded,
over attack and wait, and the rate of right answers that is published; old versions print none. A status of 0 is no
answer: the request failed at the client or the connection broke. What never left the client was not sent. Durations are
rounded to the next smaller unit (minutes of hours), rates and shares to two digits behind the point.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sgibench.audit.figures import CLIENT_LIMITS, Figures, Twice
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
from sgibench.units import count, seconds

REQUESTS = re.compile(
    r"Requests\s+\[total, rate(?:, throughput)?\]\s+(?P<total>[0-9]+), (?P<rate>[0-9]+(?:\.[0-9]+)?)"
    r"(?:, (?P<throughput>[0-9]+(?:\.[0-9]+)?))?"
)
_DURATION = re.compile(rf"Duration\s+\[total, attack, wait\]\s+(?P<total>{TIME}), (?P<attack>{TIME}), (?P<wait>{TIME})")
_LATENCIES = re.compile(rf"Latencies\s+\[(?P<names>[a-z0-9., ]{{3,80}})\]\s+(?P<values>{TIME}(?:, {TIME}){{0,12}})")
_SUCCESS = re.compile(r"Success\s+\[ratio\]\s+(?P<percent>[0-9]+(?:\.[0-9]+)?)%")
_CODES = re.compile(r"Status Codes\s+\[code:count\]\s{0,40}(?P<codes>(?:[0-9]{1,3}:[0-9]+\s{1,40})*)")
"""The last code needs a blank or a line end behind it: else it may break off."""
_ERRORS = re.compile(r"Error Set:[ \t]*\n(?P<lines>(?:[ \t]*[^\s#`][^\n]*\n?){0,200})")
_FIRST_RIGHT = 200
_FIRST_OTHER = 300
_FIRST_FAILURE = 400
_NANO_MS = 1e-6
_SAME = 0.02
"""A duration over an hour is printed in minutes, one over a minute in seconds."""
_RATE_STEP = 0.0051
_SHARE_STEP = 0.0002


@dataclass(frozen=True, kw_only=True)
class _Report:
    """One report, as text and JSON have it; None = not printed."""

    total: float | None
    rate: float | None
    throughput: float | None
    attack_s: float | None
    total_s: float | None
    success: float | None
    """As a share."""
    codes: Mapping[int, float]
    errors: Sequence[str]
    latencies_ms: Mapping[str, float]


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
        {int(code): float(many) for code, many in (each.split(":") for each in codes["codes"].split())} if codes else {}
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
    latencies, errors, success = _LATENCIES.search(run), _ERRORS.search(run), _SUCCESS.search(run)
    names = [each.strip() for each in latencies["names"].split(",")] if latencies else []
    values = [measured_ms(each) for each in latencies["values"].split(", ")] if latencies else []
    report = _Report(
        total=float(requests["total"]),
        rate=float(requests["rate"]),
        throughput=None if requests["throughput"] is None else float(requests["throughput"]),
        attack_s=scaled(time_ms(duration["attack"]), 1e-3),
        total_s=scaled(time_ms(duration["total"]), 1e-3),
        success=None if success is None else float(success["percent"]) / 100,
        codes=counts,
        errors=[line.strip() for line in errors["lines"].split("\n") if line.strip()] if errors else [],
        latencies_ms={key: value for key, value in zip(names, values, strict=False) if value is not None},
    )
    return _row(name, report)


def _json_row(found: Mapping[str, Any], name: str) -> Figures:
    codes = {}
    for code, many in part(found, "status_codes").items():
        if not (code.isascii() and code.isdigit() and len(code) <= 3):  # noqa: PLR2004 - three digits
            raise ValueError(f"status_codes has {code[:20]!r} where a status such as 200 was expected")
        codes[int(code)] = number(many, f"status_codes.{code}") or 0.0
    errors = found.get("errors")
    keys = {"mean": "mean", "50th": "50", "90th": "90", "95th": "95", "99th": "99", "max": "max"}
    latencies = part(found, "latencies")
    said = {name: scaled(number(latencies.get(key), f"latencies.{key}"), _NANO_MS) for key, name in keys.items()}
    attack_s = scaled(number(found.get("duration"), "duration"), _NANO_MS / 1e3)
    wait_s = scaled(number(found.get("wait"), "wait"), _NANO_MS / 1e3)
    report = _Report(
        total=number(found.get("requests"), "requests"),
        rate=number(found.get("rate"), "rate"),
        throughput=number(found.get("throughput"), "throughput"),
        attack_s=attack_s,
        total_s=None if attack_s is None else attack_s + (wait_s or 0.0),
        success=number(found.get("success"), "success"),
        codes=codes,
        errors=[str(each) for each in errors] if isinstance(errors, list) else [],
        latencies_ms={key: value for key, value in said.items() if value},
    )
    return _row(name, report)


def _row(name: str, report: _Report) -> Figures:
    codes, said = report.codes, report.latencies_ms
    right = sum(many for code, many in codes.items() if 0 < code < _FIRST_FAILURE)
    failed = {
        f"{code} answers" if code else "no answer": many
        for code, many in codes.items()
        if not 0 < code < _FIRST_FAILURE
    }
    first_error = report.errors[0][:200] if report.errors else ""
    at = {q: said[key] for key, q in (("50", 0.5), ("90", 0.9), ("95", 0.95), ("99", 0.99)) if key in said}
    return Figures(
        id=name,
        load="open",
        duration_s=report.attack_s if report.throughput is None else report.total_s,
        requests_ok=right,
        errors=sum(failed.values()),
        answered_wrong=sum(failed.values()) - codes.get(0, 0.0),
        error_text=": ".join(filter(None, (counted(failed), first_error if any(failed.values()) else ""))),
        rps=_published(report, right),
        mean_ms=said.get("mean"),
        p50_ms=at.get(0.5),
        p90_ms=at.get(0.9),
        p95_ms=at.get(0.95),
        p99_ms=at.get(0.99),
        max_ms=said.get("max"),
        quantiles_ms=tuple(sorted(at.items())),
        twice=(*_counts_twice(report), *_never_sent(report)),
    )


def _published(report: _Report, right: float) -> float | None:
    """Give the rate of right answers, finer than it was printed where that is the same: slow attacks need the digits.

    None of them is told as 0, which is no speed.
    """
    told, lasted_s = report.throughput, report.total_s
    if told is None or not lasted_s or (not told and not right):
        return None
    exact = right / lasted_s
    return exact if abs(exact - told) <= _RATE_STEP else told


def _counts_twice(report: _Report) -> Iterator[Twice]:
    """Compare the total, the rate and the share of successes with one another and with the answers by status."""
    by_code, total = sum(report.codes.values()), report.total
    if total is not None:
        told = f"{count(total)} requests in total"
        yield Twice(told=told, parts=f"{count(by_code)} by their status", agree=total == by_code)
        if report.rate is not None and report.attack_s and report.attack_s > 0:
            sent = report.rate * report.attack_s
            yield Twice(
                told=told,
                parts=f"{report.rate:.6g}/s sent for {seconds(report.attack_s)} are {count(sent)}",
                agree=abs(sent - total) <= _SAME * total + _RATE_STEP * report.attack_s,
            )
    if report.success is not None and by_code:
        least = sum(many for code, many in report.codes.items() if _FIRST_RIGHT <= code < _FIRST_OTHER) / by_code
        most = sum(many for code, many in report.codes.items() if 0 < code < _FIRST_FAILURE) / by_code
        yield Twice(
            told=f"a success of {100 * report.success:.6g} %",
            parts=f"{100 * most:.6g} % by its status codes",
            agree=least - _SHARE_STEP <= report.success <= most + _SHARE_STEP,
        )


def _never_sent(report: _Report) -> Iterator[Twice]:
    """Find a rate that counts requests as sent for which the client had no descriptor or address.

    The errors are a set without counts: only where all of them are of that kind are all that had no answer.
    """
    unsent, total = report.codes.get(0, 0.0), sum(report.codes.values())
    own = [line for line in report.errors if any(sign in line.lower() for sign in CLIENT_LIMITS)]
    answered = sum(1 for code in report.codes if code >= _FIRST_FAILURE)
    if not own or report.rate is None or unsent <= _SAME * total or len(report.errors) - len(own) > answered:
        return
    yield Twice(
        told=f"{report.rate:.6g}/s sent",
        parts=f"{count(unsent)} of {count(total)} requests never left the client, which was at its own limit",
        agree=False,
    )
