"""What the user writes for an app: `module:attribute`, `module:factory("dev", debug=False)`, `file.py:app` (pure).

The right side is an expression of names, attributes and calls with literals; it is read, never evaluated here. Out of
it comes the text of a little module that every server can import, whatever the app is called and where it lies.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from sgibench.errors import UsageError

MODULE = "sgibench_own_app"
"""Name of the little module."""
TARGET = f"{MODULE}:app"
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """An app as it was named."""

    text: str
    module: str
    """Dotted name; for a file whose name is no identifier, the file's stem."""
    file: Path | None
    """The file when it has to be loaded by its path."""
    paths: tuple[Path, ...]
    """Folders to import from."""
    expression: str
    """What is done with the module: `_module.create_app(debug=False)`."""
    attribute: str
    """The first name after the colon."""
    called: bool
    """Whether anything is called."""

    @property
    def id(self) -> str:
        """Short name for tables: `shop.wsgi:application`."""
        return f"{self.module}:{self.attribute}"

    def source(self, *, twice: bool = False) -> str:
        """Give the text of the little module; `twice` for an app of ASGI 2, which is called twice."""
        lines = [f'"""Made by sgibench to serve {self.text!r}."""'.replace("\\", "/"), ""]
        if self.file is None:
            lines += ["import importlib", "", f"_module = importlib.import_module({self.module!r})"]
        else:
            lines += [
                "import importlib.util",
                "import sys",
                "",
                f"_spec = importlib.util.spec_from_file_location({self.module!r}, {str(self.file)!r})",
                "_module = importlib.util.module_from_spec(_spec)",
                f"sys.modules[{self.module!r}] = _module",
                "_spec.loader.exec_module(_module)",
            ]
        if not twice:
            return "\n".join([*lines, f"app = {self.expression}", ""])
        served = ["", "", "async def app(scope, receive, send):", "    await _app(scope)(receive, send)"]
        return "\n".join([*lines, f"_app = {self.expression}", *served, ""])


def is_own(name: str) -> bool:
    """Whether a word names an app of the user's and not one of the catalogue."""
    return ":" in name


def read_spec(text: str, project: Path) -> Spec:
    """Read what the user wrote; raises UsageError with what was expected."""
    place, _, right = _halves(text)
    expression, attribute, called = _expression(text, right)
    if place.endswith(".py") or "/" in place:
        return _of_file(text, place, project, expression, attribute, called=called)
    if not _DOTTED.fullmatch(place):
        raise UsageError(f"--app {text}: expected a module such as shop.wsgi before the colon, got {place!r}")
    source = project / "src"
    return Spec(
        text=text,
        module=place,
        file=None,
        paths=(project, source) if source.is_dir() else (project,),
        expression=expression,
        attribute=attribute,
        called=called,
    )


def _halves(text: str) -> tuple[str, str, str]:
    place, colon, right = text.partition(":")
    if not place or not right:
        raise UsageError(f"--app {text}: expected module:attribute, module:factory() or path/to/file.py:attribute")
    return place, colon, right


def _of_file(text: str, place: str, project: Path, expression: str, attribute: str, *, called: bool) -> Spec:
    """Find the file, and the folder from which Python would import it."""
    file = next((each for each in (project / place, Path(place)) if each.is_file()), None)
    if file is None or file.suffix != ".py":
        raise UsageError(f"--app {text}: expected a Python file, but there is none at {project / place}")
    file = file.resolve()
    parts, root = ([] if file.stem == "__init__" else [file.stem]), file.parent
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    importable = all(part.isidentifier() for part in parts)
    return Spec(
        text=text,
        module=".".join(parts) if importable else file.stem,
        file=None if importable else file,
        paths=tuple(dict.fromkeys((root, project))),
        expression=expression,
        attribute=attribute,
        called=called,
    )


def _expression(text: str, right: str) -> tuple[str, str, bool]:
    """Read what stands after the colon: the expression with `_module` before it, its first name, whether it calls."""
    try:
        tree = ast.parse(right.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(f"--app {text}: expected a name or a call after the colon, got {right!r}") from None
    root, called = tree, False
    while not isinstance(root, ast.Name):
        if isinstance(root, ast.Attribute):
            root = root.value
        elif isinstance(root, ast.Call):
            _refuse_odd_arguments(text, root)
            root, called = root.func, True
        else:
            raise UsageError(f"--app {text}: expected names and calls after the colon, got {ast.unparse(root)!r}")
    first = root.id
    root.id = f"_module.{first}"
    return ast.unparse(tree), first, called


def _refuse_odd_arguments(text: str, call: ast.Call) -> None:
    """Let only literals pass: lists and dicts of them, too."""
    if any(keyword.arg is None for keyword in call.keywords):
        raise UsageError(f"--app {text}: expected named arguments, got ** in the call")
    for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
        try:
            ast.literal_eval(argument)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            told = ast.unparse(argument)
            raise UsageError(f"--app {text}: expected literals in the call, got {told!r}") from None
