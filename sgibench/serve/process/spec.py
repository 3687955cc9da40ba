"""What is needed to start one server, and what follows from it before anything runs: launch, folder, variables.

A server finds little, and the same every time: no variable of the user's changes a result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sgibench.model import App, Asked, Launch, OwnApp, ServerEntry, Settings
from sgibench.model.terms import Protocol
from sgibench.paths import remove
from sgibench.serve import certificate, placing
from sgibench.serve.own.copying import in_copy
from sgibench.serve.own.preparing import prepare_start
from sgibench.serve.own.spec import MODULE
from sgibench.serve.own.wrapping import wrapped
from sgibench.serve.placing import Placed
from sgibench.serve.process.ports import HOST, free_port
from sgibench.serve.variables import import_paths, variables_of

SAFE_PATH = (3, 11)


@dataclass(frozen=True, kw_only=True)
class ServerSpec:
    """All that is needed to start one server."""

    entry: ServerEntry
    app: App
    settings: Settings
    bin: Path
    """Executables of its environment."""
    cpus: tuple[int, ...]
    """Where it may run; empty for anywhere."""
    scratch: Path
    """A folder of its own, made anew at each start."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> version in its environment."""
    protocol: Protocol = "http"
    """What it is started to speak."""
    python: str = ""
    """Version of its interpreter; empty for that of sgibench."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the app is told besides, e.g. where its services are."""
    asked: tuple[Asked, ...] = ()
    """With these requests the user's app can be called within the server (`WITHIN`); with none that can't be done."""

    @property
    def data(self) -> Path:
        """What the app may write to; SGIBENCH_DATA names it."""
        return self.scratch / "data"

    def launch(self, port: int) -> Launch:
        """What its file makes a command line of."""
        own = self.app.own
        return Launch(
            bin=self.bin,
            launchers=self.entry.path.parent / "launchers",
            scratch=self.scratch,
            host=HOST,
            port=port,
            target=self.app.target,
            options=self.entry.variant.options,
            workers=self.settings.workers,
            threads=self.settings.threads,
            backlog=self.settings.backlog,
            keep_alive_s=self.settings.keep_alive_s,
            connections=self.settings.connections,
            configuration=self.settings.configuration,
            versions=self.versions,
            protocol=self.protocol,
            lifespan=own is None or own.lifespan == "supported",
        )

    def environment(self, own: OwnApp | None) -> dict[str, str]:
        """The variables that its processes find; `own` is the user's app as this start serves it."""
        paths = import_paths(self.app.folder, own, self.scratch / "app")
        return {**variables_of(self.bin, self.data, paths, own), **self.variables}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A server whose scratch folder is made."""

    placed: tuple[Placed, ...]
    """The servers behind the front, or the one server without."""
    own: OwnApp | None
    """The user's app as this start serves it: in a copy of the project where that is wanted."""
    environment: Mapping[str, str]


def prepare(spec: ServerSpec, port: int) -> Prepared:
    """Make the scratch folder anew, with all that the server finds there. Raises OSError."""
    scratch, own = spec.scratch, spec.app.own
    remove(scratch)
    spec.data.mkdir(parents=True)
    placed = placing.servers(spec.entry, spec.launch(port), free_port)
    for one in placed:
        placing.write(one.launch.scratch, one.entry.variant.files)
        if one.launch.tls:
            certificate.make(one.launch.certificate, one.launch.key)
    if own is None:
        return Prepared(placed=placed, own=None, environment=spec.environment(None))
    own = in_copy(own, scratch) if own.copied else own
    environment = spec.environment(own)
    (scratch / "app").mkdir()
    source = wrapped(spec.app, own.source, spec.asked, scratch / "app") if spec.asked else own.source
    (scratch / "app" / f"{MODULE}.py").write_text(source, encoding="utf-8")
    prepare_start(own, scratch, environment)
    return Prepared(placed=placed, own=own, environment=environment)


def for_python(argv: Sequence[str], version: str) -> tuple[str, ...]:
    """Leave out the option -P, which keeps a script's folder off the import path, where Python is older than it."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    old = bool(numbers) and numbers < SAFE_PATH
    return tuple(word for place, word in enumerate(argv) if not (old and word == "-P" and place))
