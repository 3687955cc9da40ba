"""The options of each subject, declared once and shared by the commands: one frozen dataclass a subject.

A field is an option: its name is the parameter's, its metadata holds what click is told. `takes` puts the options of
whole subjects on a command and hands them over as one value each, so that no command has a parameter per option.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from sgibench import bench
from sgibench.bench.profiles import PROFILES
from sgibench.cli.options import AskedRate, Counts, Delta, Duration, Figure, Folder, Rate, SliceLength, Until
from sgibench.model import Configuration, Metric, Protocol

DECLARED = "click"
Command = Callable[..., None]
C = TypeVar("C", bound=Command)


def option(*flags: str, **settings: Any) -> Any:
    """Declare a field that is an option: its flags, then what else `click.option` takes."""
    return field(metadata={DECLARED: (flags, settings)})


def takes(**subjects: type) -> Callable[[Command], Command]:
    """Give a command the options of subjects; each arrives as a value of its class, under the keyword's name."""

    def give(command: Command) -> Command:
        @wraps(command)
        def call(**given: Any) -> None:
            for name, subject in subjects.items():
                given[name] = subject(**{each.name: given.pop(each.name) for each in fields(subject)})
            command(**given)

        declared = [each for subject in subjects.values() for each in fields(subject)]
        for each in reversed(declared):
            flags, settings = each.metadata[DECLARED]
            call = click.option(*flags, each.name, **settings)(call)
        return call

    return give


def again(subject: type, name: str, **changed: Any) -> Any:
    """Declare a field as the option that another subject has under this name, but for what is `changed`."""
    flags, settings = _declared(subject, name)
    return option(*flags, **{**settings, **changed})


def _declared(subject: type, name: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    flags, settings = next(each for each in fields(subject) if each.name == name).metadata[DECLARED]
    return flags, settings


def one(subject: type, name: str) -> Callable[[C], C]:
    """Give a command one option of a subject, as a parameter of its own."""
    flags, settings = _declared(subject, name)
    return click.option(*flags, name, **settings)


# --- what is measured -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Which servers."""

    servers: tuple[str, ...] = option(
        "--server",
        multiple=True,
        metavar="NAME",
        help="Server or glob; NAME@VERSION for another version, nginx+NAME behind a front. Repeatable.",
    )


@dataclass(frozen=True, kw_only=True)
class Apps:
    """What is served, and where more of it is found."""

    apps: tuple[str, ...] = option("--app", multiple=True, metavar="NAME", help="App or glob. Repeatable.")
    catalogues: tuple[Path, ...] = option(
        "--catalogue",
        multiple=True,
        type=Folder(),
        help="One more folder with apps/, servers/, fronts/, services/ or scenarios/ in it. Repeatable.",
    )


@dataclass(frozen=True, kw_only=True)
class Chosen(Apps, Servers):
    """Which servers, apps and scenarios."""

    scenarios: tuple[str, ...] = option(
        "--scenario", multiple=True, metavar="NAME", help="Scenario or glob. Repeatable."
    )


@dataclass(frozen=True, kw_only=True)
class What(Chosen):
    """Which servers, apps and scenarios, in which configurations, under which Pythons."""

    configurations: tuple[Configuration, ...] = option(
        "--configuration",
        multiple=True,
        type=click.Choice(get_args(Configuration)),
        default=("equal",),
        show_default=True,
        help="As installed, all alike, or as the server's documentation advises. Repeatable.",
    )
    database: str | None = option(
        "--database",
        metavar="sqlite|postgresql|URL",
        help="Where items stand: embedded, in a private PostgreSQL, or in yours, in a schema of its own.",
    )
    pool: int | None = option(
        "--pool",
        type=click.IntRange(1, 1000),
        help="Connections to a database for each process of a server; as many as --threads by default.",
    )
    pythons: str = option(
        "--python", metavar="X.Y[,X.Y]", default="", help="Interpreters for the servers, e.g. 3.11,3.12."
    )


# --- load -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Load:
    """How hard, over what, and on how large a server; several sizes make a curve."""

    protocols: tuple[Protocol, ...] = option(
        "--protocol",
        type=click.Choice(get_args(Protocol)),
        multiple=True,
        default=("http",),
        show_default=True,
        help="HTTP/1.1, the same over TLS, HTTP/2 in clear text, or over TLS. Repeatable.",
    )
    streams: int = option(
        "--streams",
        type=click.IntRange(1, 1000),
        default=bench.DEFAULT_STREAMS,
        show_default=True,
        help="Requests at once on each connection, over h2c and h2.",
    )
    connections: tuple[int, ...] = option(
        "--connections",
        type=Counts(60000),
        default=str(bench.DEFAULT_CONNECTIONS),
        show_default=True,
        help="Connections that are kept busy; several (1,4,16,64) make a curve. The quick profile takes 16 for json.",
    )
    workers: tuple[int, ...] = option(
        "--workers",
        type=Counts(256),
        default="1",
        show_default=True,
        help="Processes of a server; several make a curve.",
    )
    threads: tuple[int, ...] = option(
        "--threads",
        type=Counts(1024),
        default=str(bench.DEFAULT_THREADS),
        show_default=True,
        help="Threads of each process, for servers that have a pool; several make a curve.",
    )
    backends: tuple[int, ...] = option(
        "--backends",
        type=Counts(64),
        default=(),
        help="Servers behind each named front (nginx+NAME), spread in each way that it has; several make a curve.",
    )
    rate: AskedRate = option(
        "--rate",
        metavar="RATE|SHARE%|auto|none",
        type=Rate(),
        default="auto",
        show_default=True,
        help="Requests/s of the fixed-rate loads: a number, a share of the slowest server's saturation, or none. "
        "Auto is 25%, or 50% where that brings too few answers for a p99.",
    )
    rate_of: str | None = option(
        "--rate-of", metavar="RUN", help="Take the fixed rates of another run, so that the two can be compared."
    )
    curve: bool = option(
        "--curve", is_flag=True, help="Also measure latency at 20 to 95 % of each server's own saturation."
    )


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """What goes over the wire, for commands that ask in one protocol."""

    protocol: Protocol = option(
        "--protocol",
        type=click.Choice(get_args(Protocol)),
        default="http",
        show_default=True,
        help="HTTP/1.1, the same over TLS, HTTP/2 in clear text, or over TLS.",
    )


@dataclass(frozen=True, kw_only=True)
class Size:
    """One load on one size of server, for commands that make no curve."""

    connections: int = again(Load, "connections", type=click.IntRange(1, 60000), help="Connections that are kept busy.")
    workers: int = again(Load, "workers", type=click.IntRange(1, 256), help="Processes of a server.")
    threads: int = again(
        Load, "threads", type=click.IntRange(1, 1024), help="Threads of each process, for servers that have a pool."
    )


# --- care -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Care:
    """How often, how long, in which order, and when it is enough."""

    profile: str = option("--profile", default="quick", show_default=True, help=f"One of {', '.join(PROFILES)}.")
    blocks: int | None = option("--blocks", type=click.IntRange(min=1), help="How often everything is repeated afresh.")
    window: float | None = option("--window", type=Duration(), help="Counted time of each trial, e.g. 3s.")
    slice_s: float = option(
        "--slice",
        type=SliceLength(),
        default=f"{bench.DEFAULT_SLICE_S * 1000:g}ms",
        show_default=True,
        help="Least length of a visit when servers are visited in turn; none for unbroken windows, at fixed rates too.",
    )
    control: bool = option(
        "--control/--no-control", default=True, show_default=True, help="Run one cell twice, as the noise floor."
    )
    layers: bool = option(
        "--layers/--no-layers",
        default=True,
        show_default=True,
        help="Beside the plain app, also measure what each layer of a framework's requests costs; about as long again.",
    )
    retries: int | None = option(
        "--retries", type=click.IntRange(0, 2), help="How often a group in doubt is measured again in its block."
    )
    seed: int | None = option(
        "--seed", type=click.IntRange(0, 2**63 - 1), help="Repeat the random order of an earlier run."
    )
    until: tuple[Metric, ...] = option(
        "--until",
        type=Until(),
        default=None,
        help="End after the block in which every comparison with the baseline has a verdict, in CPU per request or in "
        "the figures named behind it: settled:cpu,p99. --blocks is the most.",
    )
    delta: float = option(
        "--delta", type=Delta(), default="2%", show_default=True, help="Ratios within it make no difference."
    )
    baseline: str | None = option(
        "--baseline", metavar="NAME", help="The server that --until settled compares with; the first by default."
    )
    resume: str | None = option(
        "--resume", metavar="RUN", help="Go on with a run that was broken off: its name, folder, or latest."
    )


# --- machine --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Cpus:
    """Which CPUs are whose."""

    load_workers: int = option(
        "--load-workers",
        type=click.IntRange(1, 64),
        default=1,
        show_default=True,
        help="Processes that drive the load, each on a CPU of its own.",
    )
    server_cpus: str | None = option(
        "--server-cpus", metavar="LIST", help="CPUs for the servers, e.g. 0,2-3. The rest is for the load."
    )
    awake: bool | None = option(
        "--awake/--no-awake",
        default=None,
        help="Keep the CPUs of servers and load from sleeping while they wait for requests; never with an app of your "
        "own, or with a database that existed. [default: awake]",
    )
    service_cpus: str | None = option(
        "--service-cpus",
        metavar="LIST",
        help="CPUs for databases and other services; those left over by default, else the servers'.",
    )


# --- output ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where runs and pages are kept."""

    results: Path = option(
        "--results",
        type=Folder(),
        default=Path("results"),
        show_default=True,
        help="Folder of the runs.",
    )
    reports: Path = option(
        "--reports",
        type=Folder(),
        default=Path("reports"),
        show_default=True,
        help="Folder for the pages.",
    )


@dataclass(frozen=True, kw_only=True)
class Output(Folders):
    """Where runs and pages are kept, and how a command speaks."""

    rank_by: Metric = option(
        "--rank-by",
        type=Figure(),
        default="cpu",
        show_default=True,
        help="The figure by which tables are ordered: cpu, rps, p50, p99 or p999.",
    )
    as_json: bool = option("--json", is_flag=True, help="Print JSON for machines.")
    quiet: bool = option("--quiet", is_flag=True, help="Show no progress.")


catalogue_option = one(Apps, "catalogues")
results_option = one(Folders, "results")
reports_option = one(Folders, "reports")
json_option = one(Output, "as_json")
rank_option = one(Output, "rank_by")
