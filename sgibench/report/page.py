"""The page: one self-contained file a run, and the list of all runs.

Nothing is loaded from anywhere, nothing runs but one script whose hash stands in the policy, and every string from
outside goes through Jinja2's escaping or ElementTree's. The page is complete without the script.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sgibench import units
from sgibench.errors import ResultsError
from sgibench.model import Run
from sgibench.report import exports, words
from sgibench.report.evidence import evidence_of
from sgibench.report.history import history_of
from sgibench.report.panels import Panel, Row, View, view_of
from sgibench.report.plots import Chart, charts_of
from sgibench.report.sentences import INTERFACES, answer_of
from sgibench.report.standings import printable

TEMPLATES = Path(__file__).parent / "templates"
SHAPES = (
    "M7 2.4a4.6 4.6 0 1 0 .01 0z",
    "M3 3h8v8H3z",
    "M7 2l5 9H2z",
    "M7 1.5l5.5 5.5L7 12.5 1.5 7z",
    "M7 12L2 3h10z",
    "M5.2 2h3.6v3.2H12v3.6H8.8V12H5.2V8.8H2V5.2h3.2z",
    "M4.5 2L7 4.5 9.5 2 12 4.5 9.5 7 12 9.5 9.5 12 7 9.5 4.5 12 2 9.5 4.5 7 2 4.5z",
    "M7 1.2l1.7 3.9 4.2.4-3.2 2.8.95 4.1L7 10.2l-3.65 2.2.95-4.1L1.1 5.5l4.2-.4z",
)
"""Marker outlines in a box of 14, in the order of `charts.sheet.MARKERS`."""
UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What has no place in a page, whoever put it into a log: controls, direction overrides, halves of surrogates."""
HEAT_STEPS = (1.05, 1.3, 2.0, 4.0)
"""Ratios to the best at which the overview's shade deepens."""


def write(run: Run, folder: Path) -> Path:
    """Write `<run>.html` into `folder`; returns its path. Raises ResultsError when that can't be done."""
    return _save(folder / page_name(run), render(run))


def write_index(folder: Path, runs: Sequence[Run]) -> Path:
    """Write `index.html`: all runs, newest first, and how each cell went from run to run on each machine."""
    ordered = sorted(runs, key=lambda run: (run.info.started_at, run.info.run), reverse=True)
    pages = {run.info.run: page_name(run) for run in ordered if (folder / page_name(run)).is_file()}
    html = _fill("index.html", runs=ordered, pages=pages, histories=history_of(ordered), title="All runs")
    return _save(folder / "index.html", html)


def page_name(run: Run) -> str:
    """Name a run's page; whatever a run calls itself, the file stays in its folder."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", run.info.run).lstrip(".") or "run"
    return f"{name[:100]}.html"


def render(run: Run) -> str:
    """Make the page of a run."""
    view = view_of(run)
    charts: Mapping[str, tuple[Chart, ...]] = {
        panel.key: charts_of(panel, _siblings(panel, view.panels)) for panel in view.panels
    }
    return _fill(
        "report.html",
        title=f"Run {printable(run.info.run)}",
        run=run,
        info=run.info,
        view=view,
        charts=charts,
        answers={panel.key: answer_of(panel) for panel in view.panels},
        evidence=evidence_of(view),
        overview=_overview(view) if len(view.panels) > 1 else None,
        by_interface=_by_interface,
        longest=_longest,
        csv=exports.csv_link(view),
        json=exports.json_link(view),
    )


def _siblings(panel: Panel, panels: Sequence[Panel]) -> list[Panel]:
    """Panels of the same scenario and load whose workers, or threads, differ."""

    def family(one: Panel) -> tuple[str, str]:
        return one.main.key.scenario, one.main.key.load.id

    mine = [one for one in panels if family(one) == family(panel)]
    by_workers = len({one.main.key.workers for one in mine}) > 1
    if by_workers:
        first = mine[0].main.key.threads
        mine = [one for one in mine if one.main.key.threads == first]
    return mine


def _by_interface(panel: Panel) -> list[tuple[str, list[Row]]]:
    """Rows of each interface, best first, with the interface's name."""
    groups = [(name.upper(), [row for row in panel.rows if row.entry.interface == name]) for name in INTERFACES]
    groups.append(("other", [row for row in panel.rows if row.entry.interface not in INTERFACES]))
    return [(name, rows) for name, rows in groups if rows]


def _longest(panel: Panel) -> dict[str, float]:
    """Give the ends of the scales of the bars inside the table."""
    return {
        "cpu": words.scale_end(row.entry.cpu_us for row in panel.rows),
        "rps": words.scale_end(row.entry.rps for row in panel.rows),
    }


def _overview(view: View) -> list[dict[str, Any]]:
    """One line a server and app: its cost in each panel as a multiple of the best one's."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for place, panel in enumerate(view.panels):
        ranking = panel.main.cost
        best = ranking.rows[0].cell if ranking.rows else None
        for row in panel.rows:
            key = (row.entry.server, row.entry.app)
            line = lines.setdefault(key, {"row": row, "cells": [None] * len(view.panels)})
            found = ranking.versus_best.get(row.entry.cell)
            ratio = 1.0 if row.entry.cell == best else found.ratio if found else None
            heat = sum(ratio >= step for step in HEAT_STEPS) if ratio else 0
            line["cells"][place] = {"row": row, "ratio": ratio, "heat": heat, "panel": panel}
    order = {name: index for index, name in enumerate((*INTERFACES, None))}
    return sorted(lines.values(), key=lambda line: order[line["row"].entry.interface])


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "us": units.microseconds,
        "s": units.seconds,
        "rate": units.rate,
        "size": units.size,
        "percent": units.percent,
        "count": units.count,
        "significant": units.significant,
        "moment": words.moment,
        "failure": words.failure_words,
        "noise": words.noise,
        "printable": printable,
        "command": shlex.join,
        "trimmed": words.trimmed,
    }
    environment.globals |= {
        "interval": words.interval,
        "load_sentence": words.load_sentence,
        "latency_sentence": words.latency_sentence,
        "shapes": SHAPES,
        "hgrm": exports.hgrm_link,
        "units": units,
    }
    return environment


def _fill(template: str, **values: Any) -> str:
    """Render a template with style and script inlined, and a policy that allows exactly those two."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    html = (
        _environment()
        .get_template(template)
        .render(
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            policy=policy,
            **values,
        )
    )
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", html)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _save(path: Path, html: str) -> Path:
    """Replace a page in one step, so that a reader never sees half of one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(html, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise ResultsError(f"can't write {path} ({error.strerror}): pass --reports DIR") from error
    return path
