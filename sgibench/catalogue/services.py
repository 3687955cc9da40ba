"""What `SERVICE` in a file of `services/` must be, its pure functions behind a guard, and how apps name services.

What a declaration's functions give is checked at each call; what they raise or give that is none becomes a
MisdeclaredError, which fails what needs that service and nothing else.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, TypeVar

from sgibench.catalogue.declared import LONGEST_COMMAND, NAME, check_packages, of_kind
from sgibench.catalogue.fitting import is_text, misfit, shown
from sgibench.errors import DeclarationError, MisdeclaredError, UsageError
from sgibench.model import App, Service, ServiceClient, ServiceEntry, ServiceLaunch
from sgibench.model.catalogue import WITH

L = TypeVar("L", ServiceLaunch, str)


def check_service(path: Path, declared: object) -> ServiceEntry:
    """Refuse what is no whole Service; raises DeclarationError."""
    found = of_kind(path, declared, Service)
    if not found.programs or not all(found.programs):
        raise DeclarationError(path, "at least one group of programs, none of them empty", shown(found.programs))
    for name in (name for group in found.programs for name in group):
        if not NAME.fullmatch(name):
            raise DeclarationError(path, "programs of plain names", f"there is {shown(name)}")
    if found.wheel is not None:
        check_packages(path, (found.wheel,), "wheel")
        inside = PurePath(found.inside)
        if not inside.parts or inside.is_absolute() or ".." in inside.parts:
            raise DeclarationError(
                path, "inside to be a folder of the package's environment", f"it is {shown(found.inside)}"
            )
    return ServiceEntry(id=path.stem, path=path, service=found)


def client_of(entry: ServiceEntry, launch: ServiceLaunch) -> ServiceClient:
    """Make what asks a private instance; raises MisdeclaredError."""
    return _client(entry, "client", _call(entry, "client", entry.service.client, launch))


def client_of_existing(entry: ServiceEntry, url: str) -> ServiceClient | None:
    """Make what asks an instance that exists; None where there is none for such. Raises MisdeclaredError."""
    existing = entry.service.existing
    return None if existing is None else _client(entry, "existing", _call(entry, "existing", existing, url))


def _client(entry: ServiceEntry, name: str, client: Any) -> ServiceClient:
    lacking = [method for method in METHODS if not callable(getattr(client, method, None))]
    if lacking:
        raise _misdeclared(entry, name, f"a client with {', '.join(lacking)}", client)
    checked: ServiceClient = client
    return checked


METHODS = ("version", "share", "look", "rows", "drop", "close")
"""What every client has, as `ServiceClient` says."""


def command_of(entry: ServiceEntry, launch: ServiceLaunch) -> list[str]:
    """Give the service's command line; raises MisdeclaredError."""
    return _words(entry, "command", _call(entry, "command", entry.service.command, launch))


def preparation_of(entry: ServiceEntry, launch: ServiceLaunch) -> list[list[str]]:
    """Give the commands before its first start; raises MisdeclaredError."""
    commands = _call(entry, "prepare", entry.service.prepare, launch)
    if not isinstance(commands, (list, tuple)):
        raise _misdeclared(entry, "prepare", "a list of command lines", commands)
    return [_words(entry, "prepare", command) for command in commands]


def files_of(entry: ServiceEntry, launch: ServiceLaunch) -> dict[str, str]:
    """Give its files; raises MisdeclaredError."""
    files = _call(entry, "files", entry.service.files, launch)
    if wrong := misfit(dict[str, str], files, "files(launch)"):
        raise MisdeclaredError(entry.path, wrong)
    for name in files:
        if not NAME.fullmatch(name) or name in {".", "..", launch.data.name, launch.log.name}:
            raise _misdeclared(entry, "files", "plain names of its own", name)
    return dict(files)


def _words(entry: ServiceEntry, name: str, argv: object) -> list[str]:
    if not isinstance(argv, (list, tuple)) or not argv or not all(is_text(word) and word != "" for word in argv[:1]):
        raise _misdeclared(entry, name, "a list of texts that is not empty", argv)
    for word in argv:
        if not is_text(word):
            raise _misdeclared(entry, name, "texts only", word)
    if sum(map(len, argv)) > LONGEST_COMMAND:
        raise _misdeclared(entry, name, f"at most {LONGEST_COMMAND:,} characters", argv)
    return [str(word) for word in argv]


def _call(entry: ServiceEntry, name: str, function: Callable[[L], Any], given: L) -> Any:
    try:
        return function(given)
    except (Exception, SystemExit) as error:
        raise MisdeclaredError(entry.path, f"{name}(launch) raised {type(error).__name__}: {error}") from error


def _misdeclared(entry: ServiceEntry, name: str, expected: str, came: object) -> MisdeclaredError:
    return MisdeclaredError(entry.path, f"{name}(launch): expected {expected}, got {shown(came)}")


def check_declared(path: Path, said: object) -> Mapping[str, tuple[str, ...]]:
    """Check what an app says of the services that it can use."""
    if wrong := misfit(dict[str, tuple[str, ...]], said, "SERVICES"):
        raise DeclarationError(path, "SERVICES to map services to tuples of requirements", wrong)
    services: Mapping[str, tuple[str, ...]] = said if isinstance(said, dict) else {}
    for name, packages in services.items():
        if not NAME.fullmatch(name):
            raise DeclarationError(path, "SERVICES to name services by their files' names", f"there is {shown(name)}")
        check_packages(path, packages, f"SERVICES[{name!r}]")
    return services


def check_only_with(path: Path, said: object, services: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Check what an app says of the services without which it is no app of its own."""
    if wrong := misfit(tuple[str, ...], said, "ONLY_WITH"):
        raise DeclarationError(path, "ONLY_WITH to be a tuple of services", wrong)
    named: tuple[str, ...] = said if isinstance(said, tuple) else ()
    if other := [name for name in named if name not in services]:
        raise DeclarationError(path, "ONLY_WITH to name services that SERVICES has", f"there is {shown(other[0])}")
    return named


def app_named(apps: Sequence[App], app_id: str) -> App:
    """The app of that id, on the services that stand behind its name; raises StopIteration for an unknown one."""
    base, *services = app_id.split(WITH)
    return next(app for app in apps if app.id == base).on(*services)


def select_on_services(apps: Sequence[App], pattern: str) -> list[App]:
    """Find the apps of a pattern such as `wsgi_*+postgresql`; raises UsageError.

    A glob leaves out those that declare no such service; a name does not.
    """
    base, *services = pattern.split(WITH)
    known = sorted({name for app in apps for name in app.services})
    for service in services:
        if service not in known:
            raise UsageError(
                f"--app {pattern}: no app can use {shown(service)}: there are {', '.join(known) or 'none'}"
            )
    named = [app for app in apps if fnmatch.fnmatchcase(app.id, base)]
    found = [app.on(*services) for app in named if {*services} <= {*app.services}]
    if named and not found:
        raise UsageError(f"--app {pattern}: {', '.join(app.id for app in named)} can't use {' and '.join(services)}")
    return found
