"""How large answers are on the wire, and when their mean is known: most answers are compared and never read.

An answer that was not read was equal to one that was, of the same kind of request, so its size lies between the least
and the largest that were read of that kind. A mean is given where these bounds leave it open by no more than 1 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

OPEN_BY = 0.01
"""The mean lies within such a share of what is given, or none is."""


@dataclass(kw_only=True)
class Sizes:
    """Sizes of the answers of one kind that were read in full, in bytes."""

    read: int = 0
    total: int = 0
    least: int = 0
    most: int = 0

    def add(self, size: int) -> None:
        """Note one answer."""
        self.least = min(self.least, size) if self.read else size
        self.most = max(self.most, size)
        self.read += 1
        self.total += size

    def merge(self, other: Sizes) -> None:
        """Add those of another."""
        if other.read:
            self.least = min(self.least, other.least) if self.read else other.least
            self.most = max(self.most, other.most)
            self.read += other.read
            self.total += other.total

    def packed(self) -> list[int]:
        """As JSON."""
        return [self.read, self.total, self.least, self.most]


Packed = Mapping[str, Sequence[int]]
"""By what the request is called."""


def mean_bytes(shares: Iterable[Packed], answered: Mapping[str, int]) -> float | None:
    """Give the mean size of all right answers; None where too little is known of it, or nothing.

    `shares` are the sizes that each process read, `answered` all right answers by what their request is called.
    """
    seen: dict[str, list[Sequence[int]]] = {}
    for share in shares:
        for called, sizes in share.items():
            seen.setdefault(called, []).append(sizes)
    least = most = middle = 0.0
    count = 0
    for called, parts in seen.items():
        read, total = sum(part[0] for part in parts), sum(part[1] for part in parts)
        every = max(read, answered.get(called, 0))
        rest = every - read
        count += every
        middle += total / read * every
        least += total + rest * min(part[2] for part in parts)
        most += total + rest * max(part[3] for part in parts)
    if not count or most - middle > OPEN_BY * middle or middle - least > OPEN_BY * middle:
        return None
    return middle / count
