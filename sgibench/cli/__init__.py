"""The command line: every command is one small function in a module of its own name, imported when it is asked for.

Exit 0: fine. 1: the answer is "no" (a failed check, a regression, nothing could be measured). 2: wrong use. 128 + the
signal: one ended it. A problem is one line on stderr; only a bug shows a traceback.
"""

from __future__ import annotations

import atexit
import gc
import io
import sys
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from sgibench import __version__, ending
from sgibench.cli import config
from sgibench.cli.empty import refuse_empty
from sgibench.errors import SgibenchError, UsageError, one_line, plain
from sgibench.limits import open_standard_streams, raise_open_files
from sgibench.secrets import hidden

COMMANDS = {
    "list": ("listing", "list_command"),
    **{name: (name, name) for name in ("init", "doctor", "check", "calibrate", "run", "capacity")},
    **{name: (name, name) for name in ("report", "compare", "audit", "ui")},
}
"""Name -> module of this package and the command in it, in the order of the help page."""


MANY_OBJECTS = 100_000
"""How many more objects there may be before cycles among them are looked for; Python's own 700 makes imports, and the
reading of results, a fifth slower."""


class Commands(click.Group):
    """Imports a command when it is used: statistics and plots take a second to import, and most commands need none."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's too
        """Import one command; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module, function = COMMANDS[cmd_name]
        command = getattr(import_module(f"sgibench.cli.{module}"), function)
        if not isinstance(command, click.Command):
            raise TypeError(f"sgibench.cli.{module}.{function} is no command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is asked for, refuse empty values before it reads them, and take the project's own."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            refuse_empty(ctx, command, rest)
        if command is not None and name in config.COMMANDS and config.read(config.project_of(rest)) is not None:
            commands = {each: found for each in config.COMMANDS if (found := self.get_command(ctx, each)) is not None}
            ctx.default_map = {name: config.defaults_for(name, rest, commands)}
        return name, command, rest


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="A first result in a few minutes: sgibench run",
)
@click.version_option(__version__, prog_name="sgibench")
def program() -> None:
    """Compare Python's WSGI and ASGI servers: same apps, Locust load, numbers that survive an audit."""


def main() -> None:
    """Run the command line; turn what can go wrong into one line and an exit code."""
    open_standard_streams()
    raise_open_files()
    ending.end_like_ctrl_c()
    collect_rarely()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that is no text of the terminal's can't end us
    try:
        refuse_nowhere()
        program.main(prog_name="sgibench", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "sgibench"
        click.echo(plain(one_line(f"{where}: {error.format_message()} (more: {where} --help)")), err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Abort as abort:
        exit_by(abort.__context__)  # click has made it of an interrupt
    except KeyboardInterrupt as interrupt:
        exit_by(interrupt)
    except UsageError as error:
        click.echo(plain(one_line(f"sgibench: {hidden(str(error))}")), err=True)
        sys.exit(error.exit_code)
    except SgibenchError as error:
        click.echo(plain(f"sgibench: {hidden(str(error))}"), err=True)
        sys.exit(error.exit_code)
    finally:
        end_background_work()


def collect_rarely() -> None:
    """Keep Python from looking for cycles all the time, and at the end, where all memory is given back anyway."""
    gc.set_threshold(MANY_OBJECTS)
    atexit.register(gc.freeze)


def exit_by(interrupt: BaseException | None) -> NoReturn:
    """End as what a signal has ended; which one it was is said, and what is noted on it."""
    number = ending.signal_of(interrupt)
    told = "; ".join([f"ended{ending.by(number)}", *getattr(interrupt, "__notes__", ())])
    click.echo(f"sgibench: {told}", err=True)
    sys.exit(ending.status_of(number))


def refuse_nowhere() -> None:
    """Refuse to start in a folder that is gone: no path means anything there; raises UsageError."""
    try:
        Path.cwd()
    except OSError as error:
        raise UsageError(f"the folder that this was started in is gone ({error.strerror}): go to another one") from None


def end_background_work() -> None:
    """End compilers that a thread of this process still waits for; the interpreter would wait for the thread."""
    if "sgibench.serve.envs" in sys.modules:
        sys.modules["sgibench.serve.envs"].stop_all()
