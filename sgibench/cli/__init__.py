"""The command line: every command is one small function in a module of its own name.

Exit 0: fine. 1: the answer is "no" (a failed check, a regression, nothing could be measured). 2: wrong use. A problem
is one line on stderr; only a bug shows a traceback.
"""

from __future__ import annotations

import sys

import click

from sgibench import __version__
from sgibench.cli.audit import audit
from sgibench.cli.calibrate import calibrate
from sgibench.cli.capacity import capacity
from sgibench.cli.check import check
from sgibench.cli.compare import compare
from sgibench.cli.doctor import doctor
from sgibench.cli.listing import list_command
from sgibench.cli.report import report
from sgibench.cli.run import run
from sgibench.cli.ui import ui
from sgibench.errors import SgibenchError

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="A first result in a few minutes: sgibench run",
)
@click.version_option(__version__, prog_name="sgibench")
def program() -> None:
    """Compare Python's WSGI and ASGI servers: same apps, Locust load, numbers that survive an audit."""


for command in (list_command, doctor, check, calibrate, run, capacity, report, compare, audit, ui):
    program.add_command(command)


def main() -> None:
    """Run the command line; turn what can go wrong into one line and an exit code."""
    try:
        program.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except SgibenchError as error:
        click.echo(f"sgibench: {error}", err=True)
        sys.exit(error.exit_code)
