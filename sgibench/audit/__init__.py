"""Reasons not to believe a number, found by rules that were fixed before any result was seen. Pure.

Our trials and other tools' results become the same rows of figures, so one rule serves both. A doubt carries the
numbers that raised it and what to do; nothing here stores, fixes or hides a figure.
"""

from __future__ import annotations

from sgibench.audit.figures import ADVICE, FAILING, MACHINE_KINDS, REFUTING, Audited, Figures, Late, Look, doubt
from sgibench.audit.readers import read_file, read_noting, read_rows
from sgibench.audit.rules import LAG_SHARE, doubts_of
from sgibench.audit.tables import audit_rows, group_doubts
from sgibench.audit.trials import (
    RunAudit,
    Surroundings,
    audit_run,
    surroundings_of,
    trial_doubts,
    trial_id,
    worth_repeating,
)

__all__ = [
    "ADVICE",
    "FAILING",
    "LAG_SHARE",
    "MACHINE_KINDS",
    "REFUTING",
    "Audited",
    "Figures",
    "Late",
    "Look",
    "RunAudit",
    "Surroundings",
    "audit_rows",
    "audit_run",
    "doubt",
    "doubts_of",
    "group_doubts",
    "read_file",
    "read_noting",
    "read_rows",
    "surroundings_of",
    "trial_doubts",
    "trial_id",
    "worth_repeating",
]
