"""Files to declarations: what stands in `apps/`, `servers/`, `fronts/`, `services/` and `scenarios/` is what there is.

There is no registry and no central list. Declarations are loaded by path under a private module name, so that a file
`servers/uvicorn.py` never shadows the real uvicorn; apps are only read, never imported, because their packages live in
other environments. A bad file stops the command with its path and what was expected.
"""

from __future__ import annotations

import ast
import difflib
import fnmatch
import importlib.util
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, get_args

from sgibench.catalogue.declared import (
    NAME,
    check_front,
    check_name,
    check_packages,
    check_server,
    guarded_command,
    guarded_expect,
    guarded_files,
)
from sgibench.catalogue.fitting import misfit
from sgibench.catalogue.fronted import behind_its_own
from sgibench.catalogue.services import (
    app_named,
    check_declared,
    check_only_with,
    check_service,
    select_on_services,
)
from sgibench.errors import DeclarationError, UsageError
from sgibench.model import App, FrontEntry, Interface, ServerEntry, ServiceEntry
from sgibench.model.catalogue import WITH

FOLDERS = ("apps", "servers", "fronts", "services", "scenarios")
"""What a catalogue consists of; a user's own may have some of them."""


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All declarations; scenarios stay paths until the load process describes them."""

    servers: tuple[ServerEntry, ...]
    apps: tuple[App, ...]
    scenario_paths: tuple[Path, ...]
    roots: tuple[Path, ...]
    fronts: tuple[FrontEntry, ...] = ()
    services: tuple[ServiceEntry, ...] = ()

    def server(self, server_id: str) -> ServerEntry:
        """The server of that id."""
        return next(entry for entry in self.servers if entry.id == server_id)

    def app(self, app_id: str) -> App:
        """The app of that id; with `+SERVICE` behind its name, the one that uses it."""
        return app_named(self.apps, app_id)

    def service(self, service_id: str) -> ServiceEntry:
        """The service of that id."""
        return next(entry for entry in self.services if entry.id == service_id)

    @property
    def contract(self) -> Path:
        """The file in which the apps' behaviour is written down."""
        return self.roots[0] / "apps" / "contract.py"


ONLY_NAMED = ("wire",)
"""Folders of scenarios that `*` leaves out: each asks one question, and takes a pattern with some of its name in it."""


class Named(Protocol):
    """Anything of the catalogue that has an id."""

    @property
    def id(self) -> str:
        """Its name on the command line."""


N = TypeVar("N", bound=Named)


def home() -> Path:
    """Folder that holds the catalogue: the checkout, or the copy inside an installed package."""
    package = Path(__file__).parent.parent
    inside = package / "_catalogue"
    return inside if inside.is_dir() else package.parent


def load(extra: Sequence[Path] = ()) -> Catalogue:
    """Read the catalogue, then the user's own folders; a later declaration of the same id is an error."""
    roots = (home(), *(root.resolve() for root in extra))
    for root in roots:
        if not any((root / name).is_dir() for name in FOLDERS):
            folders = f"{', '.join(f'{name}/' for name in FOLDERS[:-1])} or {FOLDERS[-1]}/"
            raise UsageError(f"--catalogue {root}: expected a folder with {folders} in it")
    fronts = [entry for root in roots for path in _files(root / "fronts") for entry in _fronts_of(path)]
    declared = [entry for root in roots for path in _files(root / "servers") for entry in _servers_of(path)]
    servers = [behind_its_own(entry, fronts) for entry in declared]
    apps = [app for root in roots for path in _files(root / "apps") if (app := _app_of(path)) is not None]
    rooms = [root / "scenarios" / room for root in roots for room in ("", *ONLY_NAMED)]
    scenarios = [path for room in rooms for path in _files(room)]
    services = [_service_of(path) for root in roots for path in _files(root / "services")]
    _refuse_twins((entry.id, entry.path) for entry in services)
    _refuse_twins((entry.id, entry.path) for entry in servers)
    _refuse_twins((entry.id, entry.path) for entry in fronts)
    _refuse_twins((app.id, app.folder / f"{app.id}.py") for app in apps)
    _refuse_twins((path.stem, path) for path in scenarios)
    for path in scenarios:
        check_name(path, "a file's name", path.stem)
    return Catalogue(
        servers=tuple(sorted(servers, key=lambda entry: entry.id)),
        apps=tuple(sorted(apps, key=lambda app: app.id)),
        scenario_paths=tuple(sorted(scenarios, key=lambda path: path.stem)),
        roots=roots,
        fronts=tuple(sorted(fronts, key=lambda entry: entry.id)),
        services=tuple(sorted(services, key=lambda entry: entry.id)),
    )


def select_apps(apps: Sequence[App], patterns: Sequence[str]) -> list[App]:
    """Those whose id is named by `patterns`; `NAME+SERVICE` means the app on that service, which `*` does not.

    Raises UsageError with the nearest names when a pattern matches nothing.
    """
    plain = [pattern for pattern in patterns if WITH not in pattern]
    # What only makes sense on a service is meant by its name, or by a glob that names the service.
    found = [
        app.on(*app.only_with)
        for app in select("app", apps, plain)
        if not app.only_with or any(app.id == pattern for pattern in plain)
    ]
    for pattern in patterns:
        if WITH in pattern:
            found += select_on_services(apps, pattern) or select("app", apps, [pattern])
    return list({app.id: app for app in found}.values())


def select(kind: str, available: Sequence[N], patterns: Sequence[str]) -> list[N]:
    """Those whose id is named by `patterns` (names or globs), in the order of the catalogue.

    What is declared optional is left out of `*`: it takes a pattern with something of its name in it. Raises
    UsageError with the nearest names when a pattern matches nothing.
    """
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(item.id, pattern) for item in available):
            raise UsageError(f"unknown {kind} {pattern!r}: {nearest(pattern, [item.id for item in available])}")
    return [item for item in available if any(_meant(item, pattern) for pattern in patterns)]


def _meant(item: Named, pattern: str) -> bool:
    optional = isinstance(item, ServerEntry) and item.variant.optional is not None
    left_out = optional or getattr(item, "only_named", False)
    return fnmatch.fnmatchcase(item.id, pattern) and not (left_out and means_all(pattern))


def means_all(pattern: str) -> bool:
    """Whether a pattern asks for everything, which leaves out what is optional."""
    return not pattern.strip("*")


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known names come closest to `name`."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or [n for n in names if name in n][:3]
    return f"did you mean {', '.join(close)}?" if close else f"there are {', '.join(names) or 'none'}"


def _files(folder: Path) -> list[Path]:
    """Declarations of a folder; hidden files are an editor's or the system's, names with an underscore are helpers."""
    found = sorted(path for path in folder.glob("*.py") if not path.name.startswith((".", "_")))
    for path in found:
        if not path.is_file():
            is_link = path.is_symlink() and not path.exists()
            came = "is a link to nothing" if is_link else "is a folder" if path.is_dir() else "is none"
            raise DeclarationError(path, "a file", f"it {came}")
    return found


def _refuse_twins(found: Iterable[tuple[str, Path]]) -> None:
    seen: dict[str, Path] = {}
    for name, path in found:
        if name in seen:
            raise DeclarationError(path, "an id of its own", f"{name!r} is declared in {seen[name]} already")
        seen[name] = path


def _servers_of(path: Path) -> list[ServerEntry]:
    check_name(path, "a file's name", path.stem)
    declared = check_server(path, getattr(_import_privately(path), "SERVER", None))
    command, expect = guarded_command(path, declared.command), guarded_expect(path, declared.expect)
    return [
        ServerEntry(
            variant=variant,
            family=path.stem,
            path=path,
            command=command,
            homepage=declared.homepage,
            notes=(*declared.notes, *variant.notes),
            expect=expect,
            verified=declared.verified,
        )
        for variant in declared.variants
    ]


def _fronts_of(path: Path) -> list[FrontEntry]:
    check_name(path, "a file's name", path.stem)
    declared = check_front(path, getattr(_import_privately(path), "FRONT", None))
    files, command = guarded_files(path, declared.files), guarded_command(path, declared.command)
    expect = guarded_expect(path, declared.expect)
    return [
        FrontEntry(
            variant=variant,
            family=path.stem,
            path=path,
            need=declared.need,
            files=files,
            command=command,
            homepage=declared.homepage,
            notes=(*declared.notes, *variant.notes),
            expect=expect,
            lacks=declared.lacks,
            verified=declared.verified,
        )
        for variant in declared.variants
    ]


def _service_of(path: Path) -> ServiceEntry:
    check_name(path, "a file's name", path.stem)
    return check_service(path, getattr(_import_privately(path), "SERVICE", None))


def _import_privately(path: Path) -> Any:
    name = f"_sgibench_catalogue_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise DeclarationError(path, "a Python file", "it can't be loaded as one")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        where = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        raise DeclarationError(
            path, "a declaration that can be imported", f"{type(error).__name__}: {error}{where}"
        ) from error
    return module


def _app_of(path: Path) -> App | None:
    """Read an app's literals; None for a file of `apps/` that isn't an app (the contract)."""
    tree = _parsed(path)
    literals = _literals(path, tree)
    if "INTERFACE" not in literals:
        return None
    check_name(path, "a file's name", path.stem)
    interface, target = literals["INTERFACE"], literals.get("TARGET", "app")
    if wrong := misfit(Interface, interface, "INTERFACE"):
        raise DeclarationError(path, f"INTERFACE to be {' or '.join(get_args(Interface))}", wrong)
    if not isinstance(target, str) or not all(part.isidentifier() for part in (path.stem, *target.split("."))):
        raise DeclarationError(path, "TARGET and the file's name to be importable", f"they are {path.stem}:{target}")
    check_packages(path, packages := literals.get("PACKAGES", ()), "PACKAGES")
    return App(
        id=path.stem,
        interface=interface,
        target=f"{path.stem}:{target}",
        folder=path.parent.resolve(),
        packages=packages,
        summary=_first_line(tree),
        lacks=_lacks(path, literals.get("LACKS", {})),
        workers=_workers(path, literals.get("WORKERS", {})),
        services=(services := check_declared(path, literals.get("SERVICES", {}))),
        only_with=check_only_with(path, literals.get("ONLY_WITH", ()), services),
    )


DECLARED = {"INTERFACE", "LACKS", "ONLY_WITH", "PACKAGES", "SERVICES", "TARGET", "WORKERS"}
"""What an app may declare."""


def _workers(path: Path, said: object) -> dict[str, str]:
    """Check what an app says of its worker processes."""
    if wrong := misfit(dict[str, str], said, "WORKERS"):
        raise DeclarationError(path, "WORKERS to map services to command lines", wrong)
    workers = said if isinstance(said, dict) else {}
    for service, command in workers.items():
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise DeclarationError(path, f"WORKERS[{service!r}] to be a command line", f"{error}") from None
        if not words or not NAME.fullmatch(words[0]):
            came = f"it is {command!r}"
            raise DeclarationError(path, f"WORKERS[{service!r}] to begin with a program of the app's packages", came)
    return workers


def _lacks(path: Path, said: object) -> dict[str, str]:
    """Check what an app says that it can't answer."""
    if wrong := misfit(dict[str, str], said, "LACKS"):
        raise DeclarationError(path, "LACKS to map patterns of findings to reasons", wrong)
    return said if isinstance(said, dict) else {}


def _literals(path: Path, tree: ast.Module) -> dict[str, Any]:
    """The top-level constants that the catalogue reads from an app."""
    found: dict[str, Any] = {}
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        names = [t.id for t in targets if isinstance(t, ast.Name) and t.id in DECLARED]
        if not names or not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        try:
            found[names[0]] = ast.literal_eval(node.value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise DeclarationError(path, f"{names[0]} to be a literal", f"it is {ast.unparse(node.value)}") from None
    return found


def summary_of(path: Path) -> str:
    """Read the first line of a scenario's docstring, without running it."""
    return _first_line(_parsed(path))


def _first_line(tree: ast.Module) -> str:
    line = (ast.get_docstring(tree) or "").partition("\n")[0]
    return line.encode("utf-8", "replace").decode()


def _parsed(path: Path) -> ast.Module:
    """Parse a file; whatever the parser thinks of it is one line."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeclarationError(path, "a file that can be read", f"{error.strerror}") from None
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise DeclarationError(path, "a Python file", f"{error or type(error).__name__}") from None
