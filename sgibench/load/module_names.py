"""A scenario file may be called json.py or queue.py without taking that module's name away from everybody else.

Locust puts a locustfile into `sys.modules` under the bare name of its file. `give_back` finds such squatters, files
them under a private name, and puts the real module back. It imports nothing that a squatter could be.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

PRIVATE = "sgibench_scenario_"
"""Prefix under which scenario modules are filed."""

_STANDARD_LIBRARY = Path(os.__file__).resolve().parent


def give_back() -> None:
    """Return the names of standard modules that files from elsewhere have taken."""
    for name in sys.stdlib_module_names & sys.modules.keys():
        module = sys.modules[name]
        origin = getattr(module, "__file__", None)
        if origin is None or not _squats(Path(origin)):
            continue
        sys.modules[PRIVATE + name] = module
        module.__name__ = PRIVATE + name
        sys.modules[name] = _original(name, module) or _imported_afresh(name, Path(origin).parent)


def _squats(origin: Path) -> bool:
    """Whether a module of a standard name comes from outside the interpreter's own folders."""
    folders = origin.resolve().parents
    return _STANDARD_LIBRARY not in folders and not any(parent.name in {"lib-dynload", "gevent"} for parent in folders)


def _original(name: str, squatter: ModuleType) -> ModuleType | None:
    """Find the real module, if some module imported it before its name was taken."""
    for module in list(sys.modules.values()):
        held = getattr(module, "__dict__", {}).get(name)
        if isinstance(held, ModuleType) and held is not squatter and held.__name__ == name:
            return held
    return None


def _imported_afresh(name: str, folder: Path) -> ModuleType:
    """Import the real module with the scenario's folder out of sight."""
    del sys.modules[name]
    path = sys.path[:]
    sys.path[:] = [entry for entry in path if Path(entry or ".").resolve() != folder.resolve()]
    try:
        return importlib.import_module(name)
    finally:
        sys.path[:] = path
