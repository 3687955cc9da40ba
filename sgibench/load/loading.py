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
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from sgibench.catalogue.fitting import misfit, shown
from sgibench.errors import DeclarationError
from sgibench.load import beside, bursts, slow
from sgibench.load.asked import load_asked
from sgibench.load.beside import Beside
from sgibench.load.field import declared_timeout_s
from sgibench.load.module_names import PRIVATE
from sgibench.load.request import Request, expand
from sgibench.load.slow import Slow
from sgibench.load.user import BenchUser
from sgibench.model import Arrivals, Connection, Interface, Protocol, Terms
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


FIELDS: Mapping[str, Any] = {
    "floor_s": float,
    "timeout_s": float,
    "interfaces": tuple[Interface, ...],
    "connection": Connection,
    "arrivals": Arrivals,
    "watched": Watched,
    "terms": Terms,
    "services": tuple[str, ...],
    "rows": dict[str, int],
    "pieces": dict[str, int] | None,
    "jobs": bool,
    "bursts": bool,
    "times_opening": bool,
    "resumes": bool | None,
}
"""What a class says about itself -> its type."""
LONGEST_TIMEOUT_S = 600.0


def _check(path: Path, cls: type[BenchUser]) -> None:
    """Check what a class says about itself."""
    if not cls.requests and not cls.tasks:
        raise DeclarationError(path, "`requests` or @task methods", f"{cls.__name__} has neither")
    for name, hint in FIELDS.items():
        if wrong := misfit(hint, getattr(cls, name), f"`{name}`"):
            raise DeclarationError(path, f"`{name}` as docs/load.md has it", wrong)
    for holds, expected, value in (
        (cls.floor_s >= 0, "`floor_s` in seconds, at least 0", cls.floor_s),
        (0 < cls.timeout_s <= LONGEST_TIMEOUT_S, "`timeout_s` in seconds, at most ten minutes", cls.timeout_s),
        (cls.interfaces, "`interfaces` of wsgi, asgi, rsgi", cls.interfaces),
        (_can_happen(cls.watched), "`watched` whose events are inside the window, of its servers", cls.watched),
        (_is_rate(cls.rate), "`rate` in requests per second, or a function of time", cls.rate),
        (cls.beside is None or isinstance(cls.beside, Beside), "`beside` to be Beside(...)", cls.beside),
        (cls.slow is None or isinstance(cls.slow, Slow), "`slow` to be Slow(...)", cls.slow),
        (
            _spoken(cls),
            "`terms.protocols` that its slow clients, held connections or bursts speak",
            cls.terms.protocols,
        ),
        (_are_answers(cls.examples), "`examples` to map 'METHOD /path' to ((status, body), ...)", cls.examples),
    ):
        if not holds:
            raise DeclarationError(path, expected, f"it is {shown(value)}")


def _spoken(cls: type[BenchUser]) -> tuple[Protocol, ...]:
    """What a scenario can go over: what its terms say, as far as those who are there beside it speak it."""
    found = cls.terms.protocols
    for there, speak in ((cls.slow, slow.SPEAK), (cls.beside, beside.SPEAK), (cls.bursts or None, bursts.SPEAK)):
        found = found if there is None else tuple(one for one in found if one in speak)
    return found


def _can_happen(watched: Watched) -> bool:
    return all(0 <= one.at < 1 and 1 <= one.server <= watched.servers for one in watched.incidents)


def _is_rate(rate: object) -> bool:
    return rate is None or callable(rate) or (misfit(float, rate, "rate") is None and float(str(rate)) > 0)


def _are_answers(examples: object) -> bool:
    if not isinstance(examples, Mapping):
        return False
    answers = [each for those in examples.values() for each in (those if isinstance(those, tuple) else [None])]
    return all(isinstance(one, tuple) and [*map(type, one)] == [int, bytes] for one in answers)


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
        "timeout_s": declared_timeout_s(cls),
        "watched": encode(replace(cls.watched, slow=cls.slow.count if cls.slow else 0)),
        "jobs": bool(cls.jobs),
        "services": list(cls.services),
        "rows": dict(cls.rows),
        "pieces": None if cls.pieces is None else dict(cls.pieces),
        "terms": encode(
            replace(
                cls.terms,
                held=cls.beside.count if cls.beside else 0,
                arrivals=cls.arrivals,
                protocols=_spoken(cls),
                one_client=cls.terms.one_client or cls.bursts,
            ),
        ),
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
        "least_s": float(request.least_s),
    }
