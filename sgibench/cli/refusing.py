"""What commands that measure refuse before anything else happens: contradictions, and folders that are closed."""

from __future__ import annotations

from dataclasses import fields

import click
from click.core import ParameterSource

from sgibench import bench
from sgibench.cli.own import Own
from sgibench.cli.subjects import Folders
from sgibench.errors import UsageError
from sgibench.results import store
from sgibench.serve import envs

BESIDE_RESUME = frozenset({"resume", "database", "catalogues", "results", "reports", "as_json", "quiet"})
"""Options that mean something for a run whose plan is fixed."""
OWN = frozenset({"apps", *(each.name for each in fields(Own))})
"""Options that say what an app of the user's own is: it is named again, as a results folder never says what is run."""


def refuse_beside_resume() -> None:
    """Refuse options that a resumed run would ignore: its plan was fixed when it began."""
    context = click.get_current_context()
    mine = bench.own_apps(context.params.get("apps") or ())
    again = BESIDE_RESUME | (OWN if mine else frozenset())
    if all(bench.is_scenario_file(name) for name in context.params.get("scenarios") or ()):
        again |= {"scenarios"}  # code, too: a file of one's own is named again
    ignored = [
        "/".join((*parameter.opts, *parameter.secondary_opts))
        for parameter in context.command.params
        if parameter.name
        and parameter.name not in again
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]
    if ignored:
        raise UsageError(
            f"--resume goes on with the plan of the run, so it can't be combined with {', '.join(ignored)}: "
            "leave that out, or start a new run"
        )


def refuse_unwritable(folders: Folders) -> None:
    """Refuse folders that nothing can be written to, before anything is measured."""
    store.refuse_unwritable(folders.results, "--results")
    store.refuse_unwritable(folders.reports, "--reports")
    envs.refuse_unwritable_cache()
