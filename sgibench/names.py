"""Names that have too little room: cut in the middle, where they differ least, so that they stay apart (pure).

A server's id begins with its family and ends with its worker class, parser or version; both ends tell it apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

SHORTEST = 4
"""Signs below which nothing is left of a name."""


def shortened(names: Iterable[str], width: int, cut: str = "…") -> Mapping[str, str]:
    """Name -> what fits into `width` signs (at least SHORTEST); different names stay different, short ones whole."""
    width = max(width, SHORTEST)
    wanted = list(dict.fromkeys(names))
    long = [name for name in wanted if len(name) > width]
    whole = {name: name for name in wanted if len(name) <= width}
    room = width - len(cut)
    for tail in _tails(room):
        found = {name: _middle(name, room - tail, tail, cut) for name in long}
        if len({*found.values(), *whole}) == len(wanted):
            return whole | found
    return whole | _numbered(long, set(whole), width, cut)


def _tails(room: int) -> Sequence[int]:
    """How many signs of the end to try: a half first, then more, then fewer."""
    half = room // 2
    return [half, *(half + more for step in range(1, room) for more in (step, -step) if 0 <= half + more <= room)]


def _middle(name: str, head: int, tail: int, cut: str) -> str:
    return name[:head] + cut + (name[-tail:] if tail else "")


def _numbered(names: Sequence[str], taken: set[str], width: int, cut: str) -> dict[str, str]:
    """Where no cut keeps them apart, a number does."""
    found: dict[str, str] = {}
    number = 0
    for name in names:
        while True:
            number += 1
            end = f"{cut}{number}"
            short = f"{name[: max(0, width - len(end))]}{end}"
            if short not in taken:
                break
        taken.add(short)
        found[name] = short
    return found
