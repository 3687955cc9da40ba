"""The table of items in PostgreSQL, through psycopg 3 and a pool, for apps that answer in threads or greenlets.

Every process has a pool of as many connections as SGIBENCH_POOL says, opened on first use and so after a server has
forked its workers; all servers of a comparison have pools of the same size. Every change is one statement or one
transaction.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import os
import threading
import time
from typing import Any

from database import statements
from inside import ASKING, INSIDE
from psycopg_pool import ConnectionPool

Row = tuple[int, str, int]


def pool_size() -> int:
    """Connections that this process may hold."""
    return max(1, int(os.environ.get("SGIBENCH_POOL") or 8))


class PostgresItems:
    """The table; `get`, `change`, `delete` and `raise_by_one` give None when there is no such item.

    Whoever asks it, or waits for a connection, is counted as one inside the app.
    """

    def __init__(self, url: str) -> None:
        """Nothing is opened yet."""
        self._url = url
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """After a fork: the connections are the parent's."""
        self._lock = threading.Lock()
        self._pool: ConnectionPool[Any] | None = None

    @property
    def pool(self) -> ConnectionPool[Any]:
        """The pool of this process, all its connections open."""
        if self._pool is None:
            with self._lock:
                if self._pool is None:
                    self._pool = ConnectionPool(
                        self._url, min_size=pool_size(), max_size=pool_size(), kwargs={"autocommit": True}, open=True
                    )
        return self._pool

    def _rows(self, statement: str, *values: Any) -> list[Row]:
        with INSIDE, ASKING, self.pool.connection() as connection:
            rows: list[Row] = connection.execute(statement, values).fetchall()
            return rows

    def _row(self, statement: str, *values: Any) -> Row | None:
        rows = self._rows(statement, *values)
        return rows[0] if rows else None

    def page(self, limit: int, offset: int) -> list[Row]:
        """Items in the order of their ids."""
        return self._rows(statements.PAGE, limit, offset)

    def get(self, item_id: int) -> Row | None:
        """Tell one item."""
        return self._row(statements.GET, statements.bounded(item_id))

    def add(self, name: str, quantity: int) -> Row:
        """Add an item under a new id."""
        return self._rows(statements.ADD, name, quantity)[0]

    def change(self, item_id: int, name: str | None, quantity: int | None) -> Row | None:
        """Change what is not None and tell what the item is now."""
        return self._row(statements.CHANGE, name, quantity, statements.bounded(item_id))

    def delete(self, item_id: int) -> Row | None:
        """Delete an item and tell what it was."""
        return self._row(statements.DELETE, statements.bounded(item_id))

    def raise_by_one(self, item_id: int) -> Row | None:
        """Read an item under a lock, write its quantity one higher, and tell what it is now: one transaction."""
        with INSIDE, ASKING, self.pool.connection() as connection, connection.transaction():
            row = connection.execute(statements.LOCK, (statements.bounded(item_id),)).fetchone()
            if row is None:
                return None
            connection.execute(statements.WRITE, (row[2] + 1, row[0]))
            return row[0], row[1], row[2] + 1

    def query(self, seconds: float) -> float:
        """Ask a question that takes the database so long; gives how long it took."""
        began_s = time.monotonic()
        self._rows(statements.SLOW, seconds)
        return time.monotonic() - began_s
