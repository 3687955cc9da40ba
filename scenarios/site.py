"""A visit to a site: pages, static files, JSON, lists of items, an item made, changed and read, and a slow call."""

from __future__ import annotations

from sgibench.load.pages import page_of, whole_page
from sgibench.load.user import Answer, BenchUser, Variant, get, post, put

LISTED = 20
JSON = (("Content-Type", "application/json"),)


def whole_style(answer: Answer) -> str | None:
    """Whether the style sheet came whole: its braces are even."""
    opened, closed = answer.body.count(b"{"), answer.body.count(b"}")
    return None if opened == closed > 0 else f"expected a whole style sheet, but {opened} of {closed} braces close"


def full_list(answer: Answer) -> str | None:
    """Whether it is a list of as many items as were asked for."""
    found = answer.json()
    if not isinstance(found, list) or len(found) != LISTED:
        return f"expected {LISTED} items, but {answer.body[:40]!r} came"
    fields = {"id", "name", "quantity"}
    return None if all(set(item) == fields for item in found) else f"expected items with {', '.join(sorted(fields))}"


def new_item(answer: Answer) -> str | None:
    """Whether a new item came back, at the address that it says."""
    item = answer.json()
    if not isinstance(item, dict) or (item.get("name"), item.get("quantity")) != ("order", 1):
        return f"expected the item that was sent, but {answer.body[:60]!r} came"
    address, expected = answer.header("location"), f"/items/{item.get('id')}"
    return None if address in {expected, None} else f"expected Location {expected}, but it is {address}"


class Site(BenchUser):
    """A visit to a site: pages, static files, JSON, lists of items, an item made, changed and read, and a slow call."""

    rows = {"POST /items": 1}  # noqa: RUF012 - declared as ClassVar in BenchUser
    requests = (
        get("/page", weight=5, expect=whole_page, example=page_of(rows=100)),
        get("/static/style.css", weight=4, expect=whole_style, example=b"body { color: #333; }\n" * 30),
        get("/json", weight=4, expect=b'{"message":"Hello, World!"}'),
        get(
            "/items",
            weight=3,
            variants=tuple(Variant(path=f"/items?limit={LISTED}&offset={first}") for first in (0, 20, 40, 60)),
            expect=full_list,
            example=b"[" + b",".join(b'{"id":%d,"name":"Item %d","quantity":7}' % (n, n) for n in range(1, 21)) + b"]",
            example_type="application/json",
        ),
        post(
            "/items",
            status=201,
            weight=1,
            body=b'{"name":"order","quantity":1}',
            headers=JSON,
            expect=new_item,
            gives=("id",),
            example=b'{"id":101,"name":"order","quantity":1}',
            example_type="application/json",
        ),
        put(
            "/items/{id}",
            weight=1,
            headers=JSON,
            body=b'{"name":"changed","quantity":2}',
            expect=b'{"id":{id},"name":"changed","quantity":2}',
            gives=("quantity",),  # so that the item is read only when it was changed
        ),
        get("/items/{id}", weight=1, expect=b'{"id":{id},"name":"changed","quantity":{quantity}}'),
        get("/wait/20", weight=1, expect=b"waited 20 ms", least_s=0.02),
    )
