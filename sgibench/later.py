"""Modules that are imported when something of them is first asked for.

For what draws and what writes tables: importing it takes longer than most commands do, and one that refuses, lists or
checks needs none of it. Such a module stands at the top of a file, like every other, and a second time for the type
checker, which sees the module itself. (SciPy does the same with its own parts.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread
from typing import Any

DRAWS_AND_WRITES = ("matplotlib.figure", "matplotlib.ticker", "pandas", "scipy.special")
"""What a run that ends with a report needs in the end."""


@contextmanager
def imported_meanwhile(*names: str) -> Iterator[None]:
    """Import modules in a thread while something else is waited for; afterwards they are there, if they can be."""

    def imports() -> None:
        for name in names:
            with suppress(ImportError):  # whoever needs it says so
                import_module(name)

    thread = Thread(target=imports, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


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
