"""Several tools' texts in one file, one after the other: which part is whose.

A notebook or an issue holds wrk's output, then hey's. A run of a tool begins with what all of its runs begin with and
has all of its format's signs before anybody's next run begins. What has half of them, or its tool's first lines, breaks
off, and is said so rather than passed over; what has fewer is prose.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise

from sgibench.audit.readers.fields import objects
from sgibench.audit.readers.formats import FORMATS, Format, begun_only, matches
from sgibench.audit.readers.material import Material, material_of

_MOST_STARTS = 2000
"""More runs in one text are nobody's notes; they are read as those of one tool."""


def by_tool(material: Material) -> list[tuple[Format, Material]]:
    """Cut a text before each run of another tool than the one before; empty where all runs are one tool's.

    Raises ValueError where one of several tools' runs breaks off.
    """
    runs, broken = _runs(material)
    if runs and broken:
        raise ValueError(f"holds what looks like {broken[0].name}, but breaks off, beside {runs[0][1].name}")
    if len({known.name for _at, known in runs}) < 2:  # noqa: PLR2004 - another one
        return []
    firsts = [runs[0], *(run for before, run in pairwise(runs) if run[1] is not before[1])]
    ends = [*(at for at, _known in firsts[1:]), len(material.plain)]
    names = [f"{material.name} ({known.name.split()[0]})" for _at, known in firsts]
    begins = [0, *(at for at, _known in firsts[1:])]
    return [
        (known, material_of(material.plain[begin:end], name if names.count(name) == 1 else f"{name}@{begin}"))
        for (_at, known), begin, end, name in zip(firsts, begins, ends, names, strict=True)
    ]


def broken_off(material: Material, found: Sequence[Format]) -> Format | None:
    """Give the format of a run that begins beside what was found, and breaks off; None when all that begin are whole.

    A tool whose figures stand in another of its formats needs no text or table.
    """
    told = {known.name.split()[0] for known in found}
    banners = [(known, known.banner) for known in FORMATS if known.banner is not None]
    if material.broken_json:
        for known, banner in banners:
            if known.start is None and banner.search(material.text):
                begun = sum(1 for _ in banner.finditer(material.text))
                if begun > len(objects(material.documents, *known.members)):
                    return known
    starts = sorted(
        (each.start(), place)
        for place, (known, banner) in enumerate(banners)
        if known.start is not None
        for each in islice(banner.finditer(material.plain), _MOST_STARTS)
    )
    for (begin, place), (end, _next) in pairwise([*starts, (len(material.plain), 0)]):
        known = banners[place][0]
        piece = replace(material, plain=material.plain[begin:end], text="", documents=())
        elsewhere = known not in found and known.name.split()[0] in told
        if not elsewhere and not matches(known, piece):
            return known
    return None


def _runs(material: Material) -> tuple[list[tuple[int, Format]], list[Format]]:
    """Where runs begin and whose they are; and whose runs break off."""
    starts: dict[int, list[Format]] = {}
    whose_start: dict[re.Pattern[str], list[Format]] = {}
    for known in FORMATS:
        if known.start is not None:
            whose_start.setdefault(known.start, []).append(known)
    for start, formats in whose_start.items():
        for found in start.finditer(material.plain):
            starts.setdefault(found.start(), []).extend(formats)
            if len(starts) > _MOST_STARTS:
                return [], []
    places = [*sorted(starts), len(material.plain)]
    if len({id(known.start) for some in starts.values() for known in some}) < 2:  # noqa: PLR2004 - another one
        return [], []
    runs: list[tuple[int, Format]] = []
    broken: dict[int, Format] = {}
    first: int | None = None
    for begin, end in pairwise(places):
        # A heading and the tables below it may all look like a beginning: together they are one run.
        if first is None or starts[first] != starts[begin]:
            first = begin
        piece = replace(material, plain=material.plain[first:end], text="", documents=())
        whose = next((known for known in starts[first] if matches(known, piece)), None)
        if whose is not None:
            runs.append((first, whose))
            broken.pop(first, None)
            first = None
        else:
            broken.update((first, known) for known in starts[first] if begun_only(known, piece))
    return runs, list(broken.values())
