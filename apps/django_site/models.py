"""The table of items, which the contract makes and fills."""

# mypy: disable-error-code="import-not-found,misc"
from __future__ import annotations

from typing import Any, ClassVar

import contract
from django.db import connection, models, transaction
from django.db.backends.signals import connection_created
from inside import ASKING, INSIDE


def _counted(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
    """Count whoever asks the database as one inside the app."""
    with INSIDE, ASKING:
        return execute(sql, params, many, context)


def _count(connection: Any, **_: Any) -> None:
    """Count on each connection to a PostgreSQL, once: a wrapper outlives the connections that a pool lends it."""
    if connection.vendor == "postgresql" and _counted not in connection.execute_wrappers:
        connection.execute_wrappers.append(_counted)


connection_created.connect(_count)


class Item(models.Model):
    """A thing in stock."""

    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=contract.MOST_NAME)
    quantity = models.PositiveIntegerField()

    class Meta:
        """The table is not Django's to change."""

        db_table = "items"
        managed = False
        ordering: ClassVar[list[str]] = ["id"]

    def __str__(self) -> str:
        """Its name."""
        return str(self.name)

    def document(self) -> dict[str, int | str]:
        """What is told of it."""
        return {"id": self.id, "name": self.name, "quantity": self.quantity}


def raised_item(item_id: str) -> Item:
    """Raise an item's quantity by one in a transaction that reads it under a lock; refuse one that is missing."""
    with transaction.atomic():
        item: Item | None = Item.objects.select_for_update().filter(pk=contract.item_id_of(item_id)).first()
        if item is None:
            raise contract.Refusal(404, "no such item")
        item.quantity += 1
        item.save(update_fields=["quantity"])
    return item


def slow_query(seconds: float) -> None:
    """Ask a question that takes the database so long."""
    if connection.vendor != "postgresql":
        contract.embedded_items().query(seconds)
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])
