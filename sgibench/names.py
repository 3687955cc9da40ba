"""Names that have too little room: cut in the middle, where they differ least, so that they stay apart (pure).

A server's id begins with its family and ends with its worker class, parser or version; both ends tell it apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os.path import commonprefix

SHORTEST = 4
"""Signs below which nothing is left of a name."""
PARTED = "-+@_ ,"
"""Signs between the words of names."""


def shortened(names: Iterable[str], width: int, cut: str = "…") -> Mapping[str, str]:
    """Name -> what fits into `width` signs (at least SHORTEST); different names stay different, short ones whole."""
    width = max(width, SHORTEST)
    wanted = list(dict.fromkeys(names))
    long = [name for name in wanted if len(name) > width]
    whole = {name: name for name in wanted if len(name) <= width}
    if (found := _apart(long, width, cut)) and len({*found.values(), *whole}) == len(wanted):
        return whole | found
    room = width - len(cut)
    for tail in _tails(room):
        found = {name: _middle(name, room - tail, tail, cut) for name in long}
        if len({*found.values(), *whole}) == len(wanted):
            return whole | found
    return whole | _numbered(long, set(whole), width, cut)


def _apart(names: Sequence[str], width: int, cut: str) -> dict[str, str] | None:
    """Leave out what all names end with, where what tells them apart stands before it; None where nothing fits so."""
    if len(names) < 2:  # noqa: PLR2004 - one name shares nothing
        return None
    ends = _whole_words(commonprefix([name[::-1] for name in names]))  # noqa: RUF071 - of signs, not of folders
    starts = _whole_words(commonprefix([name[: len(name) - ends] for name in names]))  # noqa: RUF071
    if not ends:
        return None
    found = {}
    for name in names:
        middle = name[starts : len(name) - ends]
        room = width - len(middle) - len(cut)
        if room >= starts:
            found[name] = name[: width - len(cut)] + cut
        elif middle and room >= len(cut):
            found[name] = name[: room - len(cut)] + cut + middle + cut
        else:
            return None
    return found


def _whole_words(shared: str) -> int:
    """How many signs of what names share are whole words, with the sign that parts them from the rest."""
    return max((place + 1 for place, sign in enumerate(shared) if sign in PARTED), default=0)


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
