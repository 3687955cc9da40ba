"""What the system gives a process of ours to begin with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("closed", [(0,), (1, 2), (0, 1, 2)])
def test_what_is_opened_later_is_never_taken_for_a_standard_stream(closed: tuple[int, ...], tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        f"for descriptor in {closed}: os.close(descriptor)\n"
        "from sgibench.limits import open_standard_streams\n"
        "open_standard_streams()\n"
        "with open(sys.argv[1], 'w') as file:\n"
        "    print(file.fileno() > 2, all(os.get_inheritable(each) for each in range(3)), file=file)\n"
    )
    said = tmp_path / "said"
    subprocess.run([sys.executable, "-c", script, str(said)], capture_output=True, check=False, timeout=60)
    assert said.read_text().split() == ["True", "True"]
