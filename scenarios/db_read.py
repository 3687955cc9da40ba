"""Read one item by its id: one small query."""

from __future__ import annotations

from sgibench.load.user import BenchUser, Variant, get

ITEMS = range(2, 82)


def item(number: int) -> bytes:
    """What a new database holds under an id."""
    return b'{"id":%d,"name":"Item %d","quantity":%d}' % (number, number, number * 7 % 100)


class DbRead(BenchUser):
    """Read one item by its id: one small query."""

    requests = (
        get(
            "/items/2",
            name="/items/{id}",
            variants=tuple(Variant(path=f"/items/{number}", expect=item(number)) for number in ITEMS),
            expect=item(2),
        ),
    )
