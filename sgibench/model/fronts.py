"""What stands before servers: the nouns of fronts, such as nginx and HAProxy.

A front is declared like a server: data, and pure functions from a launch to the text of its configuration and to its
command line. Any server stands behind any front by name, `nginx+gunicorn-gthread`; no file knows both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sgibench.model.expected import Expected, Need
from sgibench.model.terms import TLS, Configuration, Link, Protocol, Speech


@dataclass(frozen=True, kw_only=True)
class FrontLaunch:
    """All that a front's declaration may know when it writes its configuration and its command line."""

    program: str
    """Path of the program."""
    scratch: Path
    """An empty folder that belongs to this one front; its configuration is written there."""
    host: str
    port: int
    """Where clients ask."""
    backends: tuple[str, ...]
    """Where the servers behind it listen: `host:port`, or the path of a Unix socket."""
    link: Link
    speech: Speech
    reuse: bool
    """Whether its connections to them are kept alive."""
    limit: int | None
    """So many connections each of them serves side by side; None for no limit."""
    options: Mapping[str, str]
    """The chosen variant's options, e.g. `{"compress": "front"}`."""
    balance: str | None
    """How requests are spread over several servers, as the chosen variant says it."""
    workers: int
    """As many as each server behind it has."""
    backlog: int
    keep_alive_s: int
    configuration: Configuration
    protocol: Protocol
    """What clients ask in."""
    static: Path
    """Folder of the files that the apps serve under `/static/`."""
    script: Path | None
    """What CGI runs for each request; None without CGI."""
    user: str | None
    """The user's name when that is root, whose workers would else run as somebody who may read nothing here."""

    @property
    def equal(self) -> bool:
        """Whether what is held equal between servers is to be put into the configuration."""
        return self.configuration == "equal"

    @property
    def tls(self) -> bool:
        """Whether `certificate` and `key` are there, and to be used."""
        return self.protocol in TLS

    @property
    def certificate(self) -> Path:
        """The certificate, PEM, made for the run."""
        return self.scratch / "certificate.pem"

    @property
    def key(self) -> Path:
        """Its private key, PEM, without a password; named so that HAProxy finds it beside the certificate."""
        return self.scratch / "certificate.pem.key"


@dataclass(frozen=True, kw_only=True)
class FrontVariant:
    """One way to set a front up; its id stands before the `+`."""

    id: str
    summary: str
    """One line for people."""
    options: Mapping[str, str] = field(default_factory=dict)
    link: Link = "tcp"
    speech: Speech = "http"
    backends: int = 1
    """How many servers of the same kind stand behind it."""
    one: str | None = None
    """Of several, the id of the variant that is the same before a single one; None when there is none."""
    balance: str | None = None
    """Of several, how requests are spread over them, as a person says it: `least connections`."""
    speaks: tuple[Protocol, ...] = ("http",)
    """Protocols that clients can ask it in."""
    alone: bool = False
    """Whether it only stands before servers that name it."""
    passing: tuple[str, ...] = ()
    """What stands in the command lines of processes of its that are no loss when they end, because they do by
    themselves, e.g. `cache loader`."""
    notes: tuple[str, ...] = ()
    """Limits and traps of this variant alone, one sentence each."""


@dataclass(frozen=True, kw_only=True)
class Front:
    """What `FRONT` in a file of `fronts/` is: one program, its variants, and how each is launched."""

    need: Need
    """The program, and the command that adds it."""
    variants: tuple[FrontVariant, ...]
    files: Callable[[FrontLaunch], dict[str, str]]
    """Its configuration: name of a file in the scratch folder -> text."""
    command: Callable[[FrontLaunch], list[str]]
    homepage: str
    expect: Callable[[FrontLaunch], Expected] | None = None
    """What a launch should turn out to be, the front alone; None when nothing is said."""
    notes: tuple[str, ...] = ()
    """Known limits and traps of the program, one sentence each."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Parts of the contract that nothing behind it holds: pattern of the finding -> the reason."""
    verified: str = ""
    """When and where this was last seen to be so."""


@dataclass(frozen=True, kw_only=True)
class FrontEntry:
    """A front's variant as found in the catalogue, with its family and file."""

    variant: FrontVariant
    family: str
    """The file's name, and what people call the program: `nginx`."""
    path: Path
    need: Need
    files: Callable[[FrontLaunch], dict[str, str]]
    command: Callable[[FrontLaunch], list[str]]
    homepage: str
    notes: tuple[str, ...]
    """The program's, then the variant's."""
    expect: Callable[[FrontLaunch], Expected] | None = None
    lacks: Mapping[str, str] = field(default_factory=dict)
    verified: str = ""

    @property
    def id(self) -> str:
        """The variant's id."""
        return self.variant.id

    def expected(self, launch: FrontLaunch) -> Expected:
        """What that launch should turn out to be."""
        return Expected() if self.expect is None else self.expect(launch)
