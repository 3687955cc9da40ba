"""Which file is whose page, so that no two runs ever write one file; and what happens when a page can't be made.

A run's page has the name of its folder. Where that is not what the run calls itself (a copy, a stranger's folder), or
where it would be the index's or a comparison's, a few letters of the folder's path come after it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

from sgibench.errors import ResultsError
from sgibench.model import Run
from sgibench.report.rendering import file_name

INDEX = "index"
COMPARISON = "compare-"


def page_name(run: Run, *, apart: bool = False) -> str:
    """Name a run's page inside the reports folder; `apart` when another folder of that name has its page there."""
    folder = run.path.resolve()
    stem = file_name(folder.name)
    plain = stem == run.info.run and stem.lower() != INDEX and not stem.lower().startswith(COMPARISON)
    if plain and not apart:
        return f"{stem}.html"
    return f"{stem}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}.html"


def comparison_name(old: Run, new: Run) -> str:
    """Name the page of a comparison."""
    stems = (page_name(run).removesuffix(".html") for run in (old, new))
    return f"{COMPARISON}{'-'.join(stems)}.html"


UNCOMPUTABLE = (ArithmeticError, LookupError, ValueError)
"""What is raised by figures that mean nothing."""


@contextlib.contextmanager
def computing(run: Run) -> Iterator[None]:
    """Turn figures that arithmetic can't take into one line; a run that was measured here has none."""
    try:
        yield
    except UNCOMPUTABLE as error:
        came = f"{type(error).__name__}: {error}"
        raise ResultsError(f"{run.path} holds figures that can't be computed with ({came})") from error
