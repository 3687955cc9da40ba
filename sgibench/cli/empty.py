"""Empty values are refused, for every command alike: an unset variable of a script must not mean the default."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import click

from sgibench.errors import UsageError


def refuse_empty(context: click.Context, command: click.Command, arguments: Sequence[str]) -> None:
    """Refuse an option or argument whose value is empty; raises UsageError."""
    with click.Context(command, info_name=command.name, parent=context, resilient_parsing=True) as trial:
        parser = command.make_parser(trial)
        with suppress(click.UsageError):  # the command says itself what is wrong
            values, _, order = parser.parse_args(list(arguments))
            for parameter in order:
                value = values.get(parameter.name or "")
                if "" in (value if isinstance(value, (list, tuple)) else [value]):
                    name = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
                    raise UsageError(f"{name}: expected a value, got an empty one; leave it out for the default")
