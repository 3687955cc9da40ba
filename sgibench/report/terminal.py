"""The ranking as terminal tables: fits 80 columns, ties share a place, a failed cell says why in place of a number.

Everything goes through one rich console, which knows about colour, width, NO_COLOR and pipes; what it can't know is
done here: names are never markup, and without Unicode the few signs we use become ASCII.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from sgibench import stats, units
from sgibench.errors import in_line, plain
from sgibench.model import Estimate, Metric, Run, RunInfo
from sgibench.report import behaviours, inside, jobs, services, wire, words
from sgibench.report.balancing import balance_of
from sgibench.report.baseline import Settled, settled_of
from sgibench.report.capacities import CapacityTable, capacities_of
from sgibench.report.charts.chart import Table
from sgibench.report.latencies import streams_in_short
from sgibench.report.layers import LAYERS, LayerTable, apart, layers_of, signed
from sgibench.report.narrow import WORDS_FOR_A_FIGURE, Column, Kind, Line, show
from sgibench.report.own import OwnShare, own_shares, own_tables
from sgibench.report.panels import Panel, Row, View, in_order, view_of
from sgibench.report.sentences import answer_of
from sgibench.report.standings import Entry
from sgibench.report.twoway import CrossTable, cross_tables

ASCII = str.maketrans(
    {"µ": "u", "·": "-", "±": "~", "–": "-", "×": "x", "…": "...", "’": "'", "\N{REPLACEMENT CHARACTER}": "?"}
)
SHOWN_DOUBTS = 3
WIDE = 0.5
"""Intervals wider than this share are written with their ends: a minus of 80 % and a plus of 80 % are not alike."""
LEAST_SHARE = 0.005
"""Of narrower ones only that is said: no interval is nothing."""
SHORT = (
    ("the rate was not kept", "rate not kept"),
    ("too few answers", "too few answers"),
    ("not measured", "not measured"),
)
"""How reasons begin that have no room in place of a figure -> what stands there; the report has the whole of each."""
HEADS: Mapping[Metric, str] = {
    "cpu_us_per_request": "CPU/request",
    "rps": "requests/s",
    "p50_us": "p50",
    "p99_us": "p99",
    "p999_us": "p99.9",
}


def ranking(run: Run, console: Console, rank_by: Metric = "cpu_us_per_request") -> None:
    """Print the tables of each panel, ordered by a figure, then what could not be measured."""
    view = view_of(run, rank_by)
    sheet = _Sheet(console, run)
    if not view.panels:
        sheet.line("No trial has finished: there is nothing to rank.")
    for finding in () if run.info.own is None else run.info.own.findings:
        sheet.line(f"Found before the load: {finding}.", "yellow")
    for share in own_shares(view):
        sheet.own(share)
    for panel in view.panels:
        sheet.panel(panel)
    for doubt in view.doubts:
        sheet.line(f"Doubt about the run, {doubt.kind}: {doubt.detail}. {doubt.advice}", "yellow")
    found = settled_of(run)
    if found is not None:
        sheet.settled(found)
    sheet.left_out(view)


def capacity(run: Run, console: Console, broken_off: Sequence[str] = ()) -> None:
    """Print what searches for capacity found, a table for each limit, and what is known of those `broken_off`."""
    sheet = _Sheet(console, run)
    tables = capacities_of(run)
    if not tables:
        sheet.line("No search for capacity has finished" + (": there is nothing to show." if not broken_off else "."))
    for found in tables:
        sheet.capacity(found)
    unfinished(broken_off, run, console)
    sheet.beside_figures(run.info)


def unfinished(known: Sequence[str], run: Run, console: Console) -> None:
    """Print what is known of searches that were broken off."""
    if known:
        limit = "" if run.info.slo is None else f", {run.info.slo.id}"
        _Sheet(console, run).line(f"Not finished, so no capacities{limit}:", "yellow")
    for one in known:
        _Sheet(console, run).line(f"  {one}")


def written(text: str, *, ascii_only: bool) -> str:
    """Turn a string into signs that can be printed, and do nothing else to a terminal."""
    text = plain(text)
    return text.translate(ASCII).encode("ascii", "replace").decode() if ascii_only else text


class _Sheet:
    """A console that writes ASCII where it must."""

    def __init__(self, console: Console, run: Run) -> None:
        self.console = console
        self.run = run
        self.ascii = console.options.ascii_only

    def plain(self, text: str) -> str:
        """Turn a string into signs that this console can print, in one line."""
        return written(in_line(text), ascii_only=self.ascii)

    def text(self, text: str, style: str = "") -> Text:
        """Turn a line into what is printed, never read as markup; a line end before it leaves an empty one."""
        above = "\n" * text.startswith("\n")
        return Text(above + self.plain(text[len(above) :]), style=style)

    def line(self, text: str, style: str = "") -> None:
        self.console.print(self.text(text, style), highlight=False)

    def panel(self, panel: Panel) -> None:
        """Print what was measured at saturation and at the fixed rate, and the sentences it supports."""
        self.line(f"\n{panel.title}", "bold")
        latencies = [metric for metric in stats.LATENCIES if any(panel.estimate(row, metric) for row in panel.rows)]
        plain: list[Metric] = ["cpu_us_per_request", "rps"]
        self.figures(panel, _first(plain, panel.rank_by), words.load_sentence(panel.main.key.load))
        if latencies:
            shown = _first(latencies, panel.rank_by if panel.rank_by in latencies else "p99_us")
            self.figures(panel, shown, words.latency_sentence(panel.latency_standing.key.load))
        for title, seen in (*behaviours.in_short(panel), *wire.in_short(panel), ("Streams", streams_in_short(panel))):
            self.beside(title, seen)
        if (balance := balance_of(panel, self.run.info.machine)) is not None:
            self.beside("Servers behind a front, each number against the least (= not told apart)", balance.short)
            for sentence in balance.sentences:
                self.console.print(Padding(self.text(sentence), (0, 0, 0, 2)), highlight=False)
        self.beside("Inside the app", inside.in_short(panel))
        self.beside("Services", services.in_short(panel))
        for note in services.notes_of(panel):
            self.line(f"  {note}")
        self.beside("Jobs", jobs.in_short(panel))
        for said in answer_of(panel).said:
            told = self.text(f"{said.interface}: {said.text}" if said.interface else said.text)
            self.console.print(Padding(told, (0, 0, 0, 2)), highlight=False)
        for table in cross_tables(panel):
            self.crossed(table)
        layers = layers_of(self.run, panel)
        if layers is not None:
            self.layers(layers)
        for doubt in panel.doubts:
            self.line(f"  Doubt, {doubt.kind}: {doubt.detail}", "yellow")
        self.doubts(panel)

    def crossed(self, table: CrossTable) -> None:
        """Print what servers and frameworks do to one another."""
        self.line(f"\n{table.interface}: servers by frameworks, CPU per request", "bold")
        columns = [Column(head="app", kind="name")]
        columns += [Column(head=server, kind="figure") for server in table.servers]
        lines = []
        for app in table.apps:
            found = [table.places.get((server, app)) for server in table.servers]
            cells = (app, *(units.microseconds(one.estimate.value) if one else "failed" for one in found))
            lines.append(Line(cells=tuple(map(self.plain, cells))))
        show(self.console, columns, lines, ascii_only=self.ascii)
        for sentence in table.sentences:
            self.console.print(Padding(self.text(sentence), (0, 0, 0, 2)), highlight=False)

    def layers(self, table: LayerTable) -> None:
        """Print what each layer of a request costs."""
        self.line("\nCPU per request, layer by layer", "bold")
        heads = ("server", "app", *LAYERS, "whole", *(f"{name}, apart" for name in table.services))
        figures: Sequence[Kind] = ["figure" for _ in heads[2:]]
        kinds: Sequence[Kind] = ("name", "words", *figures)
        columns = [Column(head=head, kind=kind) for head, kind in zip(heads, kinds, strict=True)]
        lines = []
        for one in table.rows:
            parts = (one.layers.work, one.layers.framework, one.layers.server, one.layers.rest, one.layers.total)
            beside = (apart(one, name) for name in table.services)
            cells = (one.row.entry.server, one.row.entry.app, *(signed(part.value) for part in parts), *beside)
            lines.append(Line(cells=tuple(map(self.plain, cells))))
        show(self.console, columns, lines, ascii_only=self.ascii)
        self.console.print(Padding(self.text(table.sentence), (0, 0, 0, 2)), highlight=False)

    def figures(self, panel: Panel, metrics: Sequence[Metric], where: str) -> None:
        """Print a table of figures, the rows in order of the first that has places, each figure behind its own."""
        rows = in_order(panel, metrics[0])
        by = next((metric for metric in metrics if any(metric in row.places for row in rows)), metrics[0])
        self.line(words.counted(f"{where[0].upper()}{where[1:]}, by {words.FIGURES[by]}", panel.unit), "dim")
        aa = ", ".join(
            f"{words.FIGURES[metric]} {words.noise(panel.ranking(metric).noise_floor)}" for metric in metrics[:2]
        )
        self.line(words.counted(f"A/A noise: {aa}", panel.unit), "dim")
        columns = [Column(head="#", kind="place"), Column(head="server", kind="name")]
        for place, metric in enumerate(metrics):
            columns += [Column(head="#", kind="place")] if place else []
            columns.append(Column(head=self.plain(words.counted(HEADS[metric], panel.unit)), kind="figure"))
        rows = in_order(panel, by)
        places = [row.places[by].place if by in row.places else None for row in rows]
        lines = [
            Line(
                cells=tuple(map(self.plain, self.cells(panel, row, metrics))),
                reasons=frozenset({2} if panel.estimate(row, metrics[0]) is None else ()),
                style="" if row.entry.status == "ok" else "red",
                gap=place is not None and following is not None and following != place,
            )
            for row, place, following in zip(rows, places, [*places[1:], None], strict=True)
        ]
        show(self.console, columns, lines, ascii_only=self.ascii)

    def beside(self, title: str, found: Table | None) -> None:
        """Print a table of what was counted beside the figures, where there is one."""
        if found is None:
            return
        self.line(title, "dim")
        name, *heads = map(self.plain, found.headers)
        columns = [Column(head=name, kind="name"), *(Column(head=head, kind="words") for head in heads)]
        lines = [Line(cells=tuple(map(self.plain, row))) for row in found.rows]
        show(self.console, columns, lines, ascii_only=self.ascii)

    def own(self, share: OwnShare) -> None:
        """Print where the time of the user's requests goes: what everything after it has to be read by."""
        self.line(f"\n{share.app}: where does the time go?", "bold")
        for sentence in (share.text, share.beside):
            if sentence:
                self.console.print(Padding(self.text(sentence), (0, 0, 0, 2)), highlight=False)
        columns = [
            Column(head="served by", kind="name"),
            Column(head="CPU per request", kind="figure"),
            Column(head="of it server and front" if share.fronts else "of it the server", kind="figure"),
        ]
        for title, rows in own_tables(share):
            self.line(f"  {title}")
            lines = [Line(cells=tuple(map(self.plain, row))) for row in rows]
            show(self.console, columns, lines, ascii_only=self.ascii)

    def settled(self, found: Settled) -> None:
        """Print each server against the baseline."""
        self.line(f"\nAgainst {found.baseline}, by the rule, after {found.blocks} of {found.most} blocks", "bold")
        kinds: Sequence[Kind] = ("name", "words", "words", "figure", "words")
        heads = ("server", "where", "figure", "ratio", "verdict")
        columns = [Column(head=head, kind=kind) for head, kind in zip(heads, kinds, strict=True)]
        lines = [Line(cells=tuple(map(self.plain, row))) for row in found.table.rows]
        show(self.console, columns, lines, ascii_only=self.ascii)

    def capacity(self, found: CapacityTable) -> None:
        """Print a table and the sentence it supports."""
        self.line(f"\n{found.title}", "bold")
        columns = [
            Column(head="#", kind="place"),
            Column(head="server", kind="name"),
            Column(head=self.plain(f"highest rate with {found.slo.id}"), kind="words"),
            Column(head="searches", kind="figure"),
        ]
        shared = Counter(entry.place for entry in found.entries)
        lines = []
        for entry in found.entries:
            place = f"{entry.place}{'=' if shared[entry.place] > 1 else ' '}" if entry.place else ""
            cells = (place, entry.label, entry.words, str(len(entry.searches)))
            lines.append(Line(cells=tuple(map(self.plain, cells)), style="" if entry.rate_per_s else "red"))
        show(self.console, columns, lines, ascii_only=self.ascii)
        self.line(f"  {found.sentence}")

    def cells(self, panel: Panel, row: Row, metrics: Sequence[Metric]) -> list[str]:
        """One row of the table."""
        mark = " !" if row.doubts else ""
        places, figures = [], []
        for metric in metrics:
            stands, entry = row.places.get(metric), panel.entry_for(row, metric)
            places.append(f"{stands.place}{'=' if stands.shared else ' '}" if stands else "")
            found = panel.estimate(row, metric)
            missing = metric == metrics[0] and found is None
            figures.append(_why_not(entry, metric) if missing else _estimate(found, metric))
        cells = [places[0], row.label + mark, figures[0]]
        for place, figure in zip(places[1:], figures[1:], strict=True):
            cells += [place, figure]
        return cells

    def doubts(self, panel: Panel) -> None:
        """Say the doubts in short; the report has them all."""
        kinds: dict[str, list[str]] = {}
        for row in panel.rows:
            for doubt in row.doubts:
                names = kinds.setdefault(doubt.kind, [])
                if row.label not in names:
                    names.append(row.label)
        for kind, names in kinds.items():
            shown = ", ".join(names[:SHOWN_DOUBTS])
            rest = len(names) - SHOWN_DOUBTS
            self.line(f"  ! {kind}: {shown}" + (f" and {rest} more" if rest > 0 else ""), "yellow")

    def left_out(self, view: View) -> None:
        """Name what failed or could not take part, with the reason."""
        for panel in view.panels:
            for standing in {one.key: one for one in (panel.main, *panel.opens, *panel.curve)}.values():
                at = "" if standing is panel.main else f" at {standing.key.load.id}"
                for entry in standing.entries.values():
                    if entry.failed_blocks:
                        where = f"{entry.label} in {panel.title}{at}"
                        count = f"{entry.failed_blocks} of {units.many(len(entry.trials), 'trial')}"
                        self.line(f"Failed: {where}, {count}: {words.failure_words(entry.failure)}", "red")
        self.beside_figures(view.run.info)
        for notice in filter(None, (words.sharing(view.run.info.machine), *view.run.notices)):
            self.line(f"Notice: {notice}", "yellow")

    def beside_figures(self, info: RunInfo) -> None:
        """Name what took no part, whose ceiling nobody knows, and the services that were used."""
        for name, reason in info.skipped.items():
            self.line(f"Skipped: {name}: {reason}", "yellow")
        for scenario, reason in info.uncalibrated.items():
            self.line(f"No ceiling of the load generator: {scenario}: {reason}", "yellow")
        for service, told in services.told(info).items():
            self.line(f"Service: {service}: {told}")


def _first(metrics: Sequence[Metric], chosen: Metric) -> list[Metric]:
    """Put what the table is ordered by first."""
    return sorted(metrics, key=lambda metric: metric != chosen)


def _why_not(entry: Entry | None, metric: Metric) -> str:
    """Say in place of a number why there is none."""
    if entry is None:
        return "not measured"
    if entry.status != "ok":
        told = f"{entry.status}: {entry.failure.reason}" if entry.failure else entry.status
        return told if entry.failure is None or len(told) <= WORDS_FOR_A_FIGURE else entry.failure.reason
    why = entry.why_not(metric)
    return next((short for begin, short in SHORT if why.startswith(begin)), why)


def _estimate(estimate: Estimate | None, metric: Metric) -> str:
    """Write a value and how far its interval reaches: as a share, or from where to where when that is much."""
    if estimate is None:
        return units.NOT_MEASURED
    form = words.FORMS[metric]
    shown, share = form(estimate.value).removesuffix("/s"), words.spread(estimate)
    if share is None:
        return shown
    if share < WIDE:
        return f"{shown} ±{share * 100:.0f}%" if share >= LEAST_SHARE else f"{shown} ±<1%"
    if words.says_nothing(estimate):
        return f"{shown} ±?"
    low, high = estimate.low or 0.0, estimate.high or 0.0
    ends = f"{units.significant(low, 2)}–{units.significant(high, 2)}" if metric == "rps" else units.span_us(low, high)
    return f"{shown} ({ends})"
