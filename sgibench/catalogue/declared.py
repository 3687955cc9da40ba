"""What `SERVER` in a file of `servers/` and `FRONT` in one of `fronts/` must be, and their functions behind a guard.

Everything is checked where it comes in: types whole, ids as names without a path in them, files that stay in the
scratch folder. What a declaration's functions give is checked at each call; what they raise or give that is none
becomes a MisdeclaredError, which fails that one variant by name and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sgibench.catalogue.fitting import is_text, misfit, shown
from sgibench.errors import DeclarationError, MisdeclaredError
from sgibench.model import Expected, Front, FrontLaunch, Launch, Server, Service, Variant

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
"""Ids: they become names of folders and parts of cells, so no slash, no space, no leading dot or dash."""
OURS = frozenset({"data", "server.log"})
"""Names in the scratch folder that are the engine's."""
LONGEST_COMMAND = 65_536
"""Characters of a whole command line: what one argument of the guard's may hold on Linux, less some room."""
MOST_BACKENDS = 64
"""Servers behind one front, each a process or more of its own."""
L = TypeVar("L", Launch, FrontLaunch)
K = TypeVar("K", Server, Front, Service)


def check_name(path: Path, what: str, name: object) -> None:
    """Refuse what can't be an id; raises DeclarationError."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DeclarationError(
            path, f"{what} of at most 64 letters, digits, dots, dashes and underscores", f"it is {shown(name)}"
        )


def check_packages(path: Path, packages: object, where: str) -> None:
    """Refuse what can't be a tuple of requirements; raises DeclarationError."""
    wrong = misfit(tuple[str, ...], packages, where)
    if wrong is None and isinstance(packages, tuple):
        odd = [package for package in packages if not _is_requirement(package)]
        wrong = f"{where}: expected requirements such as 'uvicorn==0.54.0', got {shown(odd[0])}" if odd else None
    if wrong:
        raise DeclarationError(path, "PACKAGES to be a tuple of requirements", wrong)


def _is_requirement(text: str) -> bool:
    """Whether uv would take it for one, and not for an option of its own."""
    return text.isprintable() and text.strip() == text and text != "" and not text.startswith("-")


def of_kind(path: Path, declared: object, kind: type[K]) -> K:
    """Refuse what is none of a kind, with every field of its type; raises DeclarationError."""
    name = kind.__name__
    if not isinstance(declared, kind):
        came = "there is none" if declared is None else f"it is a {type(declared).__name__}"
        raise DeclarationError(path, f"{name.upper()} = {name}(...) at the top level", came)
    if wrong := misfit(kind, declared, name.upper()):
        raise DeclarationError(path, f"a {name} of the declared types", wrong)
    return declared


def check_server(path: Path, declared: object) -> Server:
    """Refuse what is no whole Server; raises DeclarationError."""
    found = of_kind(path, declared, Server)
    if not found.variants:
        raise DeclarationError(path, "at least one Variant", "variants is empty")
    for variant in found.variants:
        _check_variant(path, variant)
    return found


def _check_variant(path: Path, variant: Variant) -> None:
    check_name(path, "a variant's id", variant.id)
    check_packages(path, variant.packages, f"{variant.id}.packages")
    for name in variant.files:
        if not is_plain(name):
            raise DeclarationError(path, PLAIN_FILES, f"{variant.id} has {shown(name)}")
    if variant.script is not None and variant.script not in variant.files:
        raise DeclarationError(path, "script to be one of its files", f"{variant.id} has {shown(variant.script)}")


PLAIN_FILES = f"files of plain names other than {' and '.join(sorted(OURS))}"


def is_plain(name: object) -> bool:
    """Whether a file of that name stays in the scratch folder and is nobody else's."""
    return isinstance(name, str) and bool(NAME.fullmatch(name)) and name not in {*OURS, ".", ".."}


def check_front(path: Path, declared: object) -> Front:
    """Refuse what is no whole Front; raises DeclarationError."""
    found = of_kind(path, declared, Front)
    if not found.variants:
        raise DeclarationError(path, "at least one FrontVariant", "variants is empty")
    single = {variant.id for variant in found.variants if variant.backends == 1}
    for variant in found.variants:
        check_name(path, "a variant's id", variant.id)
        if not 1 <= variant.backends <= MOST_BACKENDS:
            expected = f"1 to {MOST_BACKENDS} servers behind it"
            raise DeclarationError(path, expected, f"{variant.id} has {shown(variant.backends)}")
        if variant.one is not None and variant.one not in single:
            expected = "`one` to be a variant before one server"
            raise DeclarationError(path, expected, f"{variant.id} has {shown(variant.one)}")
        if variant.backends == 1 and (variant.one or variant.balance):
            expected = "`one` and `balance` of what stands before several servers alone"
            raise DeclarationError(path, expected, f"{variant.id} has them")
    return found


def guarded_files(path: Path, files: Callable[[FrontLaunch], Any]) -> Callable[[FrontLaunch], dict[str, str]]:
    """Make `files` give texts under plain names or raise MisdeclaredError."""

    def whole(launch: FrontLaunch) -> dict[str, str]:
        found = _call(path, "files", files, launch)
        if wrong := misfit(dict[str, str], found, "files(launch)"):
            raise MisdeclaredError(path, wrong)
        if odd := [name for name in found if not is_plain(name)]:
            raise _misdeclared(path, "files", PLAIN_FILES, odd[0])
        return dict(found)

    return whole


def guarded_command(path: Path, command: Callable[[L], Any]) -> Callable[[L], list[str]]:
    """Make `command` give a whole command line or raise MisdeclaredError."""

    def whole(launch: L) -> list[str]:
        argv = _call(path, "command", command, launch)
        if not isinstance(argv, (list, tuple)) or not argv:
            raise _misdeclared(path, "command", "a list of texts that is not empty", argv)
        for place, word in enumerate(argv):
            if not is_text(word) or (place == 0 and not word):
                raise _misdeclared(path, "command", f"text at place {place} of its list", word)
        if sum(map(len, argv)) > LONGEST_COMMAND:
            raise _misdeclared(path, "command", f"at most {LONGEST_COMMAND:,} characters", argv)
        return [str(word) for word in argv]

    return whole


def guarded_expect(path: Path, expect: Callable[[L], Any] | None) -> Callable[[L], Expected] | None:
    """Make `expect` give a whole Expected or raise MisdeclaredError; None stays None."""
    if expect is None:
        return None

    def whole(launch: L) -> Expected:
        return _whole_expected(path, _call(path, "expect", expect, launch))

    return whole


def _whole_expected(path: Path, expected: object) -> Expected:
    """Refuse what is no whole Expected; raises MisdeclaredError."""
    wrong = misfit(Expected, expected, "expect(launch)")
    if wrong or not isinstance(expected, Expected):
        raise MisdeclaredError(path, wrong or "expect(launch): expected an Expected")
    numbers = (expected.connections, expected.kept_alive, expected.backlog, expected.processes)
    for number in (*numbers, *(expected.threads or ())):
        if number is not None and number < 0:
            raise _misdeclared(path, "expect", "no number below 0", number)
    return expected


def _call(path: Path, name: str, function: Callable[[L], Any], launch: L) -> Any:
    try:
        return function(launch)
    except (Exception, SystemExit) as error:
        raise MisdeclaredError(path, f"{name}(launch) raised {type(error).__name__}: {error}") from error


def _misdeclared(path: Path, name: str, expected: str, came: object) -> MisdeclaredError:
    return MisdeclaredError(path, f"{name}(launch): expected {expected}, got {shown(came)}")
