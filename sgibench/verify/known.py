"""Findings that a server's declaration has said beforehand: they are told as notes, and everything else stays wrong."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import replace

from sgibench.verify.checks import Problem


def excuse(problems: Iterable[Problem], lacks: Mapping[str, str]) -> list[Problem]:
    """Turn those that match a pattern of `lacks` into notes with its reason.

    A pattern is compared with the whole line, `check: detail`, so that one broken answer can be excused and another of
    the same check can't. Findings of one reason become one note, so that a list of excuses hides nothing new.
    """
    told: dict[str, Problem] = {}
    for number, problem in enumerate(problems):
        reason = next((why for pattern, why in lacks.items() if fnmatch.fnmatchcase(str(problem), pattern)), None)
        if problem.severity != "wrong" or reason is None:
            told[f"{number}"] = problem
        elif reason not in told:
            told[reason] = replace(problem, severity="note", detail=f"known: {reason} ({problem.detail})")
    return list(told.values())
