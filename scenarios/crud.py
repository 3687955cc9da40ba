"""A session on a database: create an item, read, replace, change, read and delete it, and see that it is gone."""

from __future__ import annotations

from typing import Any

from locust import task

from sgibench.load.user import Answer, BenchUser

FIRST = {"name": "kettle", "quantity": 3}
SECOND = {"name": "teapot", "quantity": 5}
CHANGE = {"quantity": 8}
_ITEMS = tuple(
    b'{"id":1,"name":"%s","quantity":%d}' % (name, quantity)
    for name, quantity in ((b"kettle", 3), (b"teapot", 5), (b"teapot", 8))
)


class Crud(BenchUser):
    """A session on a database: create an item, read, replace, change, read and delete it, and see that it is gone."""

    examples = {  # noqa: RUF012 - declared as ClassVar in BenchUser
        "POST /items": ((201, _ITEMS[0]),),
        "GET /items/1": ((200, _ITEMS[0]), (200, _ITEMS[2]), (404, b"")),
        "PUT /items/1": ((200, _ITEMS[1]),),
        "PATCH /items/1": ((200, _ITEMS[2]),),
        "DELETE /items/1": ((204, b""),),
    }

    rows = {"POST /items": 1, "DELETE /items/{id}": -1}  # noqa: RUF012 - declared as ClassVar in BenchUser

    @task
    def session(self) -> None:
        """One item's life; it is read before its changes and after, so that a lost write is seen, and a stale read."""
        created = self.client.post("/items", json=FIRST, expect=201).json()
        number = created["id"]
        path = f"/items/{number}"
        self.client.get(path, name="/items/{id}", expect=holds(number, FIRST))
        self.client.put(path, name="/items/{id}", json=SECOND, expect=holds(number, SECOND))
        self.client.patch(path, name="/items/{id}", json=CHANGE, expect=holds(number, SECOND | CHANGE))
        self.client.get(path, name="/items/{id}", expect=holds(number, SECOND | CHANGE))
        self.client.delete(path, name="/items/{id}", expect=(204, b""))
        self.client.get(path, name="/items/{id} gone", expect=404)


class holds:  # noqa: N801 - reads as a sentence where it is used
    """Check that an answer holds one item with this content."""

    __slots__ = ("_item",)

    def __init__(self, number: int, content: dict[str, Any]) -> None:
        self._item = {"id": number, **content}

    def __call__(self, answer: Answer) -> str | None:
        """None when it does."""
        found = answer.json()
        return None if found == self._item else f"expected {self._item}, but got {found}"
