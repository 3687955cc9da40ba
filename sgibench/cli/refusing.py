"""What commands that measure refuse before anything else happens: contradictions, and folders that are closed."""

from __future__ import annotations

import click
from click.core import ParameterSource

from sgibench.cli.subjects import Folders
from sgibench.errors import UsageError
from sgibench.results import store
from sgibench.serve import envs

BESIDE_RESUME = frozenset({"resume", "catalogues", "results", "reports", "as_json", "quiet"})
"""Options that mean something for a run whose plan is fixed."""


def refuse_beside_resume() -> None:
    """Refuse options that a resumed run would ignore: its plan was fixed when it began."""
    context = click.get_current_context()
    ignored = [
        "/".join((*parameter.opts, *parameter.secondary_opts))
        for parameter in context.command.params
        if parameter.name
        and parameter.name not in BESIDE_RESUME
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
