"""Our choices in Locust's start form: options that the engine names, shown through Locust's own mechanism.

What they mean is the engine's business: this module shows them, gives back what was chosen as text, and remembers the
last choice so that a page loaded anew shows it.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from locust import argument_parser, events
from locust.util.timespan import parse_timespan

from sgibench.errors import LoadError, shown

LONGEST_RUN_S = 7 * 86_400
"""A week."""
MOST_USERS = 60_000
"""Connections from one address to one port; there are no more ports."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One field of the form."""

    name: str
    default: str
    choices: tuple[str, ...] | None
    """A dropdown of these; None for a text field."""
    help: str


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was in the form when Start was pressed."""

    values: Mapping[str, str]
    """By option, as text."""
    users: int
    ramp_per_s: float
    run_time_s: float | None


class Form:
    """The options of the start form."""

    def __init__(self, options: tuple[Option, ...], users: int) -> None:
        self.options = options
        self.last = {option.name: option.default for option in options}
        """What was chosen last, by option."""
        self._users = users

    def install(self) -> Any:
        """Add the options to Locust's parser, from which its form is made; returns its parsed options.

        At this point Locust would also read its configuration files, its variables and this process's arguments:
        they are no business of this UI, and a broken one would end it.
        """
        patched: Any = argument_parser
        patched.get_parser = partial(argument_parser.get_parser, default_config_files=())
        patched.ui_extra_args_dict = partial(argument_parser.ui_extra_args_dict, args=[])
        for name in [name for name in os.environ if name.startswith("LOCUST_")]:
            if name != "LOCUST_SKIP_MONKEY_PATCH":
                del os.environ[name]
        registry: Any = events.init_command_line_parser
        registry.add_listener(self._add_arguments)
        users = str(self._users)
        return argument_parser.get_parser().parse_args(["--users", users, "--spawn-rate", users])

    def _add_arguments(self, parser: Any, **_: Any) -> None:
        for option in self.options:
            parser.add_argument(
                f"--{option.name}",
                type=str,
                default=self.last[option.name],
                choices=None if option.choices is None else list(option.choices),
                help=option.help,
            )

    def read(self, fields: Mapping[str, str]) -> Choice:
        """Read what was posted; a field that is missing keeps its last value. Raises LoadError with one sentence."""
        values = {option.name: str(fields.get(option.name, self.last[option.name])).strip() for option in self.options}
        for option in self.options:
            if option.choices is not None and values[option.name] not in option.choices:
                raise LoadError(f"{option.name}: there is no {shown(values[option.name])}")
        users = _number("number of users", fields.get("user_count", ""), MOST_USERS)
        if users != int(users):
            raise LoadError(f"number of users: expected a whole number, got {users}")
        run_time = str(fields.get("run_time") or "").strip()
        return Choice(
            values=values,
            users=int(users),
            ramp_per_s=_number("ramp up", fields.get("spawn_rate") or str(users), 1e9),
            run_time_s=_run_time_s(run_time) if run_time else None,
        )

    def remember(self, choice: Choice, parsed_options: Any) -> None:
        """Show this choice from now on, and let scenarios find it in Locust's parsed options."""
        self.last.update(choice.values)
        for name, value in choice.values.items():
            setattr(parsed_options, name, value)
        parsed_options.num_users = choice.users
        parsed_options.spawn_rate = choice.ramp_per_s
        parsed_options.run_time = None


def _number(what: str, text: str, most: float) -> float:
    value = math.nan
    with contextlib.suppress(ValueError):
        value = float(text)
    if not 0 < value <= most:
        raise LoadError(f"{what}: expected a number above 0 and at most {most:,.0f}, got {shown(text)}")
    return value


def _run_time_s(text: str) -> float:
    """Read 20, 20s, 3m or 1h20m as Locust does."""
    with contextlib.suppress(ValueError, OverflowError):
        seconds = float(parse_timespan(text))
        if 0 < seconds <= LONGEST_RUN_S:
            return seconds
    raise LoadError(f"run time: expected 20, 20s, 3m or 1h20m, a week at most, got {shown(text)}")
