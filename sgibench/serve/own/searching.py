"""Looks around in a project for what may be its app: reads the sources, runs nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from sgibench.paths import exists, is_file, is_folder

MADE_BY = frozenset(
    {
        *("Flask", "FastAPI", "Starlette", "Quart", "Litestar", "Bottle", "Sanic", "BlackSheep", "Dash", "Application"),
        *("get_wsgi_application", "get_asgi_application", "ProtocolTypeRouter", "make_wsgi_app", "WsgiToAsgi"),
        *("App", "default_app", "create_app", "make_app", "get_app", "Esmerald", "Connexion", "FlaskApp", "AsyncApp"),
    }
)
"""What an app is usually made by."""
FACTORIES = frozenset({"create_app", "make_app", "get_app", "build_app", "create_application", "make_application"})
HELD_AS = ("app", "application", "asgi_app", "wsgi_app", "api")
"""What it is usually called; earlier ones are tried first."""
FILES = ("wsgi.py", "asgi.py", "main.py", "app.py", "server.py", "__init__.py", "application.py", "api.py")
NOT_LOOKED_IN = frozenset({"tests", "test", "docs", "node_modules", "venv", "env", "site-packages", "build", "dist"})
MOST_FILES = 2000
MOST_BYTES = 500_000


def candidates(project: Path) -> list[str]:
    """Name what may be the app, likeliest first."""
    found = [(rank, text) for file in _files(project) for rank, text in _in_file(project, file)]
    return list(dict.fromkeys(text for _, text in sorted(found)))


def _files(project: Path) -> Iterator[Path]:
    """Give the project's own Python files, those that lie higher first."""
    level, left = [project], MOST_FILES
    while level and left > 0:
        following: list[Path] = []
        for folder in level:
            try:
                entries = sorted(folder.iterdir())
            except OSError:
                continue
            for entry in entries:
                hidden = entry.name.startswith(".") or entry.name in NOT_LOOKED_IN
                if is_folder(entry) and not hidden and not exists(entry / "pyvenv.cfg") and not entry.is_symlink():
                    following.append(entry)
                elif entry.suffix == ".py" and is_file(entry) and not entry.name.startswith(("test_", "conftest")):
                    left -= 1
                    yield entry
        level = following


Rank = tuple[int, int, int, str]
"""Likeliest first: a usual name, a usual file, few folders deep."""


def _in_file(project: Path, file: Path) -> Iterator[tuple[Rank, str]]:
    try:
        if file.stat().st_size > MOST_BYTES:
            return
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return
    place = _place(project, file)
    if place is None:
        return
    depth = len(file.relative_to(project).parts)
    usual = FILES.index(file.name) if file.name in FILES else len(FILES)
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and _makes_an_app(node.value):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    name = HELD_AS.index(target.id) if target.id in HELD_AS else len(HELD_AS)
                    yield (name, usual, depth, place), f"{place}:{target.id}"
        elif isinstance(node, ast.FunctionDef) and node.name in FACTORIES and not _needs_arguments(node):
            yield (len(HELD_AS), usual, depth, place), f"{place}:{node.name}()"


def _makes_an_app(value: ast.expr | None) -> bool:
    if not isinstance(value, ast.Call):
        return False
    called = value.func
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    return name in MADE_BY


def _needs_arguments(function: ast.FunctionDef) -> bool:
    arguments = function.args
    needed = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    return needed > 0 or any(default is None for default in arguments.kw_defaults)


def _place(project: Path, file: Path) -> str | None:
    """Name the module, as it is imported from the project or its src folder; a file whose name is none, by its path."""
    parts = [*file.relative_to(project).with_suffix("").parts]
    if parts[0] == "src":
        parts = parts[1:]
    if parts and parts[-1] == "__init__":
        parts = parts[:-1]
    if not parts:
        return None
    return ".".join(parts) if all(part.isidentifier() for part in parts) else str(file.relative_to(project))
