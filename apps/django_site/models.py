"""The table of items, which the contract makes and fills."""

# mypy: disable-error-code="import-not-found,misc"
from __future__ import annotations

from typing import ClassVar

import contract
from django.db import models


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
