"""Whether an app keeps its items where they are counted: one is made, looked for in the table, and taken away again.

Rows that add up after a load say nothing of an app that keeps its items elsewhere: where every item that is made is
deleted again, a table that nobody touched adds up, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sgibench.errors import ServerError
from sgibench.model import Rows
from sgibench.model.terms import Protocol
from sgibench.verify.checks import client_for, shown
from sgibench.verify.checks.comparing import ask, id_of
from sgibench.verify.client import Question

ROWS_DIFFER = "rows-differ"
"""The reason of a trial whose database is not what the answers say."""
SEEN_S = 3.0
"""How long a write that was answered may take to be seen."""
AGAIN_S = 0.05
LISTED = Question(method="GET", path="/items")
MADE = Question(method="POST", path="/items", body=b'{"name":"counted?","quantity":1}')
CREATED = 201


def verify_kept(host: str, port: int, count: Callable[[], Rows | None], *, protocol: Protocol = "http") -> None:
    """Make an item and delete it, and see both in the table that `count` counts.

    Raises ServerError `rows-differ` where it can't be seen, and `wrong-answer` where no item is made.
    """
    with client_for(host, port, protocol) as client:
        ask(client, LISTED)  # an app may make its table when it is first asked about it
        before = _counted(count)
        reply = ask(client, MADE)
        item_id = id_of(reply)
        if reply.status != CREATED or item_id is None:
            raise ServerError("wrong-answer", f"{MADE}: expected 201 and an item, but {shown(reply.body)} came")
        made = _seen(count, before, 1)
        ask(client, Question(method="DELETE", path=f"/items/{item_id}"))
        _seen(count, made, -1)


def _seen(count: Callable[[], Rows | None], before: Rows, change: int) -> Rows:
    """Wait until one item more or less is counted."""
    until_s = time.monotonic() + SEEN_S
    while (now := _counted(count)).count != before.count + change:
        if time.monotonic() > until_s:
            raise ServerError(ROWS_DIFFER, _told(before.count, before.count + change, now.count))
        time.sleep(AGAIN_S)
    return now


def _told(before: int, due: int, now: int) -> str:
    done = "made" if due > before else "deleted"
    off = f"{now - due:,} too many" if now > due else f"{due - now:,} missing"
    where = "" if now != before else ": the app keeps its items elsewhere"
    return f"an item was {done}, so that its database should have {due:,} items, but it has {now:,}: {off}{where}"


def _counted(count: Callable[[], Rows | None]) -> Rows:
    try:
        found = count()
    except ServerError as error:
        raise ServerError(ROWS_DIFFER, f"the items can't be counted: {error.detail}", error.log_tail) from None
    if found is None:
        raise ServerError(ROWS_DIFFER, "there are no items where they are counted: the app keeps them elsewhere")
    return found
