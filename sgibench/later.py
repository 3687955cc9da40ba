"""Modules that are imported when something of them is first asked for.

For what draws and what writes tables: importing it takes longer than most commands do, and one that refuses, lists or
checks needs none of it. Such a module stands at the top of a file, like every other, and a second time for the type
checker, which sees the module itself. (SciPy does the same with its own parts.)
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import Any


class Later:
    """Stands for a module or package; the first name that is looked up in it imports it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        """Import the module, and give what it holds by that name, be it a module of its own; raises AttributeError."""
        module = import_module(self._name)
        if not hasattr(module, name):
            with suppress(ModuleNotFoundError):
                import_module(f"{self._name}.{name}")
        return getattr(module, name)
