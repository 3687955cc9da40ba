"""Items on the database: the life of one, a list of them, one that two may raise, and a query that takes its time.

Ids are the database's own, so what is answered about one is made here, of the contract's parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sgibench.verify.checks.comparing import (
    NO_CONTENT,
    Findings,
    Target,
    ask,
    ask_and_compare,
    ask_for_at_least,
    differences,
    document_of,
    id_of,
    shown,
)
from sgibench.verify.client import Asker, Question

Item = dict[str, object]

REFUSED_ITEMS = (
    Question(method="POST", path="/items", body=b'{"name": "half'),
    Question(method="POST", path="/items", body=b'{"name": 5, "quantity": 1}'),
    Question(method="POST", path="/items", body=b'{"name": "no quantity"}'),
    Question(method="PATCH", path="/items/1", body=b'{"quantity": "many"}'),
    Question(method="GET", path="/items?limit=-1"),
    Question(method="GET", path="/items/none"),
    Question(method="DELETE", path="/items"),
    Question(method="POST", path="/items/1"),
)
"""Refused before the database is asked, so the contract's functions can answer them here."""


def check_items(target: Target) -> Findings:
    """The life of one item, from POST to DELETE, and what is refused on the way."""
    contract = target.contract
    given: Item = {"name": "Verifier's <item> é", "quantity": 3}
    question = Question(method="POST", path="/items", body=contract.dump(given))
    with target.client() as client:
        yield from _check_list(client)
        reply = ask(client, question)
        item_id = id_of(reply)
        if not isinstance(item_id, int):
            yield "wrong", f"{question}: expected 201 and an item, but {reply.status} came with {shown(reply.body)}"
            return
        path = f"/items/{item_id}"
        created = contract.Answer(201, contract.JSON, contract.dump({"id": item_id} | given), (("Location", path),))
        yield from differences(question, reply, created)
        for method, document, expected in _life(contract, item_id, given):
            body = b"" if document is None else contract.dump(document)
            yield from ask_and_compare(client, target, Question(method=method, path=path, body=body), expected)
        for refused in REFUSED_ITEMS:
            yield from ask_and_compare(client, target, refused)


def _life(contract: Any, item_id: int, given: Item) -> Iterator[tuple[str, Item | None, Any]]:
    """What is done with an item that was just made, in this order: method, document, and the answer."""

    def whole(item: Item) -> Any:
        return contract.Answer(200, contract.JSON, contract.dump({"id": item_id} | item))

    missing = contract.Refusal(404, "no such item").answer
    patched: Item = given | {"quantity": 4}
    replaced: Item = {"name": "Replaced", "quantity": 5}
    yield "HEAD", None, whole(given)
    yield "GET", None, whole(given)
    yield "PATCH", {"quantity": 4}, whole(patched)
    yield "GET", None, whole(patched)
    yield "PUT", replaced, whole(replaced)
    yield "GET", None, whole(replaced)
    yield "DELETE", None, contract.Answer(NO_CONTENT, "", b"")
    yield "GET", None, missing
    yield "DELETE", None, missing
    yield "PUT", replaced, missing


def check_raise(target: Target) -> Findings:
    """An item is raised by one each time, and one that is missing is refused."""
    contract = target.contract
    question = Question(method="POST", path="/items", body=contract.dump({"name": "raised", "quantity": 7}))
    with target.client() as client:
        reply = ask(client, question)
        item_id = id_of(reply)
        if not isinstance(item_id, int):
            yield "wrong", f"{question}: expected 201 and an item, but {reply.status} came with {shown(reply.body)}"
            return
        for quantity in (8, 9):
            item = contract.dump({"id": item_id, "name": "raised", "quantity": quantity})
            answer = contract.Answer(200, contract.JSON, item)
            yield from ask_and_compare(client, target, Question(method="POST", path=f"/raise/{item_id}"), answer)
        deleted = contract.Answer(NO_CONTENT, "", b"")
        yield from ask_and_compare(client, target, Question(method="DELETE", path=f"/items/{item_id}"), deleted)
        missing = contract.Refusal(404, "no such item").answer
        yield from ask_and_compare(client, target, Question(method="POST", path=f"/raise/{item_id}"), missing)
        for refused in (Question(method="POST", path="/raise/none"), Question(method="GET", path="/raise/1")):
            yield from ask_and_compare(client, target, refused)


def check_query(target: Target) -> Findings:
    """The database is asked something slow, and the answer does not come before its time."""
    slow = Question(method="GET", path="/query/40")
    with target.client() as client:
        yield from ask_for_at_least(client, target, slow, 40, target.contract.queried(40))
        yield from ask_and_compare(client, target, Question(method="GET", path="/query/10001"))


def _check_list(client: Asker) -> Findings:
    question = Question(method="GET", path="/items?limit=2&offset=1")
    reply = ask(client, question)
    found = document_of(reply)
    fields = {"id", "name", "quantity"}
    items = [set(item) if isinstance(item, dict) else None for item in found] if isinstance(found, list) else []
    if reply.status != 200 or items != [fields, fields]:  # noqa: PLR2004
        yield "wrong", f"{question}: expected 200 and two items, but {reply.status} came with {shown(reply.body)}"
