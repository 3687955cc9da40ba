"""What the page shows, made from the session: words and numbers ready to print, so that the page only draws.

Units are written here and nowhere in the page. Nothing is computed that a stored trial does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sgibench import units
from sgibench.load.webui.record import Second
from sgibench.load.webui.session import Session, Test

NOT_YET = units.NOT_MEASURED


def state_of(session: Session) -> dict[str, Any]:
    """All that the page's bar and tabs need, ready for JSON."""
    test = session.test if session.failed is None else None
    return {
        "phase": session.phase,
        "sentence": session.sentence,
        "error": session.error,
        "failed": session.failed,
        "about": _about(session),
        "now": _now(session),
        "charts": [] if test is None else _charts(test),
        "server": [] if test is None else _server(test),
        "processes": [] if test is None else _processes(test),
        "generator": [] if test is None else _generator(test),
        "doubts": [] if test is None else test.looked.get("doubts", []),
        "columns": COLUMNS,
        "tests": [_row(row) for row in session.tests],
        "unsaved": sum(1 for row in session.tests if row["can_be_saved"] and not row["saved"]),
        "saved": session.saved,
    }


def _about(session: Session) -> list[str]:
    test = session.test
    if test is None or session.phase == "starting":
        return []
    users = units.count(test.load.connections)
    return [*test.about.values(), f"{users} connections"]


def _now(session: Session) -> list[list[str]]:
    """The figures of the bar: the last second while it runs."""
    test = session.test
    if test is None or session.phase != "measuring" or not test.record.seconds:
        return []
    last = test.record.seconds[-1]
    return [
        ["requests", units.rate(last.rps)],
        ["server CPU per request", units.microseconds(last.cpu_us)],
        ["measured", f"{units.count(test.record.elapsed_s)} s"],
        ["doubts", str(len(test.looked.get("doubts", [])))],
    ]


# --- tabs ----------------------------------------------------------------------------------------------------------


def _charts(test: Test) -> list[dict[str, Any]]:
    """Curves over the seconds of the window: where they belong, title, points, last value, and the scale's top."""
    seconds = list(test.record.seconds)
    pick: tuple[tuple[str, str, Callable[[Second], float | None], Callable[[float | None], str]], ...] = (
        ("server", "Requests per second", lambda one: one.rps, units.rate),
        ("server", "Server CPU per request", lambda one: one.cpu_us, units.microseconds),
        ("server", "CPUs that the server keeps busy", lambda one: one.cpus, _plain),
        ("generator", "CPUs that the generator uses", lambda one: one.generator, _plain),
        ("generator", _lag_title(test), lambda one: one.lag_us, units.microseconds),
    )
    charts = [
        _chart(tab, title, [(one.at_s, value(one)) for one in seconds], words) for tab, title, value, words in pick
    ]
    memory = _chart("server", "Memory of all its processes", test.memory, units.size)
    return [*charts[:3], memory, *charts[3:]]


def _lag_title(test: Test) -> str:
    return "Requests left late, p99 so far" if test.load.kind == "open" else "Lag of the generator, p99"


def _chart(
    tab: str, title: str, points: Sequence[tuple[float, float | None]], words: Callable[[float | None], str]
) -> dict[str, Any]:
    known = [value for _, value in points if value is not None]
    top = max(known, default=0.0) * 1.1
    return {
        "tab": tab,
        "title": title,
        "points": [[round(at, 2), value] for at, value in points],
        "last": words(known[-1] if known else None),
        "top": top,
        "top_words": words(top) if known else "",
    }


def _plain(value: float | None) -> str:
    return NOT_YET if value is None else f"{value:.2f}"


def _server(test: Test) -> list[list[str]]:
    """What is served, in a table of two columns."""
    looked = test.looked
    return [
        *[[name.capitalize(), words] for name, words in test.about.items()],
        ["Address", test.address],
        *[[name, words] for name, words in looked.get("facts", {}).items()],
    ]


def _processes(test: Test) -> list[list[str]]:
    """A row for each process of the server."""
    return [
        [str(one["pid"]), one["name"], _plain(one["cpus"]), units.size(one["pss_bytes"]), units.size(one["uss_bytes"])]
        for one in test.looked.get("processes", [])
    ]


def _generator(test: Test) -> list[list[str]]:
    """How the load process fares."""
    record = test.record
    if not record.began:
        return []
    result = record.generator()
    lag = "Requests left late by (p99)" if test.load.kind == "open" else "The loop looked at answers late by (p99)"
    ceiling = test.looked.get("ceiling_share")
    rows = [
        ["CPU used, 1 = one full CPU", _plain(result["generator_utilisation"])],
        ["Share of what it can do at most in this scenario", units.percent(ceiling)],
        [lag, units.microseconds(result["lag_us_p99"])],
        ["Connections established", f"{result['connections_established']:,} of {test.load.connections:,}"],
        ["Fairness over connections (Jain's index, 1 = all equal)", _plain(result["jain"])],
        ["Slowest connection, share of the median", units.percent(result["slowest_share"])],
    ]
    if test.load.kind == "open":
        rows.append(["Most requests that waited for a connection", units.count(result["queue_max"])])
    return rows


COLUMNS = (
    "test",
    "server",
    "app",
    "scenario",
    "load",
    "size",
    "measured",
    "requests/s",
    "CPU per request",
    "p50",
    "p99",
    "memory",
    "errors",
    "doubts",
    "saved",
)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """One test in the table of all tests; a failed one has its reason in place of numbers."""
    cells = [
        str(row["number"]),
        row["server"],
        row["app"] or NOT_YET,
        row["scenario"],
        row["load"],
        row["size"] or NOT_YET,
        units.seconds(row["window_s"]),
        units.rate(row["rps"]),
        units.microseconds(row["cpu_us_per_request"]),
        units.microseconds(row["p50_us"]),
        units.microseconds(row["p99_us"]),
        units.size(row["pss_bytes"]),
        units.count(row["errors"]),
        ", ".join(doubt["kind"] for doubt in row["doubts"]) or "none",
        "yes" if row["saved"] else "no",
    ]
    return {
        "cells": cells,
        "failure": row["failure"],
        "doubts": row["doubts"],
        "bars": {"requests/s": row["rps"], "CPU per request": row["cpu_us_per_request"]},
        "number": row["number"],
        "alike": f"{row['scenario']} {row['load'].partition('-')[0]}",
    }
