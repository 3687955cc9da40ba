"""Questions about names that somebody typed: the answer is no where Path's own methods raise.

`Path.is_file` raises for a name that is too long and for a folder that may not be entered.
"""

from __future__ import annotations

import os
from pathlib import Path


def is_file(path: Path | str) -> bool:
    """Whether a regular file of that name can be seen."""
    return os.path.isfile(path)  # noqa: PTH113 - see above


def is_folder(path: Path | str) -> bool:
    """Whether a folder of that name can be seen."""
    return os.path.isdir(path)  # noqa: PTH112 - see above


def exists(path: Path | str) -> bool:
    """Whether anything of that name can be seen."""
    return os.path.exists(path)  # noqa: PTH110 - see above
