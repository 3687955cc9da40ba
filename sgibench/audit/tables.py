"""The rules about a table: rows that are compared with one another; and the audit of a list of rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import quantiles

from sgibench.audit.figures import Audited, Figures, doubt
from sgibench.audit.rules import doubts_of
from sgibench.model import Doubt
from sgibench.units import significant

ALIKE_ROWS = 10
"""So many unlike servers must be in a table before their likeness says anything."""
ALIKE_WITHIN = 0.20
"""The upper quartile over the lower one, minus 1."""


def group_doubts(rows: Sequence[Figures]) -> tuple[Doubt, ...]:
    """Doubts about a whole table.

    NoDiscrimination: ten or more unlike servers at saturation whose middle half lies within 20 %. Rows at a fixed rate,
    and those of users who think, are alike by design and are not looked at.
    """
    rates = {row.label or row.id: row.rps for row in rows if row.rps and row.load == "closed" and not row.thinks}
    if len(rates) < ALIKE_ROWS:
        return ()
    low, _middle, high = quantiles(rates.values(), n=4, method="inclusive")
    if high > low * (1 + ALIKE_WITHIN):
        return ()
    span = f"{significant(low)} to {significant(high)}/s"
    return (doubt("NoDiscrimination", f"the middle half of {len(rates)} servers lies within {span}"),)


def by_group(rows: Iterable[Figures]) -> Mapping[str, list[Figures]]:
    """Rows of each named group, in the order of their first rows."""
    groups: dict[str, list[Figures]] = defaultdict(list)
    for row in rows:
        if row.group:
            groups[row.group].append(row)
    return groups


def audit_rows(rows: Sequence[Figures]) -> list[Audited]:
    """Audit each row, and add the doubts about its group to it."""
    about = {name: group_doubts(members) for name, members in by_group(rows).items()}
    return [
        Audited(id=row.id, doubts=(*doubts_of(row), *about.get(row.group or "", ())), asked=row.comparable)
        for row in rows
    ]
