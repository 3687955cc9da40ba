"""What is asked of PostgreSQL, for psycopg (`%s`); `numbered` writes it for asyncpg (`$1`)."""

from __future__ import annotations

LARGEST_ID = 2**31 - 1
"""What the column holds; a larger id can't exist."""

PAGE = "SELECT id, name, quantity FROM items ORDER BY id LIMIT %s OFFSET %s"
GET = "SELECT id, name, quantity FROM items WHERE id = %s"
ADD = "INSERT INTO items (name, quantity) VALUES (%s, %s) RETURNING id, name, quantity"
CHANGE = (
    "UPDATE items SET name = coalesce(%s::text, name), quantity = coalesce(%s::integer, quantity) WHERE id = %s"
    " RETURNING id, name, quantity"
)
DELETE = "DELETE FROM items WHERE id = %s RETURNING id, name, quantity"
LOCK = "SELECT id, name, quantity FROM items WHERE id = %s FOR UPDATE"
WRITE = "UPDATE items SET quantity = %s WHERE id = %s"
SLOW = "SELECT 1, 'slept', 1 FROM pg_sleep(%s)"


def bounded(item_id: int) -> int:
    """An id that the column can be compared with: one that is too large becomes one that nothing has."""
    return item_id if item_id <= LARGEST_ID else 0


def numbered(statement: str) -> str:
    """Write the places of values as $1, $2 and so on."""
    parts = statement.split("%s")
    return "".join(part + (f"${place}" if place < len(parts) else "") for place, part in enumerate(parts, start=1))
