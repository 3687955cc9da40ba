"""Scenario files -> user classes, and user classes -> descriptions the engine can plan with.

A file is loaded by its path under a private module name, so that json.py shadows nothing, and must declare exactly
one BenchUser. A file that does not is a DeclarationError with its path, what was expected and what was found.
"""

from __future__ import annotations

import base64
import importlib.util
import inspect
import sys
import traceback
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from sgibench.catalogue.fitting import misfit
from sgibench.errors import DeclarationError
from sgibench.load.asked import load_asked
from sgibench.load.module_names import PRIVATE
from sgibench.load.request import Request, expand
from sgibench.load.user import BenchUser
from sgibench.model import Terms
from sgibench.model.behaviour import Watched
from sgibench.results.asked import is_asked
from sgibench.results.codec import encode


@cache
def load_scenario(path: Path) -> type[BenchUser]:
    """Load the one user class of a scenario file; raises DeclarationError."""
    if not path.is_file():
        raise DeclarationError(path, "a scenario file", "there is none")
    if is_asked(path):
        return load_asked(path)
    name = PRIVATE + path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise DeclarationError(path, "a Python file", "its name does not end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise DeclarationError(path, "a locustfile that loads", _where(path, error)) from error
    classes: list[type[BenchUser]] = [value for value in vars(module).values() if _is_scenario(value, name)]
    if len(classes) != 1:
        found = ", ".join(cls.__name__ for cls in classes) or "none"
        raise DeclarationError(path, "exactly one BenchUser class", f"it declares {found}")
    _check(path, classes[0])
    return classes[0]


def _is_scenario(value: object, module: str) -> bool:
    """Whether a module's value is a user class that it declares itself."""
    return inspect.isclass(value) and issubclass(value, BenchUser) and value.__module__ == module and not value.abstract


def _where(path: Path, error: BaseException) -> str:
    """Say what went wrong, and on which line of the file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.lineno:
        lines = [error.lineno]
    at = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}{at}"


def _check(path: Path, cls: type[BenchUser]) -> None:
    """Check what a class says about itself."""
    if not cls.requests and not cls.tasks:
        raise DeclarationError(path, "`requests` or @task methods", f"{cls.__name__} has neither")
    if not isinstance(cls.floor_s, int | float) or cls.floor_s < 0:
        raise DeclarationError(path, "`floor_s` in seconds, at least 0", f"it is {cls.floor_s!r}")
    unknown = set(cls.interfaces) - {"wsgi", "asgi", "rsgi"}
    if unknown or not cls.interfaces:
        raise DeclarationError(path, "`interfaces` of wsgi, asgi, rsgi", f"it is {cls.interfaces!r}")
    if misfit(Watched, cls.watched, "`watched`") or not all(0 <= one.at < 1 for one in cls.watched.incidents):
        raise DeclarationError(
            path, "`watched` to be Watched(...), its events inside the window", f"it is {cls.watched!r}"
        )
    if wrong := misfit(tuple[str, ...], cls.services, "`services`"):
        raise DeclarationError(path, "`services` as a tuple of names", wrong)
    for name in ("rows", "pieces"):
        if wrong := misfit(dict[str, int] | None, getattr(cls, name), f"`{name}`"):
            raise DeclarationError(path, f"`{name}` to map 'METHOD name' to whole numbers", wrong)
    if not isinstance(cls.terms, Terms):
        raise DeclarationError(path, "`terms` to be Terms(...)", f"it is {cls.terms!r}")
    if cls.connection not in {"keep-alive", "close"}:
        raise DeclarationError(path, "`connection` keep-alive or close", f"it is {cls.connection!r}")


def describe(path: Path) -> dict[str, Any]:
    """Describe a scenario as the protocol says; raises DeclarationError."""
    cls = load_scenario(path)
    doc = inspect.getdoc(cls) if "__doc__" in vars(cls) and cls.__doc__ else None
    text = doc or inspect.getdoc(sys.modules[cls.__module__]) or ""
    return {
        "id": path.stem,
        "summary": text.strip().split("\n", 1)[0],
        "path": str(path),
        "exchanges": [
            _exchange(each)
            for request in cls.requests
            if not cls.handshake()
            for each in expand(request)[:1]
            if _size(each) <= LARGEST_EXCHANGE_BYTES
        ],
        "floor_s": float(cls.floor_s),
        "interfaces": list(cls.interfaces),
        "watched": encode(replace(cls.watched, slow=cls.slow.count if cls.slow else 0)),
        "jobs": bool(cls.jobs),
        "services": list(cls.services),
        "rows": dict(cls.rows),
        "pieces": None if cls.pieces is None else dict(cls.pieces),
        "terms": encode(replace(cls.terms, held=cls.beside.count if cls.beside else 0)),
    }


LARGEST_EXCHANGE_BYTES = 4 << 20
"""Larger ones are left to the load, which checks every answer: they would go to the engine as a line of JSON."""


def _size(request: Request) -> int:
    """How much a request and its answer are."""
    return len(request.body) + (len(request.expect) if isinstance(request.expect, bytes) else 0)


def _exchange(request: Request) -> dict[str, Any]:
    """One request and its right answer."""
    if request.make is not None:
        request = request.varied(request.make(0))
    expected = request.expect if isinstance(request.expect, bytes) else None
    return {
        "name": request.title,
        "method": request.method,
        "path": request.path,
        "headers": [list(pair) for pair in request.headers],
        "body_b64": base64.b64encode(request.body).decode(),
        "status": request.status,
        "expected_b64": None if expected is None else base64.b64encode(expected).decode(),
        "weight": request.weight,
        "gives": list(request.gives),
    }
