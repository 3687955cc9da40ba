"""Templates to files: one self-contained page, one policy, one way to write it.

Style and script stand inside the page, and the policy allows exactly these two by their hash. Every string from outside
is escaped by Jinja2, and what no page should hold (controls, direction overrides) is replaced at the end.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shlex
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sgibench import stats, units
from sgibench.errors import ResultsError, plain
from sgibench.report import exports, services, share, words
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


def fill(template: str, **values: Any) -> str:
    """Render a template as a complete page."""
    style, script = _ours("style.css"), _ours("page.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    html = _environment().get_template(template).render(style=style, script=script, policy=policy, **values)
    return plain(html)


def save(path: Path, html: str) -> Path:
    """Replace a page in one step, so that a reader never sees half of one; raises ResultsError in one line."""
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


def file_name(run: str) -> str:
    """Turn what a run calls itself into a name that stays in its folder."""
    return (re.sub(r"[^A-Za-z0-9._-]+", "_", run).lstrip(".") or "run")[:100]


def _ours(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - a file of this package


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
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
        "against_best": words.against_best,
        "with_interval": words.with_interval,
        "listed": words.listed,
        "counted": words.counted,
        "share": share.told,
    }
    environment.globals |= {
        "interval": words.interval,
        "figures": words.FIGURES,
        "forms": words.FORMS,
        "load_words": words.load_words,
        "value_of": stats.value_of,
        "load_sentence": words.load_sentence,
        "sharing": words.sharing,
        "services_of": services.told,
        "pool_notes": services.notes_of,
        "latency_sentence": words.latency_sentence,
        "shapes": SHAPES,
        "hgrm": exports.hgrm_link,
        "units": units,
    }
    return environment
