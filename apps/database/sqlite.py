"""The table of items in an SQLite file, safe with any number of processes, threads and greenlets.

A connection serves one request at a time: it is taken from a pool, or opened when the pool is empty, and put back.
(Connections kept per thread would be opened anew for each greenlet under gevent.) Every change is one statement and so
one transaction. WAL lets readers go on beside a writer; writers wait for each other up to 5 s. `synchronous=OFF` leaves
flushing to the operating system: disks are not what is compared, and nothing here has to survive a power cut.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SEEDED = 100
"""Items that a new database holds, with the ids 1 to 100."""

Row = tuple[int, str, int]
"""id, name, quantity."""

# AUTOINCREMENT: an id is never given twice, so an item that was deleted stays gone.
_SCHEMA = "CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, quantity INTEGER NOT NULL)"
_GET = "SELECT id, name, quantity FROM items WHERE id = ?"
_INSERT = "INSERT INTO items (name, quantity) VALUES (?, ?)"
_UPDATE = (
    "UPDATE items SET name = coalesce(?, name), quantity = coalesce(?, quantity) WHERE id = ?"
    " RETURNING id, name, quantity"
)


class SqliteItems:
    """The table; `get`, `change` and `delete` give None when there is no such item."""

    def __init__(self, folder: Path) -> None:
        """Open the database in that folder; whichever process comes first makes and fills it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "items.sqlite3"
        self._pool: list[sqlite3.Connection] = []
        self._inherited: list[sqlite3.Connection] = []
        os.register_at_fork(after_in_child=self._forget)
        with (folder / "items.lock").open("w") as lock, self._connection() as connection:
            # SQLite does not wait for a lock while it switches to WAL, so the processes queue here instead.
            fcntl.flock(lock, fcntl.LOCK_EX)
            _prepare(connection)

    def _forget(self) -> None:
        """After a fork: SQLite forbids even closing a parent's connection, so keep it, unused."""
        self._inherited += self._pool
        self._pool = []

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._pool.pop()
        except IndexError:
            connection = sqlite3.connect(self.path, timeout=5, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA synchronous=OFF")
        yield connection
        self._pool.append(connection)  # one that failed does not come back here

    def _rows(self, statement: str, *values: str | int | None) -> list[Row]:
        with self._connection() as connection:
            # All rows are fetched: a statement that is not read to its end keeps its lock.
            return connection.execute(statement, values).fetchall()

    def _row(self, statement: str, *values: str | int | None) -> Row | None:
        rows = self._rows(statement, *values)
        return rows[0] if rows else None

    def page(self, limit: int, offset: int) -> list[Row]:
        """Items in the order of their ids."""
        return self._rows("SELECT id, name, quantity FROM items ORDER BY id LIMIT ? OFFSET ?", limit, offset)

    def get(self, item_id: int) -> Row | None:
        """Tell one item."""
        return self._row(_GET, item_id)

    def add(self, name: str, quantity: int) -> Row:
        """Add an item under a new id."""
        return self._rows(f"{_INSERT} RETURNING id, name, quantity", name, quantity)[0]

    def change(self, item_id: int, name: str | None, quantity: int | None) -> Row | None:
        """Change what is not None and tell what the item is now."""
        return self._row(_UPDATE, name, quantity, item_id)

    def delete(self, item_id: int) -> Row | None:
        """Delete an item and tell what it was."""
        return self._row("DELETE FROM items WHERE id = ? RETURNING id, name, quantity", item_id)

    def raise_by_one(self, item_id: int) -> Row | None:
        """Read an item under a lock, write its quantity one higher, and tell what it is now: one transaction."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                row: Row | None = connection.execute(_GET, (item_id,)).fetchone()
                if row is not None:
                    row = row[0], row[1], row[2] + 1
                    connection.execute("UPDATE items SET quantity = ? WHERE id = ?", (row[2], row[0]))
            finally:
                connection.execute("COMMIT")
            return row

    def query(self, seconds: float) -> float:
        """Ask a question that takes so long, in this process, where the database is; gives how long it took."""
        began_s = time.monotonic()
        with self._connection() as connection:
            connection.create_function("pause", 1, time.sleep)
            connection.execute("SELECT pause(?)", (seconds,)).fetchall()
        return time.monotonic() - began_s


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone() == (0,):
        connection.execute(_SCHEMA)
        connection.executemany(_INSERT, [(f"Item {index}", index * 7 % 100) for index in range(1, SEEDED + 1)])
        connection.execute("PRAGMA user_version=1")
    connection.execute("COMMIT")
