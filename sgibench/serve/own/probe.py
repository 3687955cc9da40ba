"""Looks at an app inside its own environment: can it be imported, what is it, what does it make of lifespan.

A plain script for Python 3.9 or newer that imports nothing but the standard library and the app. It reads its order
from a file, writes one JSON object beside it, and then waits to be killed, so that a second one can see whether the
app lives beside a copy of itself. What the app prints goes to its log.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import os
import sys
import time
import traceback
import types
from pathlib import Path
from typing import Any

LIFESPAN_S = 30.0
TAIL_LINES = 6
MOST_ROUTES, MOST_DEPTH = 30, 5
MOST_CAUSES = 20
LOOPS: list[Any] = []
WSGI_NAMES = {"environ", "env", "environment", "wsgi_environ"}
ASGI_NAMES = {"scope"}
WSGI_PLACES = 2
ASGI_PLACES = 3
HOLDING = ("server", "app", "application", "asgi_app", "wsgi_app", "asgi", "wsgi")
FOREIGN = {
    "aiohttp.web_app.Application": "it is an aiohttp application, which only aiohttp's own server runs",
    "tornado.web.Application": "it is a Tornado application: wrap it, or run it on Tornado's own server",
    "robyn.Robyn": "it is a Robyn application, which only Robyn's own server runs",
}


def main() -> None:
    """Carry out the order in the file that the first argument names."""
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    answer = Path(sys.argv[2])  # an app may change the words of the command line, and the folder
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [entry for entry in sys.path if entry != here]
    told = look(order, answer.with_suffix(".imported"))
    beside = answer.with_suffix(".new")
    beside.write_text(json.dumps(told), encoding="utf-8")
    beside.replace(answer)
    while True:
        time.sleep(3600)


def look(order: dict[str, Any], imported: Path) -> dict[str, Any]:
    """Import the app and say what it is, or what went wrong; a file says when it is imported."""
    began_s = time.monotonic()
    module = types.ModuleType(order["name"])
    module.__file__ = order["name"] + ".py"
    sys.modules[order["name"]] = module
    try:
        exec(compile(order["source"], module.__file__, "exec"), module.__dict__)  # noqa: S102 - this is its work
        app = module.__dict__["app"]
    except BaseException as error:  # noqa: BLE001 - whatever it is, the user must hear of it
        return failure(order, module, error)
    took_s = time.monotonic() - began_s
    imported.touch()
    told = {"import_s": took_s, "kind": kind_of(app), "routes": routes_of(app), **interface_of(app, order)}
    if told.get("interface") == "asgi":
        serve = twice(app) if told.get("twice") else app
        # The loop is kept, and what was started in it: a copy beside this one must be able to start, too.
        LOOPS.append(asyncio.new_event_loop())
        told.update(LOOPS[0].run_until_complete(lifespan_of(serve)))
    return told


def failure(order: dict[str, Any], module: types.ModuleType, error: BaseException) -> dict[str, Any]:
    """Say why there is no app: its module, the attribute, or what was called."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename not in {__file__, module.__file__} and "importlib" not in frame.filename and frame.line
    ]
    loaded = module.__dict__.get("_module")
    what = "import" if loaded is None else "call" if frames else "attribute"
    told = {
        "problem": what,
        "error": "".join(traceback.format_exception_only(type(error), error)).strip(),
        "cause": root_of(error),
        "type": type(error).__name__,
        "tail": [f"{frame.filename} line {frame.lineno}: {frame.line}" for frame in frames[-TAIL_LINES:]],
        "errno": getattr(error, "errno", None),
        "missing": getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None,
    }
    if loaded is not None:
        told["candidates"] = candidates(loaded, order)
    return told


def root_of(error: BaseException) -> str:
    """Give the exception that began it, when what was raised in the end is another one; empty otherwise."""
    root = error
    for _ in range(MOST_CAUSES):
        before = root.__cause__ or (None if root.__suppress_context__ else root.__context__)
        if before is None:
            break
        root = before
    return "" if root is error else "".join(traceback.format_exception_only(type(root), root)).strip()


def candidates(module: types.ModuleType, order: dict[str, Any]) -> list[str]:
    """Name what else in the module looks like an app or a factory."""
    found = []
    for name, value in list(vars(module).items()):
        if name.startswith("_") or inspect.ismodule(value):
            continue
        if inspect.isfunction(value) and name in {
            "create_app",
            "make_app",
            "get_app",
            "build_app",
            "create_application",
        }:
            found.append(name + "()")
        elif not inspect.isclass(value) and callable(value) and "interface" in interface_of(value, order):
            found.append(name)
    return found[:5]


def kind_of(app: Any) -> str:
    """Say in a word or two what it is."""
    if isinstance(app, functools.partial):
        return "a partial"
    if inspect.isclass(app):
        return "the class " + app.__name__
    if inspect.isfunction(app) or inspect.ismethod(app) or inspect.isbuiltin(app):
        return "a function"
    return type(app).__name__


def interface_of(app: Any, order: dict[str, Any]) -> dict[str, Any]:
    """Find the interface by the shape of the call; {"problem": ...} when it is no app."""
    full = f"{type(app).__module__}.{type(app).__qualname__}"
    if full in FOREIGN:
        return {"problem": "no-app", "error": FOREIGN[full]}
    if inspect.iscoroutine(app):
        app.close()
        return {"problem": "no-app", "error": "the factory is a coroutine function, and servers don't await it"}
    if not callable(app):
        return {"problem": "no-app", "error": f"it is {described(app)} and can't be called", "held": held_in(app)}
    forced = order.get("interface")
    shape = shape_of(app)
    if shape == "twice" and forced in {None, "asgi"}:
        return {"interface": "asgi", "twice": True}
    if forced:
        return {"interface": forced}
    if shape in {"wsgi", "asgi"}:
        return {"interface": shape}
    if shape == "factory":
        call = "a class: its instances may be apps" if inspect.isclass(app) else "a function that takes no request"
        return {"problem": "factory", "error": f"it is {call}"}
    return {
        "problem": "unclear",
        "error": f"{kind_of(app)} takes neither (environ, start_response) nor (scope, receive, send)",
    }


def routes_of(app: Any) -> list[str]:
    """Name the paths without parameters that can be asked with GET, where an app keeps them as frameworks do."""
    found: list[str] = []
    try:
        if hasattr(app, "url_map"):  # Flask, Quart
            found += [rule.rule for rule in app.url_map.iter_rules() if "GET" in rule.methods]
        else:
            found += nested(app, "", MOST_DEPTH)
    except Exception:  # noqa: BLE001 - what is not as expected says nothing
        return []
    return [path for path in dict.fromkeys(found) if not set(path) & set("<{:*^(")][:MOST_ROUTES]


def nested(app: Any, prefix: str, depth: int) -> list[str]:
    """Do so for Starlette, FastAPI, Litestar and Bottle, whose routes may hold routes."""
    found: list[str] = []
    for route in getattr(app, "routes", None) or () if depth else ():
        path = prefix + str(getattr(route, "path", getattr(route, "rule", "")))
        methods = getattr(route, "methods", None) or {getattr(route, "method", "")}
        if getattr(route, "routes", None):
            found += nested(route, path, depth - 1)
        elif "GET" in methods and getattr(route, "include_in_schema", True):
            found.append(path or "/")
    return found


def held_in(value: Any) -> list[str]:
    """Name the attributes under which an object keeps an app, as Dash does."""
    held = [(name, getattr(value, name, None)) for name in HOLDING]
    return [name for name, one in held if callable(one) and shape_of(one) in {"wsgi", "asgi", "twice"}]


def described(value: Any) -> str:
    """An object in a few words."""
    kind = type(value).__name__
    return ("an " if kind[:1].lower() in "aeiou" else "a ") + kind


def shape_of(app: Any) -> str:
    """Give `wsgi`, `asgi`, `twice` (ASGI 2), `factory` or `unclear`, by the parameters of the call."""
    called = (
        app if inspect.isclass(app) or inspect.isroutine(app) or isinstance(app, functools.partial) else app.__call__
    )
    try:
        parameters = list(inspect.signature(called).parameters.values())
    except (TypeError, ValueError):
        return "asgi" if is_coroutine(called) else "unclear"
    places = [each for each in parameters if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}]
    needed = [each for each in places if each.default is each.empty]
    spread = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    if not inspect.isclass(app) and is_coroutine(called):
        return "asgi" if spread or len(places) >= ASGI_PLACES else "unclear"
    if spread and not places:
        return "unclear"
    return by_count([each.name for each in places], len(needed), spread=spread)


def by_count(names: list[str], needed: int, *, spread: bool) -> str:
    """Decide by how many arguments it takes, and where that leaves a choice, by what the first is called."""
    first = names[0].lstrip("_").lower() if names else ""
    if needed == ASGI_PLACES or (first in ASGI_NAMES and len(names) >= ASGI_PLACES):
        return "asgi"
    if needed == WSGI_PLACES or (first in WSGI_NAMES and len(names) >= WSGI_PLACES):
        return "wsgi"
    if needed == 1 and first in ASGI_NAMES:
        return "twice"
    if first in WSGI_NAMES and spread:
        return "wsgi"
    if first in ASGI_NAMES and spread:
        return "asgi"
    return "factory" if needed == 0 and not spread else "unclear"


def is_coroutine(called: Any) -> bool:
    """Whether a call gives a coroutine, through partials and wrappers."""
    while isinstance(called, functools.partial):
        called = called.func
    return inspect.iscoroutinefunction(inspect.unwrap(called)) or inspect.iscoroutinefunction(called)


def twice(app: Any) -> Any:
    """Make one call of ASGI 2's two."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        await app(scope)(receive, send)

    return serve


async def lifespan_of(app: Any) -> dict[str, Any]:
    """Start the app up as servers do and say what came of it; it is left running."""
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    asked: list[bool] = []

    async def receive() -> dict[str, Any]:
        if asked:
            await asyncio.Event().wait()
        asked.append(True)
        return {"type": "lifespan.startup"}

    async def send(message: dict[str, Any]) -> None:
        if not str(message.get("type", "")).startswith("lifespan."):
            raise RuntimeError(f"expected an answer to lifespan.startup, got {message}")
        await heard.put(message)

    async def live() -> None:
        await app({"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}, receive, send)

    task = asyncio.ensure_future(live())
    hearing = asyncio.ensure_future(heard.get())
    await asyncio.wait({task, hearing}, timeout=LIFESPAN_S, return_when=asyncio.FIRST_COMPLETED)
    return started(task, hearing)


def started(task: Any, hearing: Any) -> dict[str, Any]:
    """Read what came of a start-up: as the specification has it, an exception refuses the protocol."""
    if hearing.done():
        message = hearing.result()
        if message["type"] == "lifespan.startup.complete":
            return {"lifespan": "supported"}
        return {
            "lifespan": "failing",
            "lifespan_error": last_lines(str(message.get("message", "")) or "no reason given"),
        }
    if not task.done():
        return {"lifespan": "failing", "lifespan_error": f"no answer to lifespan.startup within {LIFESPAN_S:g} s"}
    error = None if task.cancelled() else task.exception()
    return {"lifespan": "refused", "lifespan_error": "" if error is None else f"{type(error).__name__}: {error}"}


def last_lines(text: str) -> str:
    """Give the end of a text on one line."""
    return " | ".join(line.strip() for line in text.strip().splitlines()[-TAIL_LINES:])


if __name__ == "__main__":
    os.environ.pop("PYTHONSTARTUP", None)
    main()
