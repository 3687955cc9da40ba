"""The table of items in PostgreSQL for apps of coroutines: through psycopg 3 or asyncpg, each with its own pool.

Every process has a pool of as many connections as SGIBENCH_POOL says, opened on first use in the event loop that asks.
Whoever asks the table, or waits for a connection, is counted as one inside the app.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from database import statements
from database.statements import bounded, numbered
from inside import ASKING, INSIDE

Row = tuple[int, str, int]


def pool_size() -> int:
    """Connections that this process may hold."""
    return max(1, int(os.environ.get("SGIBENCH_POOL") or 8))


class LoopPools:
    """A pool for each event loop of this process, usually one."""

    def __init__(self, make: Callable[[], Awaitable[Any]]) -> None:
        """`make` opens a pool in the running loop."""
        self._make = make
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """After a fork: the connections are the parent's."""
        self._pools: dict[asyncio.AbstractEventLoop, Any] = {}
        self._locks: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}

    async def get(self) -> Any:
        """The pool of the running loop, all its connections open."""
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            async with self._locks.setdefault(loop, asyncio.Lock()):
                pool = self._pools.get(loop)
                if pool is None:
                    pool = self._pools[loop] = await self._make()
        return pool


class PsycopgItems:
    """The table through psycopg; like `PostgresItems`, but awaited."""

    def __init__(self, url: str) -> None:
        """Nothing is opened yet."""
        from psycopg_pool import AsyncConnectionPool  # noqa: PLC0415 - an app has one of the two drivers

        async def make() -> Any:
            pool = AsyncConnectionPool(
                url, min_size=pool_size(), max_size=pool_size(), kwargs={"autocommit": True}, open=False
            )
            await pool.open(wait=True)
            return pool

        self._pools = LoopPools(make)

    async def _rows(self, statement: str, *values: Any) -> list[Row]:
        with INSIDE, ASKING:
            pool = await self._pools.get()
            async with pool.connection() as connection:
                cursor = await connection.execute(statement, values)
                rows: list[Row] = await cursor.fetchall()
                return rows

    async def _row(self, statement: str, *values: Any) -> Row | None:
        rows = await self._rows(statement, *values)
        return rows[0] if rows else None

    async def page(self, limit: int, offset: int) -> list[Row]:
        """Items in the order of their ids."""
        return await self._rows(statements.PAGE, limit, offset)

    async def get(self, item_id: int) -> Row | None:
        """Tell one item."""
        return await self._row(statements.GET, bounded(item_id))

    async def add(self, name: str, quantity: int) -> Row:
        """Add an item under a new id."""
        return (await self._rows(statements.ADD, name, quantity))[0]

    async def change(self, item_id: int, name: str | None, quantity: int | None) -> Row | None:
        """Change what is not None and tell what the item is now."""
        return await self._row(statements.CHANGE, name, quantity, bounded(item_id))

    async def delete(self, item_id: int) -> Row | None:
        """Delete an item and tell what it was."""
        return await self._row(statements.DELETE, bounded(item_id))

    async def raise_by_one(self, item_id: int) -> Row | None:
        """Read an item under a lock, write its quantity one higher, and tell what it is now: one transaction."""
        with INSIDE, ASKING:
            pool = await self._pools.get()
            async with pool.connection() as connection, connection.transaction():
                row = await (await connection.execute(statements.LOCK, (bounded(item_id),))).fetchone()
                if row is None:
                    return None
                await connection.execute(statements.WRITE, (row[2] + 1, row[0]))
                return row[0], row[1], row[2] + 1

    async def query(self, seconds: float) -> float:
        """Ask a question that takes the database so long; gives how long it took."""
        began_s = time.monotonic()
        await self._rows(statements.SLOW, seconds)
        return time.monotonic() - began_s


PAGE, GET, ADD, CHANGE, DELETE, LOCK, WRITE, SLOW = map(
    numbered,
    (
        statements.PAGE,
        statements.GET,
        statements.ADD,
        statements.CHANGE,
        statements.DELETE,
        statements.LOCK,
        statements.WRITE,
        statements.SLOW,
    ),
)


class AsyncpgItems:
    """The table through asyncpg; the same again."""

    def __init__(self, url: str) -> None:
        """Nothing is opened yet."""
        import asyncpg  # noqa: PLC0415 - an app has one of the two drivers

        async def make() -> Any:
            return await asyncpg.create_pool(url, min_size=pool_size(), max_size=pool_size())

        self._pools = LoopPools(make)

    async def _row(self, statement: str, *values: Any) -> Row | None:
        with INSIDE, ASKING:
            row = await (await self._pools.get()).fetchrow(statement, *values)
        return None if row is None else tuple(row)

    async def page(self, limit: int, offset: int) -> list[Row]:
        """Items in the order of their ids."""
        with INSIDE, ASKING:
            return [tuple(row) for row in await (await self._pools.get()).fetch(PAGE, limit, offset)]

    async def get(self, item_id: int) -> Row | None:
        """Tell one item."""
        return await self._row(GET, bounded(item_id))

    async def add(self, name: str, quantity: int) -> Row:
        """Add an item under a new id."""
        with INSIDE, ASKING:
            row = await (await self._pools.get()).fetchrow(ADD, name, quantity)
            return row[0], row[1], row[2]

    async def change(self, item_id: int, name: str | None, quantity: int | None) -> Row | None:
        """Change what is not None and tell what the item is now."""
        return await self._row(CHANGE, name, quantity, bounded(item_id))

    async def delete(self, item_id: int) -> Row | None:
        """Delete an item and tell what it was."""
        return await self._row(DELETE, bounded(item_id))

    async def raise_by_one(self, item_id: int) -> Row | None:
        """Read an item under a lock, write its quantity one higher, and tell what it is now: one transaction."""
        with INSIDE, ASKING:
            pool = await self._pools.get()
            async with pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(LOCK, bounded(item_id))
                if row is None:
                    return None
                await connection.execute(WRITE, row[2] + 1, row[0])
                return row[0], row[1], row[2] + 1

    async def query(self, seconds: float) -> float:
        """Ask a question that takes the database so long; gives how long it took."""
        began_s = time.monotonic()
        await self._row(SLOW, seconds)
        return time.monotonic() - began_s


DRIVERS: dict[str, type[PsycopgItems | AsyncpgItems]] = {"psycopg": PsycopgItems, "asyncpg": AsyncpgItems}
