"""A transaction that clients fight over: everybody raises two items by one, under a lock, and reads a third."""

from __future__ import annotations

from sgibench.load.user import Answer, BenchUser, Variant, get, post

FOUGHT_OVER = (1, 2)


def raised(answer: Answer) -> str | None:
    """Whether it is one of the items that are fought over."""
    item = answer.json()
    if not isinstance(item, dict) or item.get("id") not in FOUGHT_OVER or item.get("name") != f"Item {item['id']}":
        return f"expected one of the items {FOUGHT_OVER}, but {answer.body[:60]!r} came"
    return None if isinstance(item.get("quantity"), int) else f"expected a quantity, but {answer.body[:60]!r} came"


class DbContend(BenchUser):
    """A transaction that clients fight over: everybody raises two items by one, under a lock, and reads a third."""

    pieces = {"POST /raise/{id}": 1}  # noqa: RUF012 - declared as ClassVar in BenchUser
    requests = (
        post(
            "/raise/1",
            name="/raise/{id}",
            weight=3,
            variants=tuple(Variant(path=f"/raise/{number}") for number in FOUGHT_OVER),
            expect=raised,
            distinct=("id", "quantity"),
            example=b'{"id":1,"name":"Item 1","quantity":8}',
            example_type="application/json",
        ),
        get("/items/3", name="/items/{id}", expect=b'{"id":3,"name":"Item 3","quantity":21}'),
    )
