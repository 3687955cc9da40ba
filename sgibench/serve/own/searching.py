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
        *("ASGIApp", "WSGIApp", "GraphQL", "API", "Microdot", "Muffin", "Emmett", "build_app", "create_application"),
    }
)
"""What an app is usually made by."""
HELD_IN = {"Dash": ".server"}
"""What holds an app and may be none itself -> where it holds it."""
FACTORIES = frozenset({"create_app", "make_app", "get_app", "build_app", "create_application", "make_application"})
HELD_AS = ("app", "application", "asgi_app", "wsgi_app", "api")
"""What it is usually called; earlier ones are tried first."""
HANDED_WSGI, HANDED_ASGI = ("environ", "start_response"), ("scope", "receive", "send")
"""What the specifications call the arguments of an app that is a function."""
FILES = ("wsgi.py", "asgi.py", "main.py", "app.py", "server.py", "__init__.py", "application.py", "api.py")
NOT_LOOKED_IN = frozenset({"tests", "test", "docs", "node_modules", "venv", "env", "site-packages", "build", "dist"})
MOST_FILES = 2000
MOST_BYTES = 500_000


def candidates(project: Path) -> list[tuple[str, ...]]:
    """Name what may be the app, likeliest first: each by all names that it may have, of which one is surely right."""
    found = [each for file in _files(project) for each in _in_file(project, file)]
    return list(dict.fromkeys(names for _, names in sorted(found)))


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


Rank = tuple[int, int, int, int]
"""Likeliest first: made by what makes apps, a usual name, a usual file, few folders deep."""


def _in_file(project: Path, file: Path) -> Iterator[tuple[Rank, tuple[str, ...]]]:
    try:
        if file.stat().st_size > MOST_BYTES:
            return
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return
    depth = len(file.relative_to(project).parts)
    usual = FILES.index(file.name) if file.name in FILES else len(FILES)
    places = _places(project, file)
    for sure, name, held in _held(tree) if places else ():
        yield (1 - sure, name, usual, depth), tuple(f"{place}:{held}" for place in places)


def _held(tree: ast.Module) -> Iterator[tuple[bool, int, str]]:
    """Give what may be an app in a module: whether it is surely made as one, how usual its name is, what is served."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            maker = _maker(node.value)
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if not isinstance(target, ast.Name) or not maker:
                    continue
                usual = target.id in HELD_AS
                if maker in MADE_BY or (usual and maker[:1].isupper()):
                    name = HELD_AS.index(target.id) if usual else len(HELD_AS)
                    yield maker in MADE_BY, name, target.id + HELD_IN.get(maker, "")
        elif isinstance(node, ast.FunctionDef) and node.name in FACTORIES and not _needs_arguments(node):
            yield True, len(HELD_AS), f"{node.name}()"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_bare_app(node):
            yield False, HELD_AS.index(node.name) if node.name in HELD_AS else len(HELD_AS), node.name


def _maker(value: ast.expr | None) -> str:
    """Name what is called; empty when nothing is."""
    if not isinstance(value, ast.Call):
        return ""
    called = value.func
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def _is_bare_app(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function is an app itself: it takes what servers hand over."""
    names = tuple(each.arg for each in (*function.args.posonlyargs, *function.args.args))
    return names == (HANDED_ASGI if isinstance(function, ast.AsyncFunctionDef) else HANDED_WSGI)


def _needs_arguments(function: ast.FunctionDef) -> bool:
    arguments = function.args
    needed = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    return needed > 0 or any(default is None for default in arguments.kw_defaults)


def _places(project: Path, file: Path) -> tuple[str, ...]:
    """Name a file as it is imported from the project or its src folder, and by its path where that is something else.

    By its path it is imported from the folder above its packages, as in a repository that holds several projects.
    """
    path = str(file.relative_to(project))
    parts = [*file.relative_to(project).with_suffix("").parts]
    root = file.parent
    while root != project and (root / "__init__.py").is_file():
        root = root.parent
    source = parts[0] == "src"
    parts = parts[1:] if source else parts
    if parts and parts[-1] == "__init__":
        parts = parts[:-1]
    if not parts:
        return ()
    if not all(part.isidentifier() for part in parts):
        return (path,)
    return (".".join(parts),) if root == (project / "src" if source else project) else (".".join(parts), path)
