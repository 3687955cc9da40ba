"""Django's own PostgreSQL backend; whoever opens a connection, or waits for one of the pool's, is counted."""

# mypy: disable-error-code="import-not-found,misc,no-any-return"
from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base
from inside import ASKING, INSIDE


class DatabaseWrapper(base.DatabaseWrapper):
    """The backend, and nothing else."""

    def get_new_connection(self, conn_params: Any) -> Any:
        """Open one, or have the pool lend one."""
        with INSIDE, ASKING:
            return super().get_new_connection(conn_params)
