"""The engine's side of the probe: starts it in the app's environment, and turns what it found into an app or a line.

Two copies are started, the second while the first lives, because the servers of a comparison live side by side: an app
that insists on a port or a file of its own is found out before anything is measured.
"""

from __future__ import annotations

import errno
import json
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from sgibench import machine, units
from sgibench.errors import ServerError, UsageError
from sgibench.model import App, BaseEnvironment, Interface, Lifespan, OwnApp
from sgibench.serve.guarded import Command, Guarded, Standstill
from sgibench.serve.logs import size_of, tail_of
from sgibench.serve.own.copying import copy_in, in_copy
from sgibench.serve.own.preparing import folded, prepare_start
from sgibench.serve.own.spec import MODULE, TARGET, Spec, read_spec
from sgibench.serve.variables import variables_of

PROBE = Path(__file__).with_name("probe.py")
PROBE_TIMEOUT_S = 90.0
MOST_PRINTED_BYTES = 2**20
"""More than that, printed on being imported, is taken as an accident."""
TAIL_LINES = 4
POLL_S = 0.1
IDLE_S, IDLE_SHARE = 3.0, 0.1
"""So long a process that listens may do next to nothing, less than such a share of a CPU, before it is taken to serve
instead of going on."""


@dataclass(frozen=True, kw_only=True)
class Telling:
    """How an app is named, and what was said about it."""

    text: str
    project: Path
    variables: Mapping[str, str]
    prepare: tuple[str, ...] = ()
    ready: str | None = None
    first: str = "/"
    interface: Interface | None = None
    """What the user says it is; None to look."""
    copied: bool = False
    """Look at it in a copy of the project, so that nothing that its start writes stays."""


def probe_app(telling: Telling, base: BaseEnvironment, scratch: Path) -> App:
    """Look at an app; raises UsageError in one line when it is none, or can't live beside a copy of itself."""
    try:
        return _probed(telling, base, scratch)
    except UsageError as error:  # who reads it knows the project, and nothing of its copy, which is gone
        copy = str(copy_in(scratch))
        raise UsageError(str(error).replace(copy, str(telling.project))) from None


def _probed(telling: Telling, base: BaseEnvironment, scratch: Path) -> App:
    spec = read_spec(telling.text, telling.project)
    own = OwnApp(
        spec=telling.text,
        project=telling.project,
        paths=spec.paths,
        source=spec.source(),
        base=base,
        variables=telling.variables,
        prepare=telling.prepare,
        ready=telling.ready,
        first=telling.first,
    )
    try:
        there = in_copy(own, scratch) if telling.copied else own
        prepare_start(there, scratch, variables_of(base.python.parent, scratch / "data", there.paths, there))
    except ServerError as error:
        raise UsageError(error.detail) from None
    with _started(there, telling, scratch / "probe-1") as first:
        told = _hear(spec, first)
        _refuse(spec, own, told)
        with _started(there, telling, scratch / "probe-2") as second:
            _refuse_if_alone(spec, _hear(spec, second))
    interface: Interface = "wsgi" if told["interface"] == "wsgi" else "asgi"
    lifespan: Lifespan | None = None if interface == "wsgi" else told.get("lifespan")
    kind = str(told["kind"]) + (", ASGI 2" if told.get("twice") else "")
    source = spec.source(twice=bool(told.get("twice")))
    own = replace(own, source=source, lifespan=lifespan, kind=kind, copied=telling.copied)
    own = replace(own, routes=tuple(map(str, told.get("routes", ()))))
    return App(
        id=spec.id,
        interface=interface,
        target=TARGET,
        folder=telling.project,
        packages=(),
        summary=f"{kind} ({interface.upper()}), {base.said}",
        own=own,
    )


@dataclass(frozen=True, kw_only=True)
class Probing:
    """A running probe."""

    process: Guarded
    answer: Path
    """The file in which its answer will be."""
    log: Path
    """What the app prints."""

    @property
    def imported(self) -> Path:
        """There once the app is imported; what is waited for then is its start-up."""
        return self.answer.with_suffix(".imported")


class _started:  # noqa: N801 - reads as a statement: `with _started(…) as probing:`
    """One running probe and the file in which its answer will be."""

    def __init__(self, own: OwnApp, telling: Telling, scratch: Path) -> None:
        (scratch / "data").mkdir(parents=True, exist_ok=True)
        order = {"name": MODULE, "source": own.source, "interface": telling.interface}
        (scratch / "order.json").write_text(json.dumps(order), encoding="utf-8")
        self._answer = scratch / "answer.json"
        python = own.base.python
        self._answer.unlink(missing_ok=True)
        self._log = scratch / "probe.log"
        self._process = Guarded(
            Command(
                argv=(str(python), str(PROBE), str(scratch / "order.json"), str(self._answer)),
                cwd=own.project,
                env=variables_of(python.parent, scratch / "data", own.paths, own),
                log=self._log,
            )
        )

    def __enter__(self) -> Probing:
        return Probing(process=self._process.__enter__(), answer=self._answer, log=self._log)

    def __exit__(self, *error: object) -> None:
        self._process.__exit__(*error)


def _hear(spec: Spec, probing: Probing) -> dict[str, Any]:
    """Wait for what a probe found."""
    process = probing.process
    deadline, idling, standstill = time.monotonic() + PROBE_TIMEOUT_S, _Idling(process), Standstill()
    while not probing.answer.exists() and process.alive() and time.monotonic() < deadline:
        process.hear(POLL_S)
        if standstill.seen(stopped=process.stopped()):
            tail = folded(tail_of(probing.log))
            raise UsageError(f"--app {spec.text}: importing it stopped its process (SIGSTOP){tail}")
        served = not probing.imported.exists() and idling.seen() and _listens(process.pid)
        if served or size_of(probing.log) > MOST_PRINTED_BYTES:
            break
    if (printed := size_of(probing.log)) > MOST_PRINTED_BYTES:
        raise UsageError(
            f"--app {spec.text}: it prints {units.size(printed)} when it is imported: "
            "turn that off, e.g. with --env NAME=VALUE"
        )
    if probing.answer.exists():
        told: dict[str, Any] = json.loads(probing.answer.read_text(encoding="utf-8"))
        return told
    tail = folded(tail_of(probing.log))
    status = process.exit_status
    if status is not None:
        raise UsageError(
            f"--app {spec.text}: importing it ended the process with status {status}{tail}; "
            "it must not exit when it is imported"
            if status >= 0
            else f"--app {spec.text}: importing it crashed the interpreter ({_signal(-status)}){tail}: "
            "python -X faulthandler says where"
        )
    if not probing.imported.exists() and (ports := _listens(process.pid)):
        raise UsageError(
            f"--app {spec.text}: importing it starts a server of its own on port {ports[0]}: "
            'put what starts it (app.run()) under `if __name__ == "__main__":`'
        )
    raise UsageError(f"--app {spec.text}: importing it took more than {PROBE_TIMEOUT_S:g} s{tail}")


def _signal(number: int) -> str:
    """Name a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class _Idling:
    """Looks now and then whether a process and what it started have done next to nothing since the last look."""

    def __init__(self, process: Guarded) -> None:
        self._process = process
        self._looked_s = time.monotonic()
        self._used_s: float | None = 0.0

    def seen(self) -> bool:
        """Whether that is seen now; most times nothing is looked at."""
        now_s = time.monotonic()
        took_s = now_s - self._looked_s
        if took_s < IDLE_S:
            return False
        before_s, self._used_s = self._used_s, machine.tree_cpu_s(self._process.pids())
        self._looked_s = now_s
        return before_s is not None and self._used_s is not None and self._used_s - before_s < IDLE_SHARE * took_s


def _listens(pid: int) -> list[int]:
    """Ports on which a process or its children listen."""
    try:
        first = psutil.Process(pid)
        found = [each for one in (first, *first.children(recursive=True)) for each in one.net_connections("tcp")]
    except (psutil.Error, OSError):
        return []
    return [each.laddr.port for each in found if each.status == psutil.CONN_LISTEN]


# --- what went wrong ------------------------------------------------------------------------------------------------


def _refuse(spec: Spec, own: OwnApp, told: Mapping[str, Any]) -> None:
    """Raise UsageError for what is no app that can be served."""
    problem = told.get("problem")
    if problem is not None:
        raise UsageError(f"--app {spec.text}: {PROBLEMS[problem](spec, own, told)}")
    if told.get("lifespan") == "failing":
        raise UsageError(
            f"--app {spec.text}: its start-up (lifespan) fails: {told.get('lifespan_error')}; "
            "give it what it needs (--env NAME=VALUE, --prepare COMMAND), or leave it out"
        )


def _not_imported(spec: Spec, own: OwnApp, told: Mapping[str, Any]) -> str:
    missing = told.get("missing")
    if missing and missing == spec.module.partition(".")[0]:
        advice = f"it was looked for in {own.project}: name the project with --project DIR"
    elif missing:
        advice = f"{own.base.said} has no {missing}: name the app's environment with --venv DIR or --requirements FILE"
    else:
        advice = "variables that it needs are given with --env NAME=VALUE or --env-file FILE"
    return f"{spec.module} can't be imported: {_error(told)}; {advice}"


def _not_called(spec: Spec, _own: OwnApp, told: Mapping[str, Any]) -> str:
    return f"{spec.attribute} raised {_error(told)}; call it by hand, or give it other arguments"


def _no_attribute(spec: Spec, _own: OwnApp, told: Mapping[str, Any]) -> str:
    there = told.get("candidates") or []
    advice = f"; in {spec.module} there is {', '.join(there)}" if there else ""
    return f"{_error(told)}{advice}"


def _no_app(spec: Spec, _own: OwnApp, told: Mapping[str, Any]) -> str:
    held = told.get("held") or ()
    advice = f"it holds one: --app '{spec.text}.{held[0]}'" if held else "expected a WSGI or ASGI app"
    return f"{spec.attribute} is no app: {told['error']}; {advice}"


def _a_factory(spec: Spec, _own: OwnApp, told: Mapping[str, Any]) -> str:
    return f"{spec.attribute} is no app: {told['error']}. If it makes the app, call it: --app '{spec.text}()'"


def _unclear(spec: Spec, _own: OwnApp, told: Mapping[str, Any]) -> str:
    return f"{spec.attribute} may be WSGI or ASGI or no app: {told['error']}; say which with --interface wsgi or asgi"


PROBLEMS: Mapping[str, Callable[[Spec, OwnApp, Mapping[str, Any]], str]] = {
    "import": _not_imported,
    "call": _not_called,
    "attribute": _no_attribute,
    "no-app": _no_app,
    "factory": _a_factory,
    "unclear": _unclear,
}


def _error(told: Mapping[str, Any]) -> str:
    """Give an exception with the last lines of its traceback, on one line."""
    text = " ".join(str(told["error"]).split())
    tail: Sequence[str] = told.get("tail") or []
    cause = " ".join(str(told.get("cause") or "").split())
    text += f", after {cause}" if cause else ""
    return text + (f" ({' | '.join(tail[-TAIL_LINES:])})" if tail else "")


def _refuse_if_alone(spec: Spec, told: Mapping[str, Any]) -> None:
    """Raise UsageError when a copy that starts beside another one fails: the servers of a run live side by side."""
    failing = told.get("lifespan") == "failing"
    if not told.get("problem") and not failing:
        return
    error = str(told.get("lifespan_error")) if failing else _error(told)
    taken = told.get("errno") == errno.EADDRINUSE or "address already in use" in error.lower()
    what = "it insists on a port of its own" if taken else "it starts alone, but not beside a copy of itself"
    raise UsageError(
        f"--app {spec.text}: {what}: {error}; the servers that are compared live side by side, "
        "so leave that out for the measurement (--env NAME=VALUE)"
    )
