"""What a request comes to once its scenarios are known: cells, what is left out and why, and what fits nowhere.

Whatever is left out is told at once; whatever leaves nothing to measure, or more than this machine holds, is refused
here, before an environment is made or a server started.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sgibench.bench.budget import needs_of, refuse_too_much
from sgibench.bench.choosing import refusals
from sgibench.bench.own import Looked, fitting_connections
from sgibench.bench.plan import make_cells, too_few_servers, unasked, with_usual_connections
from sgibench.bench.profiles import PROFILES
from sgibench.bench.request import Request, Selection
from sgibench.bench.services import apps_of, refuse_unknown, unfit_for, without_missing
from sgibench.bench.watching import long_enough, too_short
from sgibench.bench.workshop import terms_of
from sgibench.engine.workshop import Listener
from sgibench.errors import UsageError
from sgibench.limits import room
from sgibench.model import App, Cell, Scenario


@dataclass(frozen=True, kw_only=True)
class AskedFor:
    """A request, and its scenarios described."""

    chosen: Selection
    """With windows that are long enough for what is watched."""
    scenarios: Sequence[Scenario]
    cells: Sequence[Cell]
    apps: Sequence[App]
    """Those of the cells."""
    skipped: Mapping[str, str]
    """Server, app or scenario -> why it can't take part."""
    left_out: Mapping[str, str]
    """`SERVER in SCENARIO` -> why a scenario that was named is not asked of it."""


def asked_for(
    request: Request, chosen: Selection, looked: Looked | None, scenarios: Sequence[Scenario], listener: Listener
) -> AskedFor:
    """Combine servers, apps, scenarios and loads; tells what is left out. Raises UsageError when nothing is left."""
    usual = {} if request.connections_named else _usual_connections(request, looked, listener)
    cells = with_usual_connections(make_cells(chosen.pairs, scenarios, chosen.loads, chosen.settings), usual)
    chosen = replace(chosen, windows=long_enough(chosen.windows, request.window_s, scenarios, cells))
    for sentence in (*too_few_servers(chosen.pairs, scenarios), *too_short(request.window_s, scenarios, cells)):
        listener.say(sentence)
    refuse_unknown(chosen.found, chosen.apps, scenarios)
    refuse_not_so(request, scenarios, cells)
    left_out = unasked(chosen.pairs, scenarios, chosen.loads, cells) if request.scenarios else {}
    cells, unserved = without_missing(chosen.found, cells, scenarios, chosen.database.existing)
    skipped = {**chosen.skipped, **unfit_for(chosen.pairs, scenarios), **unserved}
    for name, reason in {**skipped, **left_out}.items():
        listener.say(f"skipped {name}: {reason}")
    if not cells:
        raise UsageError("nothing is left to measure: " + "; ".join(f"{name}: {why}" for name, why in unserved.items()))
    apps = apps_of(chosen.found, cells)
    return AskedFor(chosen=chosen, scenarios=scenarios, cells=cells, apps=apps, skipped=skipped, left_out=left_out)


def refuse_not_so(request: Request, scenarios: Sequence[Scenario], cells: Sequence[Cell]) -> None:
    """Refuse what was asked for by name and no scenario can be measured with; raises UsageError."""
    measured = {cell.scenario for cell in cells}
    terms = {one.id: one.terms for one in scenarios if one.id in measured}
    alone = [name for name, own in terms.items() if own.one_client]
    if request.load_workers > 1 and alone:
        raise UsageError(
            f"--load-workers {request.load_workers}: {', '.join(alone)} "
            f"{'comes' if len(alone) == 1 else 'come'} from one load process at one moment: use --load-workers 1"
        )
    rate = "--curve" if request.curve else f"--rate {request.rate_per_s:g}" if request.rate_per_s else None
    if rate and not any(own.at_rate for own in terms.values()):
        raise UsageError(
            f"{rate}: {', '.join(terms)} {'has' if len(terms) == 1 else 'have'} no fixed rate: leave it out"
        )


def refuse_what_fits_nowhere(request: Request, asked: AskedFor) -> None:
    """Refuse what needs more files, ports, processes or memory than there are; raises UsageError."""
    terms = terms_of(asked.scenarios)
    refused = refusals(asked.cells, {server.id: server for server in asked.chosen.servers}, terms)
    left = [cell for cell in asked.cells if cell not in refused]
    refuse_too_much(needs_of(left, request.load_workers, control=request.control, terms=terms), room())


def _usual_connections(request: Request, looked: Looked | None, listener: Listener) -> Mapping[str, int]:
    """Scenario -> connections, where the user names no number: the profile's, or as many as fit the user's app."""
    if looked is None or request.scenarios:
        return PROFILES[request.profile].connections
    usual = max(request.connections)
    fitting = fitting_connections(looked, usual, max(request.workers) * max(request.threads))
    if fitting == usual:
        return {}
    listener.say(
        f"{fitting} connections and not {usual}, because requests of this app take long, and each waits for those on "
        f"all the others; --connections {usual} asks for them"
    )
    return {looked.scenario.id: fitting}
