"""Standings, put together into what a page shows: one `Panel` a comparison, one `Row` a server in it.

A panel is a scenario under one closed load with the same settings, and whatever open loads were measured beside it:
saturation gives throughput and cost, the common rate gives latency. Colours belong to servers, so that a server looks
the same in every panel and, as far as the palette reaches, in every run.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from sgibench import audit, stats, units
from sgibench.model import Configuration, Doubt, Estimate, Metric, Protocol, Ranked, Run, Settings, Unit
from sgibench.report import words
from sgibench.report.standings import Entry, Standing, printable, standings_of

COLOURS = 8
"""Colours of the palette in `style.css`; told apart with each kind of colour blindness, in light and in dark."""
SHAPES = 8
"""Marker shapes; a server beyond the palette has an old colour in a new shape."""
HASH_START = 252
"""With it, the servers of the quick profile hash to six colours and those of the catalogue to all, at most two each."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a server is drawn, everywhere."""

    colour: int
    shape: int
    dash: int
    """0 is a solid line; servers that share a colour differ in it."""


@dataclass(frozen=True, kw_only=True)
class Standpoint:
    """Where a row stands by one figure."""

    ranked: Ranked
    shared: bool
    """Whether another row has the same place."""
    not_apart: tuple[str, ...]
    """Labels of all rows that it was not told apart from, whatever their place."""

    @property
    def place(self) -> int:
        """1 is the best."""
        return self.ranked.place


@dataclass(frozen=True, kw_only=True)
class Row:
    """One server (and app) in a panel."""

    key: str
    """Names the row inside the page, e.g. `p0r3`."""
    look: Look
    entry: Entry
    """At saturation, or at the fixed rate when there is nothing else."""
    fixed: Entry | None
    """At the common rate; None when no open load was measured."""
    places: Mapping[Metric, Standpoint]
    """Where it stands by each figure that it has."""
    doubts: tuple[Doubt, ...]

    @property
    def label(self) -> str:
        """What a person reads."""
        return self.entry.label

    @property
    def cost(self) -> Standpoint | None:
        """By CPU per request."""
        return self.places.get("cpu_us_per_request")

    @property
    def throughput(self) -> Standpoint | None:
        """By requests per second."""
        return self.places.get("rps")


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One comparison: what a section of the page is about."""

    key: str
    scenario: str
    title: str
    """The scenario, and the settings where they tell panels apart."""
    main: Standing
    fixed: Standing | None
    """The standing at the common rate."""
    opens: tuple[Standing, ...]
    """Open loads at a common rate, by rate."""
    curve: tuple[Standing, ...]
    """Open loads at shares of each server's own saturation."""
    rows: tuple[Row, ...]
    """Best first by `rank_by`, failed ones last."""
    rank_by: Metric
    """The figure whose places stand first."""
    doubts: tuple[Doubt, ...]
    """About the table as a whole."""

    @property
    def unit(self) -> Unit:
        """What is counted."""
        return next((trial.unit for row in self.rows for trial in row.entry.trials), "request")

    @property
    def family(self) -> str:
        """What the panels of a run have in common that ask the same in other ways."""
        named = next((trial.family for row in self.rows for trial in row.entry.trials), "")
        return named or self.main.key.scenario

    @property
    def saturated(self) -> bool:
        """Whether the main figures were taken at saturation."""
        return self.main.key.load.kind == "closed"

    @property
    def latency_standing(self) -> Standing:
        """Where the latency that is shown was measured."""
        return self.fixed or self.main

    def standing(self, metric: Metric) -> Standing:
        """Where a figure was measured: latency at the common rate, the others at saturation."""
        return self.latency_standing if metric in stats.LATENCIES else self.main

    def ranking(self, metric: Metric) -> stats.Ranking:
        """Give a figure's judgement."""
        return self.standing(metric).rankings[metric]

    def entry_for(self, row: Row, metric: Metric) -> Entry | None:
        """Give the entry in which a row has a figure."""
        return self.latency_entry(row) if metric in stats.LATENCIES else row.entry

    def estimate(self, row: Row, metric: Metric) -> Estimate | None:
        """Give a row's figure with its interval."""
        entry = self.entry_for(row, metric)
        return entry.figures.get(metric) if entry else None

    def latency_entry(self, row: Row) -> Entry | None:
        """The entry whose latency is shown for a row."""
        return row.fixed if self.fixed else row.entry


@dataclass(frozen=True, kw_only=True)
class View:
    """A run, ready to be shown."""

    run: Run
    standings: tuple[Standing, ...]
    panels: tuple[Panel, ...]
    looks: Mapping[str, Look]
    """By server id."""
    doubted_trials: Mapping[str, int]
    """Kind of doubt -> how many trials it was raised about."""
    doubts: tuple[Doubt, ...] = ()
    """About the run as a whole, and about what is in none of its tables."""


def view_of(run: Run, rank_by: Metric = "cpu_us_per_request") -> View:
    """Judge a run and arrange it; the rows of each panel come in order of `rank_by`."""
    standings, found = _judged(run)
    looks = looks_of([*(trial.server for trial in run.trials), *(one.server for one in run.info.capacity)])
    order = {name: index for index, name in enumerate(run.info.scenarios)}
    arranged = _arrange(sorted(standings, key=lambda one: _sorting(one, order)))
    titles = _titles([one.main for one in arranged])
    panels = tuple(
        _panel(key=f"p{index}", title=title, arranged=one, looks=looks, found=found, rank_by=rank_by)
        for index, (one, title) in enumerate(zip(arranged, titles, strict=True))
    )
    kinds = Counter(kind for trial in found.trials for kind in {doubt.kind for doubt in trial.doubts})
    return View(
        run=run,
        standings=standings,
        panels=panels,
        looks=looks,
        doubted_trials=dict(kinds.most_common()),
        doubts=(*found.run, *found.missing),
    )


_judged_last: list[tuple[Run, tuple[Standing, ...], audit.RunAudit]] = []
"""One run at most: a command that writes a run's page prints its tables or its summary, too."""


def _judged(run: Run) -> tuple[tuple[Standing, ...], audit.RunAudit]:
    """Give the standings and the doubts of a run, which never change; those of the last run are at hand."""
    for known, standings, found in tuple(_judged_last):
        if known is run:
            return standings, found
    standings, found = standings_of(run), audit.audit_run(run)
    _judged_last[:] = [(run, standings, found)]
    return standings, found


def looks_of(servers: Iterable[str]) -> dict[str, Look]:
    """Give each server the colour and shape that its name asks for, as long as no colour is overcrowded.

    The name alone decides almost always, so a server looks the same in every run; a name whose colour is used up
    by as many servers as a fair share takes the next colour.
    """
    names = sorted(set(servers), key=lambda name: (_hash(name), name))
    share = -(-len(names) // COLOURS)
    looks: dict[str, Look] = {}
    by_colour: dict[int, list[int]] = defaultdict(list)
    crowded = []
    for name in names:
        if len(by_colour[_hash(name) % COLOURS]) < share:
            looks[name] = _look(name, _hash(name) % COLOURS, by_colour)
        else:
            crowded.append(name)
    for name in crowded:
        wishes = ((_hash(name) + step) % COLOURS for step in range(COLOURS))
        looks[name] = _look(name, next(wish for wish in wishes if len(by_colour[wish]) < share), by_colour)
    return looks


def _look(name: str, colour: int, by_colour: Mapping[int, list[int]]) -> Look:
    taken = by_colour[colour]
    wishes = [(_hash(name) // COLOURS + step) % SHAPES for step in range(SHAPES)]
    shape = next((wish for wish in wishes if wish not in taken), wishes[0])
    taken.append(shape)
    return Look(colour=colour, shape=shape, dash=len(taken) - 1)


def _hash(name: str) -> int:
    return zlib.crc32(name.encode("utf-8", "replace"), HASH_START)


CONFIGURATIONS: dict[Configuration, str] = {
    "equal": "all set alike",
    "default": "as installed",
    "recommended": "as each server's documentation advises",
}


@dataclass(frozen=True, kw_only=True)
class Arranged:
    """The standings of one panel."""

    main: Standing
    opens: tuple[Standing, ...]
    curve: tuple[Standing, ...]


def _arrange(standings: Sequence[Standing]) -> list[Arranged]:
    """Put the open loads beside the closed load with the most connections of the same scenario and settings."""
    families: dict[tuple[str, Settings, str], list[Standing]] = defaultdict(list)
    for standing in standings:
        key = standing.key
        families[key.scenario, key.settings, f"{key.load.connection} {key.load.protocol}"].append(standing)
    arranged: list[Arranged] = []
    for family in families.values():
        closed = sorted(
            (one for one in family if one.key.load.kind == "closed"), key=lambda one: -one.key.load.connections
        )
        at_rates = sorted(
            (one for one in family if one.key.load.kind == "open"), key=lambda one: one.key.load.rate_per_s or 0
        )
        opens = tuple(one for one in at_rates if one.key.load.share is None)
        curve = tuple(one for one in at_rates if one.key.load.share is not None)
        if closed:
            arranged.append(Arranged(main=closed[0], opens=opens, curve=curve))
            arranged.extend(Arranged(main=one, opens=(), curve=()) for one in closed[1:])
        elif opens or curve:
            arranged.append(Arranged(main=_common(opens or curve), opens=opens, curve=curve))
    return arranged


def _common(opens: Sequence[Standing]) -> Standing:
    """Choose the common rate: the highest that most servers kept up with."""
    kept = [sum(entry.status == "ok" for entry in one.entries.values()) for one in opens]
    return max(zip(kept, range(len(opens)), opens, strict=True))[2]


def _sorting(standing: Standing, order: Mapping[str, int]) -> tuple[int, str, bool, str, int, int, int]:
    """Panels come in the order in which the scenarios were asked for, not in the random one of the blocks."""
    key = standing.key
    other = key.configuration != "equal"
    spoken = get_args(Protocol).index(key.load.protocol)
    return order.get(key.scenario, len(order)), key.scenario, other, key.configuration, key.workers, key.threads, spoken


def _titles(mains: Sequence[Standing]) -> list[str]:
    """Name panels by scenario, with the settings in which panels of one scenario differ."""
    parts: dict[str, list[dict[str, str]]] = defaultdict(list)
    for main in mains:
        load = main.key.load
        workers, threads = units.many(main.key.workers, "worker"), units.many(main.key.threads, "thread")
        kept = {"keep-alive": "", "close": "one request a connection"}[load.connection]
        configured = {"configuration": CONFIGURATIONS[main.key.configuration]}
        parts[main.key.scenario].append(
            {"workers": workers, "threads": threads, **configured, "load": words.load_words(load), "connection": kept}
        )
    titles = []
    for main in mains:
        family = parts[main.key.scenario]
        own = family[[one.key for one in mains if one.key.scenario == main.key.scenario].index(main.key)]
        differing = [text for part, text in own.items() if text and len({other[part] for other in family}) > 1]
        titles.append(printable(", ".join([main.key.scenario, *differing])))
    return titles


def _panel(
    *,
    key: str,
    title: str,
    arranged: Arranged,
    looks: Mapping[str, Look],
    found: audit.RunAudit,
    rank_by: Metric,
) -> Panel:
    main, opens = arranged.main, arranged.opens
    fixed = _common(opens) if opens else None
    partners = {_partner(entry): entry for entry in fixed.entries.values()} if fixed else {}
    about_table = {doubt.kind: doubt for one in (main, *opens) for doubt in found.groups.get(group_id(one), ())}
    rows = []
    for index, entry in enumerate(main.entries.values()):
        partner = partners.get(_partner(entry))
        cells = dict.fromkeys([entry.cell, *([partner.cell] if partner else [])])
        doubts = {
            (doubt.kind, doubt.detail): doubt
            for cell in cells
            for doubt in found.cells.get(cell, ())
            if doubt.kind not in about_table
        }
        places = {metric: _standpoint(main, entry, metric) for metric in stats.METRICS if metric not in stats.LATENCIES}
        for metric in stats.LATENCIES:
            seen = partner if fixed else entry
            places[metric] = _standpoint(fixed or main, seen, metric) if seen else None
        rows.append(
            Row(
                key=f"{key}r{index}",
                look=looks[entry.server],
                entry=entry,
                fixed=partner,
                places={metric: place for metric, place in places.items() if place is not None},
                doubts=tuple(doubts.values()),
            )
        )
    return Panel(
        key=key,
        scenario=printable(main.key.scenario),
        title=title,
        main=main,
        fixed=fixed,
        opens=opens,
        curve=arranged.curve,
        rows=tuple(_sorted(rows, (fixed or main) if rank_by in stats.LATENCIES else main, rank_by)),
        rank_by=rank_by,
        doubts=tuple(about_table.values()),
    )


def _standpoint(standing: Standing, entry: Entry, metric: Metric) -> Standpoint | None:
    ranking = standing.rankings[metric]
    ranked = next((row for row in ranking.rows if row.cell == entry.cell), None)
    if ranked is None:
        return None
    others = [row.cell for row in ranking.rows if row.cell != entry.cell]
    return Standpoint(
        ranked=ranked,
        shared=sum(row.place == ranked.place for row in ranking.rows) > 1,
        not_apart=tuple(standing.entries[other].label for other in others if not ranking.apart(entry.cell, other)),
    )


def in_order(panel: Panel, metric: Metric) -> list[Row]:
    """Give a panel's rows in order of another figure."""
    return _sorted(panel.rows, panel.standing(metric), metric)


def _sorted(rows: Sequence[Row], standing: Standing, metric: Metric) -> list[Row]:
    """Put rows in order of a figure; those without it keep theirs, behind the others."""
    order = {_partner(standing.entries[row.cell]): place for place, row in enumerate(standing.rankings[metric].rows)}
    return sorted(rows, key=lambda row: order.get(_partner(row.entry), len(order)))


def _partner(entry: Entry) -> tuple[str, str]:
    return entry.server, entry.app


def group_id(standing: Standing) -> str:
    """Name a standing's group the way the audit does."""
    key = standing.key
    return f"{key.scenario}/{key.load.id}/{key.settings.id}"
