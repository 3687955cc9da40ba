"""List twenty items: one query, twenty rows as JSON."""

from __future__ import annotations

from sgibench.load.user import BenchUser, Variant, get

LISTED = 20


def items(first: int) -> bytes:
    """What a new database holds from an id on."""
    numbers = range(first, first + LISTED)
    return b"[" + b",".join(b'{"id":%d,"name":"Item %d","quantity":%d}' % (n, n, n * 7 % 100) for n in numbers) + b"]"


class DbList(BenchUser):
    """List twenty items: one query, twenty rows as JSON."""

    requests = (
        get(
            f"/items?limit={LISTED}&offset=1",
            name="/items",
            variants=tuple(
                Variant(path=f"/items?limit={LISTED}&offset={offset}", expect=items(offset + 1))
                for offset in (1, 21, 41, 61)
            ),
            expect=items(2),
        ),
    )
