"""What stands in the catalogue: servers, apps, scenarios, and what a declaration may know and say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from sgibench.model.asked import Expectation
from sgibench.model.behaviour import Watched
from sgibench.model.expected import Expected, Need
from sgibench.model.fronts import FrontEntry
from sgibench.model.own import OwnApp
from sgibench.model.terms import (
    MULTIPLEXED,
    TLS,
    Arrivals,
    Concurrency,
    Configuration,
    Connection,
    Interface,
    Protocol,
    Speech,
    Unit,
)

WITH = "+"
"""Between an app's name and the services that it uses."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """All that a server declaration may know when it writes its command line."""

    bin: Path
    """Folder of the environment's executables, absolute."""
    launchers: Path
    """Folder `servers/launchers`, where small launcher scripts stand."""
    scratch: Path
    """An empty folder that belongs to this one server process; a declaration may name files in it."""
    host: str
    port: int
    target: str
    """The app as `module:attribute`, importable from the working directory."""
    options: Mapping[str, str]
    """The chosen variant's options, e.g. `{"loop": "uvloop"}`."""
    workers: int
    threads: int
    backlog: int
    keep_alive_s: int
    configuration: Configuration = "equal"
    """`threads`, `backlog`, `keep_alive_s` and `connections` are meant for `equal`; a declaration ignores them in the
    other two."""
    connections: int = 0
    """So many connections each worker is to serve and keep alive side by side at least, where that is an option."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> version in the environment; empty for those that the variant declares."""
    protocol: Protocol = "http"
    """What the server is asked in; one of those that the variant speaks."""
    socket: Path | None = None
    """A Unix socket to listen on instead of host and port; only for variants that say that they can."""

    @property
    def bind(self) -> str:
        """Where to listen, as `host:port` or `unix:path`."""
        return f"{self.host}:{self.port}" if self.socket is None else f"unix:{self.socket}"

    @property
    def listening(self) -> list[str]:
        """Where to listen, in the options that many servers have: `--host` and `--port`, or `--uds`."""
        return [f"--host={self.host}", f"--port={self.port}"] if self.socket is None else [f"--uds={self.socket}"]

    @property
    def tls(self) -> bool:
        """Whether `certificate` and `key` are there, and to be used."""
        return self.protocol in TLS

    @property
    def multiplexed(self) -> bool:
        """Whether it is asked over HTTP/2."""
        return self.protocol in MULTIPLEXED

    @property
    def certificate(self) -> Path:
        """The server's certificate, PEM, made for the run."""
        return self.scratch / "certificate.pem"

    @property
    def key(self) -> Path:
        """Its private key, PEM, PKCS#8, without a password."""
        return self.scratch / "key.pem"

    lifespan: bool = True
    """Whether the app speaks ASGI's lifespan protocol; those of the catalogue do."""

    @property
    def python(self) -> str:
        """The environment's interpreter."""
        return str(self.bin / "python")

    @property
    def equal(self) -> bool:
        """Whether what is held equal between servers is to be put on the command line."""
        return self.configuration == "equal"

    def backlog_or(self, usual: int) -> int:
        """The backlog that is held equal, or else what the server takes when it isn't told."""
        return self.backlog if self.equal else usual

    @property
    def processes(self) -> int:
        """How many a server has whose workers are children of one that serves nothing; a lone worker has no parent."""
        return 1 if self.workers == 1 else self.workers + 1

    def prefork(self, serve: str) -> list[str]:
        """How a command line begins for a server that can't make workers itself; options and the app come after it.

        `launchers/prefork.py` makes the socket, and a sister process for each worker, and has the launcher of this name
        serve on it.
        """
        launcher, server = self.launchers / "prefork.py", self.launchers / serve
        return [self.python, "-P", str(launcher), f"--serve={server}", *self.listening, f"--workers={self.workers}"]

    def executable(self, name: str) -> str:
        """Path of a console script of the environment."""
        return str(self.bin / name)

    def since(self, package: str, *version: int) -> bool:
        """Whether `package` is of that version or later, so that an option of that age may be used."""
        installed = self.versions.get(package)
        if installed is None:
            return True
        digits = (part for part in installed.split(".") if part.isdigit())
        return tuple(int(part) for part in digits) >= version


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What a server's own documentation says for production, and so what `recommended` means."""

    says: str
    source: str
    """Where it says so."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to run a server: what a row of the report stands for."""

    id: str
    """Names worker class, parser and loop where they matter; never "auto"."""
    interface: Interface
    concurrency: Concurrency
    packages: tuple[str, ...]
    """Exact requirements, e.g. `("uvicorn==0.54.0", "uvloop==0.22.1")`; the first is the server itself."""
    summary: str
    """One line for people."""
    options: Mapping[str, str] = field(default_factory=dict)
    keep_alive: bool = True
    """False when the server closes every connection: then it is compared only among `close` loads."""
    threads: bool = False
    """Whether the `threads` setting limits how many requests it serves at once."""
    manager: bool = False
    """Whether a master process that serves no requests stands above the workers, even when there is one worker."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Files written into the scratch folder before the start, name -> text; one that begins with `#!` is a program."""
    unix: bool = False
    """Whether it can listen on a Unix socket (`Launch.socket`)."""
    behind: Speech = "http"
    """What it is spoken to in when it stands behind a front."""
    script: str | None = None
    """Which of its files a front's CGI runs for each request; None for a server that lives longer than that."""
    front: str | None = None
    """The front that always stands before it, by id; None for a server that is asked directly."""
    speaks: tuple[Protocol, ...] = ("http",)
    """Protocols that it can be started in."""
    workers: bool = True
    """False when it is one process whatever the `workers` setting says."""
    apps: tuple[str, ...] = ()
    """Ids of the only apps that it can run; empty for every app of its interface."""
    needs: tuple[Need, ...] = ()
    """Programs and headers without which it is skipped by name."""
    optional: str | None = None
    """Why it is left out of `*` and runs only when it is named."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Parts of the contract that it is known not to hold: name of the check -> the reason."""
    lacks_behind: Mapping[str, str] = field(default_factory=dict)
    """The same behind a front, where it holds it when it is asked directly."""
    recommended: Advice | None = None
    """None when its documentation advises no more than its defaults: then `recommended` is the same as `default`."""
    notes: tuple[str, ...] = ()
    """Limits and traps of this variant alone, one sentence each."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """What `SERVER` in a file of `servers/` is: one family, its variants, and how each is launched."""

    variants: tuple[Variant, ...]
    command: Callable[[Launch], list[str]]
    homepage: str
    notes: tuple[str, ...] = ()
    """Known limits and traps of the family, one sentence each."""
    expect: Callable[[Launch], Expected] | None = None
    """What a launch should turn out to be, in any configuration; None when nothing is said."""
    verified: str = ""
    """When and where this was last seen to be so, e.g. `2026-11-22, CPython 3.11.7, Debian 12`."""


@dataclass(frozen=True, kw_only=True)
class ServerEntry:
    """A variant as found in the catalogue, with its family and file."""

    variant: Variant
    family: str
    path: Path
    command: Callable[[Launch], list[str]]
    homepage: str
    notes: tuple[str, ...]
    """The family's, then the variant's."""
    expect: Callable[[Launch], Expected] | None = None
    verified: str = ""
    python: str | None = None
    """Interpreter of its environment; None for the one that runs sgibench."""
    front: FrontEntry | None = None
    """What stands before it; None when it is asked directly."""
    behind: ServerEntry | None = None
    """The server by itself, when something stands before it."""

    @property
    def id(self) -> str:
        """The variant's id."""
        return self.variant.id

    def runs(self, app: App) -> bool:
        """Whether it can run that app."""
        only = self.variant.apps
        return app.interface == self.variant.interface and (not only or app.id.partition(WITH)[0] in only)

    def expected(self, launch: Launch) -> Expected:
        """What that launch should turn out to be."""
        return Expected() if self.expect is None else self.expect(launch)


@dataclass(frozen=True, kw_only=True)
class App:
    """One implementation of the contract, as found in `apps/`."""

    id: str
    interface: Interface
    target: str
    """`module:attribute`, importable with `folder` on the path."""
    folder: Path
    packages: tuple[str, ...]
    summary: str
    own: OwnApp | None = None
    """How it is brought to life when it is the user's own."""
    workers: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Service -> command of the worker process that does this app's jobs where it uses that service."""
    lacks: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What its framework can't answer as the contract has it: pattern of the finding -> reason, as for servers."""
    services: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """Services that it can use -> packages that it needs to speak to each."""
    only_with: tuple[str, ...] = ()
    """Services without which it is the same as another app: it is left out of globs that do not name them."""
    uses: tuple[str, ...] = ()
    """Those of them that this one uses, sorted; they stand in its id: `wsgi_plain+postgresql`."""

    def on(self, *services: str) -> App:
        """Give the app that uses these services as well; raises KeyError for one that it does not declare."""
        added = sorted({*services} - {*self.uses})
        if not added:
            return self
        uses = tuple(sorted({*self.uses, *added}))
        packages = tuple(dict.fromkeys((*self.packages, *(one for name in added for one in self.services[name]))))
        return replace(self, id=WITH.join((self.id.partition(WITH)[0], *uses)), packages=packages, uses=uses)


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and the answer it must get, as a scenario declares it."""

    name: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int
    expected_body: bytes | None
    """None when a check function decides."""
    expectation: Expectation | None = None
    """What was learned of the answer, for requests of the user's own."""
    weight: int = 1
    """How often it is asked, in proportion to the scenario's others."""
    gives: tuple[str, ...] = ()
    """Fields of its JSON answer that later exchanges have blanks for: `{id}` (`sgibench.answers.giving`)."""
    least_s: float = 0.0
    """No right answer can take less."""

    @property
    def kind(self) -> str:
        """What its answers are counted under: its method, once, before its name."""
        return self.name if self.name.startswith(f"{self.method} ") else f"{self.method} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Under which conditions a scenario is measured, where it leaves no choice."""

    unit: Unit = "request"
    """What is counted: figures are so many of them per second, and CPU for each."""
    family: str = ""
    """What scenarios have in common that ask the same in other ways, so that a report sets them side by side."""
    connections: int | None = None
    """So many, whatever is asked for; None for what is asked for."""
    connection: Connection | None = None
    """How long a connection lasts; None for what is asked for."""
    streams: int | None = None
    """So many requests at once on each connection, where several can share one; None for what is asked for."""
    held: int = 0
    """Connections that are held open beside those that are measured."""
    arrivals: Arrivals = "uniform"
    """How requests come at a fixed rate; what the class says in `arrivals`."""
    at_rate: bool = True
    """Whether it is measured at a fixed rate, too."""
    calibrated: bool = True
    """Whether a server that only sends prepared bytes can answer it, to find the generator's ceiling with."""
    peak: bool = False
    """Whether it is asked how much memory the server takes at most."""
    one_worker: bool = False
    """Whether a second worker would change what is asked: a broadcast reaches the sockets of one process."""
    one_client: bool = False
    """Whether it comes from one load process at one moment: a broadcast, a burst."""
    protocols: tuple[Protocol, ...] = get_args(Protocol)
    """What it can go over; WebSocket has connections of its own, and only over HTTP/1.1 in clear text."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is asked of an app, as the load process describes it."""

    id: str
    summary: str
    path: Path
    exchanges: tuple[Exchange, ...]
    """Declared requests; empty for a scenario of `@task` methods."""
    floor_s: float
    """No right answer can take less than this; 0 when nothing is declared."""
    interfaces: tuple[Interface, ...]
    """Interfaces that can serve it."""
    timeout_s: float | None = None
    """The time-out that it declares; None for one that fits the window."""
    watched: Watched = field(default_factory=Watched)
    """What is done and looked at in its window."""
    jobs: bool = False
    """Whether its requests hand in jobs."""
    services: tuple[str, ...] = ()
    """Services that the app has to use for it."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """By how many a right answer to `METHOD name` changes the number of items."""
    pieces: Mapping[str, int] | None = None
    """By how much it changes the sum of their quantities; None when that is not counted."""
    terms: Terms = Terms()
    """What it leaves no choice about."""
