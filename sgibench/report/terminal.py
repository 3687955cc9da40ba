"""The ranking as terminal tables: fits 80 columns, ties share a place, a failed cell says why in place of a number.

Everything goes through one rich console, which knows about colour, width, NO_COLOR and pipes; what it can't know is
done here: names are never markup, and without Unicode the few signs we use become ASCII.
"""

from __future__ import annotations

from collections import Counter

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sgibench import units
from sgibench.model import Estimate, Run
from sgibench.report import words
from sgibench.report.baseline import Settled, settled_of
from sgibench.report.capacities import CapacityTable, capacities_of
from sgibench.report.panels import Panel, Row, View, view_of
from sgibench.report.sentences import answer_of

ASCII = str.maketrans(
    {"µ": "u", "·": "-", "±": "~", "–": "-", "×": "x", "…": "...", "’": "'", "\N{REPLACEMENT CHARACTER}": "?"}
)
NAMES_WIDTH = 26
SHOWN_DOUBTS = 3


def ranking(run: Run, console: Console) -> None:
    """Print one table a panel, then what could not be measured."""
    view = view_of(run)
    sheet = _Sheet(console)
    if not view.panels:
        sheet.line("No trial has finished: there is nothing to rank.")
    for panel in view.panels:
        sheet.panel(panel)
    found = settled_of(run)
    if found is not None:
        sheet.settled(found)
    sheet.left_out(view)


def capacity(run: Run, console: Console) -> None:
    """Print what searches for capacity found, a table for each limit."""
    sheet = _Sheet(console)
    tables = capacities_of(run)
    if not tables:
        sheet.line("No search for capacity has finished: there is nothing to show.")
    for found in tables:
        sheet.capacity(found)
    for server, reason in run.info.skipped.items():
        sheet.line(f"Skipped: {server}: {reason}", "yellow")


class _Sheet:
    """A console that writes ASCII where it must."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.ascii = console.options.ascii_only

    def text(self, text: str, style: str = "") -> Text:
        """Turn a string into what is printed, never read as markup."""
        if self.ascii:
            text = text.translate(ASCII).encode("ascii", "replace").decode()
        return Text(text, style=style)

    def line(self, text: str, style: str = "") -> None:
        self.console.print(self.text(text, style), highlight=False)

    def panel(self, panel: Panel) -> None:
        """Print a table and the sentences it supports."""
        self.line(f"\n{panel.title}", "bold")
        self.line(_how(panel), "dim")
        self.line(f"A/A noise {words.noise(panel.main.cost.noise_floor)}", "dim")
        table = Table(box=box.ASCII if self.ascii else box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        table.add_column("#", justify="right", no_wrap=True)
        table.add_column("server", max_width=NAMES_WIDTH, overflow="ellipsis" if not self.ascii else "crop")
        table.add_column(self.text("CPU/request"), justify="right")
        table.add_column("requests/s", justify="right")
        table.add_column("p50", justify="right", no_wrap=True)
        table.add_column("p99", justify="right", no_wrap=True)
        previous: int | None = None
        for row in panel.rows:
            place = row.cost.place if row.cost else None
            if previous is not None and place is not None and place != previous:
                table.add_section()
            previous = place
            table.add_row(*self.cells(panel, row), style="" if row.entry.status == "ok" else "red")
        self.console.print(table, highlight=False)
        for said in answer_of(panel).said:
            told = self.text(f"{said.interface}: {said.text}" if said.interface else said.text)
            self.console.print(Padding(told, (0, 0, 0, 2)), highlight=False)
        for doubt in panel.doubts:
            self.line(f"  Doubt, {doubt.kind}: {doubt.detail}", "yellow")
        self.doubts(panel)

    def settled(self, found: Settled) -> None:
        """Print each server against the baseline."""
        self.line(f"\nAgainst {found.baseline}, by the rule, after {found.blocks} of {found.most} blocks", "bold")
        table = Table(box=box.ASCII if self.ascii else box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        for name in ("server", "where", "CPU ratio", "verdict"):
            table.add_column(name, overflow="fold")
        for row in found.table.rows:
            table.add_row(*(self.text(cell) for cell in row))
        self.console.print(table, highlight=False)

    def capacity(self, found: CapacityTable) -> None:
        """Print a table and the sentence it supports."""
        self.line(f"\n{found.title}", "bold")
        table = Table(box=box.ASCII if self.ascii else box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        table.add_column("#", justify="right", no_wrap=True)
        table.add_column("server", max_width=NAMES_WIDTH, overflow="ellipsis" if not self.ascii else "crop")
        table.add_column(f"highest rate with {found.slo.id}", overflow="fold")
        table.add_column("searches", justify="right")
        shared = Counter(entry.place for entry in found.entries)
        for entry in found.entries:
            place = f"{entry.place}{'=' if shared[entry.place] > 1 else ' '}" if entry.place else ""
            table.add_row(
                self.text(place),
                self.text(entry.label),
                self.text(entry.words),
                str(len(entry.searches)),
                style="" if entry.rate_per_s else "red",
            )
        self.console.print(table, highlight=False)
        self.line(f"  {found.sentence}")

    def cells(self, panel: Panel, row: Row) -> list[Text]:
        """One row of the table."""
        entry = row.entry
        mark = " !" if row.doubts else ""
        if entry.status != "ok":
            reason = entry.failure.reason if entry.failure else entry.status
            why = self.text(f"{entry.status}: {reason}" if entry.failure else entry.status)
            return [self.text(""), self.text(row.label), why, Text(), Text(), Text()]
        seen = panel.latency_entry(row)
        latency = seen.latency if seen else None
        tied = "=" if row.shares_place else " "
        return [
            self.text(f"{row.cost.place}{tied}" if row.cost else ""),
            self.text(row.label + mark),
            self.text(_estimate(entry.cpu_us, units.microseconds)),
            self.text(_estimate(entry.rps, lambda value: units.rate(value).removesuffix("/s"))),
            self.text(units.microseconds(latency.p50 if latency else None)),
            self.text(units.microseconds(latency.p99 if latency else None)),
        ]

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
            for row in panel.rows:
                if row.entry.failed_blocks:
                    where = f"{row.label} in {panel.title}"
                    count = f"{row.entry.failed_blocks} of {len(row.entry.trials)} trials"
                    self.line(f"Failed: {where}, {count}: {words.failure_words(row.entry.failure)}", "red")
        for server, reason in view.run.info.skipped.items():
            self.line(f"Skipped: {server}: {reason}", "yellow")
        for notice in filter(None, (words.sharing(view.run.info.machine), *view.run.notices)):
            self.line(f"Notice: {notice}", "yellow")


def _how(panel: Panel) -> str:
    """Say at which load the figures were taken."""
    latency = words.latency_sentence(panel.latency_standing.key.load)
    return f"{words.load_sentence(panel.main.key.load)}; {latency}"


def _estimate(estimate: Estimate | None, form: words.Format) -> str:
    share = words.spread(estimate)
    shown = form(estimate.value if estimate else None)
    if share is None:
        return shown
    return f"{shown} ±{share * 100:.0f}%" if share < 1 else f"{shown} ±>99%"
