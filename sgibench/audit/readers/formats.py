"""The table of formats: by which signs each is known, and who reads it; and which is nearest to a file that is none.

A sign is cheap, looks at the material only, and never raises. The first format whose signs are all there reads the
file, so a format whose signs another one has as well stands before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sgibench.audit.figures import Figures
from sgibench.audit.readers import (
    ab,
    autocannon,
    autocannon_text,
    bombardier,
    csv_tables,
    h2load,
    hey,
    httparena,
    k6,
    k6_text,
    locust_csv,
    locust_json,
    locust_table,
    oha,
    rows_csv,
    summary_text,
    vegeta,
    wrk,
)
from sgibench.audit.readers.fields import objects, part
from sgibench.audit.readers.material import Material


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One thing that a file of a format holds."""

    words: str
    """How it is told to a person who looks for it."""
    present: Callable[[Material], bool]


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format: how it is recognised and read."""

    name: str
    signs: tuple[Sign, ...]
    read: Callable[[Material], list[Figures]]
    """Material -> rows; raises ValueError with what was expected."""
    start: re.Pattern[str] | None = None
    """What every run of a text begins with, where another tool's may follow it in the same file."""
    banner: re.Pattern[str] | None = None
    """The first lines of a run (of JSON, its first members), which neither another tool nor prose writes: what stands
    behind them is a whole run, or breaks off."""
    members: tuple[str, ...] = ()
    """Of JSON with a banner: what each whole object has."""
    whole: bool = False
    """A table, beside which only tables can stand in the same file."""
    hint: str | tuple[str, ...] = ()
    """Words that the tool leaves in files that are not of this format; each tips the scales of what is nearest."""


def _text(words: str, pattern: re.Pattern[str] | str) -> Sign:
    compiled = re.compile(re.escape(pattern)) if isinstance(pattern, str) else pattern
    return Sign(words=f"`{words}`", present=lambda material: compiled.search(material.plain) is not None)


def _members(*names: str) -> tuple[Sign, ...]:
    """Give a JSON object with these members: each by itself, so that what is missing can be named, and all in one."""

    def mentioned(name: str) -> Sign:
        quoted = f'"{name}"'
        return Sign(words=f"a member {quoted}", present=lambda material: quoted in material.text)

    whole = Sign(
        words="a whole JSON object with " + " and ".join(f'"{name}"' for name in names),
        present=lambda material: not material.broken_json and bool(objects(material.documents, *names)),
    )
    return (*(mentioned(name) for name in names), whole)


def _columns(header: Callable[[Material], set[str]], *names: str) -> tuple[Sign, ...]:
    def has(name: str) -> Sign:
        return Sign(words=f"a column `{name}`", present=lambda material: name in header(material))

    return tuple(has(name) for name in names)


_ANY_FIGURE = Sign(
    words="a column of figures (" + ", ".join(sorted(csv_tables.FIGURE_COLUMNS)) + ")",
    present=lambda material: bool(rows_csv.header_of(material) & csv_tables.FIGURE_COLUMNS),
)
_K6_METRICS = Sign(
    words='"http_req_duration" among its "metrics"',
    present=lambda material: any(
        "http_req_duration" in part(each, "metrics") for each in objects(material.documents, "metrics")
    ),
)
_ARENA_ROWS = Sign(
    words='rows with "framework" and "avg_latency"', present=lambda material: bool(httparena.tables_of(material))
)
_LOCUST_LIST = Sign(
    words="a whole JSON list of objects with " + ", ".join(f'"{name}"' for name in locust_json.MEMBERS),
    present=lambda material: not material.broken_json and bool(locust_json.entries(material)),
)
_NO_SUCCESS_RATE = Sign(
    words="a summary without `Success rate:`", present=lambda material: "Success rate:" not in material.plain
)
_COUNT = re.compile(r"Summary:\s+Count:\s")
_NO_COUNT = Sign(
    words="a summary without `Count:` (ghz's, of gRPC)", present=lambda material: _COUNT.search(material.plain) is None
)
_HEY = (
    _NO_COUNT,
    _text("Summary:", summary_text.START),
    _text("Requests/sec:", "Requests/sec:"),
    _text("Total:", re.compile(r"\bTotal:\s")),
)
_ENDS = _text("Status code distribution:", re.compile("Status code distribution:|Error distribution:"))

FORMATS: tuple[Format, ...] = (
    Format(name="rows.csv", whole=True, signs=(*_columns(rows_csv.header_of, "id"), _ANY_FIGURE), read=rows_csv.read),
    Format(
        name="Locust statistics CSV",
        whole=True,
        hint=("Failures/s", "Occurrences", "Count,Message,Traceback", "locust"),
        signs=_columns(locust_csv.header_of, "name", "request count", "average response time"),
        read=locust_csv.read,
    ),
    Format(
        name="wrk text",
        banner=re.compile(
            r"Running \S{1,20} test @ \S{1,500}[ \t]*\n[ \t]*[0-9]{1,6} threads? and [0-9]{1,9} connections"
        ),
        start=wrk.START,
        hint="unable to connect to",
        signs=(_text("Running … test @ URL", wrk.START), _text("Requests/sec:", "Requests/sec:")),
        read=wrk.read,
    ),
    Format(
        name="oha text",
        banner=re.compile(r"\bSummary:[ \t]*\n[ \t]*Success rate:[ \t]"),
        start=summary_text.START,
        hint="oha -",
        signs=(*_HEY, _text("Success rate:", "Success rate:"), _ENDS),
        read=oha.read_text,
    ),
    Format(
        name="hey text",
        banner=re.compile(r"\bSummary:[ \t]*\n[ \t]*Total:[ \t]*[0-9]+\.[0-9]+ secs"),
        start=summary_text.START,
        hint=("hey -", "response-time,DNS+dialup,DNS"),
        signs=(*_HEY, _NO_SUCCESS_RATE, _ENDS),
        read=hey.read,
    ),
    Format(
        name="oha JSON",
        members=("summary", "latencyPercentiles"),
        banner=re.compile(r'\{\s{0,200}"summary":\s{0,200}\{\s{0,200}"successRate"'),
        signs=_members("summary", "latencyPercentiles"),
        read=oha.read_json,
    ),
    Format(
        name="k6 summary JSON",
        hint=('"type":"Point"', "metric_name,timestamp,metric_value"),
        signs=(*_members("metrics"), _K6_METRICS),
        read=k6.read_json,
    ),
    Format(
        name="k6 text",
        banner=re.compile(r"^[ \t]*execution: local[ \t]*\n[ \t]*script:", re.MULTILINE),
        start=k6_text.DURATION,
        hint="VUs",
        signs=(
            _text("http_req_duration...: avg=…", k6_text.DURATION),
            _text("http_reqs...: N R/s", re.compile(r"http_reqs\.*:\s+[0-9]+\s+[0-9]")),
        ),
        read=k6.read_text,
    ),
    Format(name="HttpArena site/data JSON", signs=(_ARENA_ROWS,), read=httparena.read),
    Format(
        name="Locust console table",
        banner=re.compile(r"\bStarting Locust [0-9]"),
        start=locust_table.HEADER,
        hint="locust.main",
        signs=(
            _text("Name  # reqs  # fails  …  req/s", locust_table.HEADER),
            _text("Aggregated", re.compile(r"\b(?:Aggregated|Total)\s+[0-9]")),
        ),
        read=locust_table.read,
    ),
    Format(
        name="ab text",
        banner=re.compile(r"^.{0,40}?\bBenchmarking \S{1,500} .{0,100}?\(be patient\)", re.MULTILINE),
        start=ab.START,
        hint="ApacheBench",
        signs=(
            _text("Concurrency Level:", ab.START),
            _text("Complete requests:", "Complete requests:"),
            _text("Requests per second:", "Requests per second:"),
        ),
        read=ab.read,
    ),
    Format(
        name="vegeta text",
        banner=re.compile(r"Requests[ \t]+\[total, rate[^\n]{0,200}\n[ \t]*Duration[ \t]+\["),
        start=vegeta.REQUESTS,
        hint="vegeta",
        signs=(
            _text("Requests      [total, rate, throughput]", vegeta.REQUESTS),
            _text("Latencies     [mean, 50, 95, 99, max]", re.compile(r"Latencies\s+\[")),
            _text("Status Codes  [code:count]", re.compile(r"Status Codes\s+\[code:count\]")),
        ),
        read=vegeta.read_text,
    ),
    Format(
        name="vegeta JSON",
        members=("latencies", "status_codes", "rate"),
        banner=re.compile(r'\{\s{0,200}"latencies":\s{0,200}\{\s{0,200}"total"'),
        signs=_members("latencies", "status_codes", "rate"),
        read=vegeta.read_json,
    ),
    Format(
        name="bombardier text",
        banner=re.compile(r"Bombarding \S{1,500} (?:for|with) [^\n]{1,80} using [0-9]+ connection"),
        start=bombardier.START,
        hint="Bombarding",
        signs=(_text("Reqs/sec  avg stdev max", bombardier.RATE), _text("HTTP codes: … others - N", bombardier.CODES)),
        read=bombardier.read_text,
    ),
    Format(
        name="bombardier JSON",
        members=("spec", "result"),
        banner=re.compile(r'\{\s{0,200}"spec":\s{0,200}\{\s{0,200}"numberOfConnections"'),
        signs=_members("spec", "result"),
        read=bombardier.read_json,
    ),
    Format(
        name="h2load text",
        banner=re.compile(r"starting benchmark\.\.\.[ \t]*\n.{0,60}?spawning thread #[0-9]"),
        start=h2load.START,
        hint="starting benchmark",
        signs=(
            _text("finished in …, N req/s", h2load.FINISHED),
            _text("requests: … total, … started, … done, …", h2load.REQUESTS),
        ),
        read=h2load.read,
    ),
    Format(
        name="autocannon text",
        banner=autocannon_text.START,
        start=autocannon_text.START,
        signs=(
            _text("Running … test @ URL` with `N connections", autocannon_text.START),
            _text("Bytes/Sec", "Bytes/Sec"),
            _text("N requests in Ns, … read", autocannon_text.SENT),
        ),
        read=autocannon_text.read,
    ),
    Format(name="Locust JSON", hint="num_requests", signs=(_LOCUST_LIST,), read=locust_json.read),
    Format(
        name="autocannon JSON",
        members=("latency", "requests", "non2xx"),
        banner=re.compile(
            r'"connections":\s{0,9}[0-9]+,\s{0,200}(?:"sampleInt":\s{0,9}[0-9]+,\s{0,200})?"pipelining":'
        ),
        signs=_members("latency", "requests", "non2xx"),
        read=autocannon.read,
    ),
)


def matches(known: Format, material: Material) -> bool:
    """Whether a file is of a format."""
    return all(sign.present(material) for sign in known.signs)


_NAMES = ", ".join(known.name for known in FORMATS)


def nearest(material: Material) -> str:
    """Say that a file is none of the formats, which came nearest, and what it lacks."""
    if not material.text.strip():
        return f"is empty, so none of the formats that can be audited ({_NAMES})"
    best = max(FORMATS, key=lambda known: _hinted(known, material) + _likeness(known, material))
    lacking = [sign.words for sign in best.signs if not sign.present(material)]
    broken = f"; {material.broken_json}" if material.broken_json else ""
    if not _likeness(best, material) and not _hinted(best, material):
        return f"none of the formats that can be audited ({_NAMES}){broken}"
    return (
        f"none of the formats that can be audited; nearest is {best.name}, which lacks {' and '.join(lacking)}{broken}"
    )


def _likeness(known: Format, material: Material) -> float:
    """Give the share of a format's signs that are there; what must be absent is none."""
    signs = [sign for sign in known.signs if sign not in (_NO_SUCCESS_RATE, _NO_COUNT)]
    return sum(sign.present(material) for sign in signs) / len(signs)


def _hinted(known: Format, material: Material) -> bool:
    """Whether it holds words that only this tool writes."""
    return any(word in material.text for word in ((known.hint,) if isinstance(known.hint, str) else known.hint))


def begun_only(known: Format, material: Material) -> bool:
    """Whether this looks like a format's text that breaks off: half of its signs are there, and one is not."""
    return not matches(known, material) and _likeness(known, material) >= 0.5  # noqa: PLR2004 - a half
