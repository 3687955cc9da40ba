"""Imports only go down the floors of the house, and the engine never reaches into the load process."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import sgibench

PACKAGE = Path(sgibench.__file__).parent

FLOORS: dict[str, int] = {
    "__init__": 0,
    "ending": 0,
    "errors": 0,
    "model": 0,
    "units": 0,
    "histogram": 1,
    "laps": 0,
    "later": 0,
    "names": 0,
    "paths": 0,
    "answers": 1,
    "secrets": 1,
    "machine": 1,
    "inside": 1,
    "limits": 1,
    "listening": 1,
    "results": 1,
    "stats": 1,
    "audit": 2,
    "catalogue": 2,
    "serve": 3,
    "verify": 3,
    "load": 3,
    "engine": 4,
    "report": 4,
    "bench": 5,
    "cli": 6,
}
"""A module may import modules of its own floor or below, as long as no circle arises."""


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "__init__"


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py")) if "_catalogue" not in path.parts}


def imports_of(path: Path) -> set[str]:
    """Modules of sgibench that a file imports, by their full dotted name below the package."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {inside(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from sgibench.report import words` means the module of that name, not the package's own contents.
            wanted = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {inside(name) if inside(name) in MODULES else inside(node.module) for name in wanted}
    return found & MODULES.keys()


def inside(dotted: str) -> str:
    """Name a module below the package; what is not ours stays as it is."""
    return dotted.removeprefix("sgibench.")


@pytest.mark.parametrize("name", MODULES)
def test_every_module_stands_on_a_floor_and_imports_only_from_it_or_below(name: str) -> None:
    room = name.split(".", maxsplit=1)[0]
    assert room in FLOORS, f"{name}: give the room {room!r} a floor"
    upwards = {other for other in imports_of(MODULES[name]) if FLOORS[other.split(".")[0]] > FLOORS[room]}
    assert not upwards, f"{name} imports from floors above it"


def test_no_circle_of_imports_exists() -> None:
    graph = {name: imports_of(path) - {name} for name, path in MODULES.items()}
    left = dict(graph)
    while left:
        free = {name for name, needed in left.items() if not needed & left.keys()}
        assert free, f"these import one another: {sorted(left)}"
        left = {name: needed for name, needed in left.items() if name not in free}


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("load")])
def test_the_engine_imports_neither_gevent_nor_locust_nor_the_load_process(name: str) -> None:
    nodes = list(ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert not {module.partition(".")[0] for module in imported} & {"gevent", "locust"}
    assert not {other for other in imports_of(MODULES[name]) if other.partition(".")[0] == "load"}
