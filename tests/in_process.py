"""A command, run in the tests' own process: what it says and how it ends, without the second that its start takes.

That a process of its own says and does the same is shown where a test starts one.
"""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from sgibench.cli import main


def inside(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as if started in a folder."""
    code, out, err = 0, io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["sgibench", *arguments])
        patch.chdir(folder)
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
