"""One isolated environment for each server x app x Python, made with uv and cached.

An environment is named by the hash of its requirements and interpreter, so it is made once and never changed; what is
really in it is recorded, in a file that comes last and at one stroke: an environment without it, or whose interpreter
has gone, is made again. Only one run makes it; the lock is held until nothing of a killed run's uv lives. One that
can't be made is an EnvsError with uv's own reason in one line.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

import uv

from sgibench.errors import EnvsError
from sgibench.model import EnvironmentInfo
from sgibench.results.codec import decode, encode
from sgibench.serve.guarded import Command, Guarded, NotStartedError

MARKER = "sgibench-environment.json"
MAKING_TIMEOUT_S = 1200
"""Some servers are compiled from source; the slowest known takes ten minutes."""
LOOK_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A ready environment."""

    folder: Path
    info: EnvironmentInfo

    @property
    def bin(self) -> Path:
        """Where its executables stand."""
        return self.folder / "bin"

    @property
    def versions(self) -> dict[str, str]:
        """Package -> version, as installed."""
        pairs = (package.partition("==") for package in self.info.packages)
        return {name: version for name, _, version in pairs}


def cache_folder() -> Path:
    """`SGIBENCH_CACHE`, else `sgibench` in the user's cache folder (XDG base directories)."""
    if named := os.environ.get("SGIBENCH_CACHE"):
        return Path(named).absolute()
    users = Path(os.environ.get("XDG_CACHE_HOME") or ".")
    try:
        return (users if users.is_absolute() else Path.home() / ".cache") / "sgibench"
    except RuntimeError:
        raise EnvsError("there is no home folder to keep environments in: set SGIBENCH_CACHE") from None


def refuse_unwritable_cache() -> None:
    """Raise EnvsError when no environment could be made, for want of a place."""
    folder = cache_folder() / "envs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".sgibench-"):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from None


def ensure_all(
    wanted: Mapping[str, Sequence[str]], pythons: Mapping[str, str | None] | None = None
) -> tuple[dict[str, Environment], dict[str, str]]:
    """Make an environment for each name; returns those that are ready, and the reason for each that isn't.

    `pythons` names another interpreter than this one for some of them.
    """
    keys = {name: (tuple(sorted(requirements)), (pythons or {}).get(name)) for name, requirements in wanted.items()}
    return make_all(keys, lambda key, makers: ensure(*key, makers))


K = TypeVar("K", bound=Hashable)


def make_all(
    keys: Mapping[str, K], make: Callable[[K, Makers], Environment]
) -> tuple[dict[str, Environment], dict[str, str]]:
    """Make an environment for each name, one for each key; returns those that are ready, and why others aren't."""
    ready: dict[K, Environment] = {}
    refused: dict[K, str] = {}
    makers = Makers()
    with ThreadPoolExecutor(max_workers=4) as pool:
        futures = {key: pool.submit(make, key, makers) for key in dict.fromkeys(keys.values())}
        try:
            wait(futures.values())
        except BaseException:  # Ctrl-C: a compiler is not waited for
            makers.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for key, future in futures.items():
        try:
            ready[key] = future.result()
        except EnvsError as error:
            refused[key] = str(error)
    return (
        {name: ready[key] for name, key in keys.items() if key in ready},
        {name: refused[key] for name, key in keys.items() if key in refused},
    )


_EVERY: WeakSet[Makers] = WeakSet()


def stop_all() -> None:
    """End all programs that make environments in this process, in whichever thread: the command is over."""
    for makers in list(_EVERY):
        makers.stop()


class Makers:
    """The programs that make environments just now, so that all can be ended at once, from another thread."""

    def __init__(self) -> None:
        self._running: set[Guarded] = set()
        self._lock = threading.Lock()
        _EVERY.add(self)
        self.stopped = False
        """Nothing new is begun."""

    @contextlib.contextmanager
    def run(self, command: Command) -> Iterator[Guarded]:
        """Run a program; it is over with the context."""
        running = Guarded(command)
        with self._lock:
            self.refuse_when_stopped()
            self._running.add(running)
        try:
            with running:
                self.refuse_when_stopped()  # it was started after `stop` had looked
                yield running
        finally:
            with self._lock:
                self._running.discard(running)

    def stop(self) -> None:
        """End all of them."""
        with self._lock:
            self.stopped = True
            for running in self._running:
                running.let_go()

    def refuse_when_stopped(self) -> None:
        """Raise EnvsError when all was stopped."""
        if self.stopped:
            raise EnvsError("stopped before it was made")


def ensure(requirements: Sequence[str], python: str | None = None, makers: Makers | None = None) -> Environment:
    """Find the environment for these requirements in the cache, or make it. Raises EnvsError."""
    interpreter = python or sys.executable
    version = sys.version.split()[0] if python is None else version_of(interpreter)
    key = _key(requirements, version)
    return kept("envs", key, lambda making: _make(making, key, tuple(sorted(requirements)), interpreter), makers)


def kept(kind: str, key: str, make: Callable[[Making], EnvironmentInfo], makers: Makers | None = None) -> Environment:
    """Find a finished environment of a kind in the cache, or have it made, by one run only. Raises EnvsError."""
    folder = cache_folder() / kind / key
    makers = makers or Makers()
    with _locked(folder, makers) as lock:
        if (info := _made(folder)) is None:
            info = _whole(Making(folder=folder, lock=lock, makers=makers), make)
    return Environment(folder=folder, info=info)


def _made(folder: Path) -> EnvironmentInfo | None:
    """What a finished environment says about itself; None for one that is not there, half-made or no longer whole."""
    try:
        info = decode(EnvironmentInfo, json.loads((folder / MARKER).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    return info if (folder / "bin" / "python").exists() and _packages_are_there(folder, info) else None


def _packages_are_there(folder: Path, info: EnvironmentInfo) -> bool:
    """Whether each package has left its record; a cache that was cleaned by half has fewer."""
    return sum(1 for _ in folder.glob("lib/python*/site-packages/*.dist-info")) >= len(info.packages)


def _key(requirements: Sequence[str], version: str) -> str:
    text = json.dumps([sorted(requirements), version, sys.platform])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def _locked(folder: Path, makers: Makers) -> Iterator[int]:
    """Let only one process or thread make an environment; gives the lock's descriptor."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_suffix(".lock").open("w")
    except OSError as error:
        raise _unwritable(folder.parent, error) from None
    with lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                makers.refuse_when_stopped()
                time.sleep(LOOK_S)
        yield lock.fileno()


def _unwritable(folder: Path, error: OSError) -> EnvsError:
    return EnvsError(f"can't write to {folder} ({error.strerror}): set SGIBENCH_CACHE to a folder that can be written")


@dataclass(frozen=True, kw_only=True)
class Making:
    """Where an environment is made, and by whom."""

    folder: Path
    lock: int
    makers: Makers

    def uv(self, *arguments: str) -> str:
        """Run uv, which keeps the lock as long as anything of it lives."""
        return run_uv(*arguments, makers=self.makers, holds=(self.lock,))


def _whole(making: Making, make: Callable[[Making], EnvironmentInfo]) -> EnvironmentInfo:
    """Make one from nothing; what could not be finished is taken away."""
    _take_away(making.folder)
    try:
        info = make(making)
        _mark(making.folder, info)
    except BaseException:
        shutil.rmtree(making.folder, ignore_errors=True)
        raise
    return info


def _make(making: Making, key: str, requirements: tuple[str, ...], interpreter: str) -> EnvironmentInfo:
    folder = making.folder
    making.uv("venv", "--no-project", "--python", interpreter, str(folder))
    python = str(folder / "bin" / "python")
    if requirements:
        making.uv("pip", "install", "--python", python, "--compile-bytecode", *requirements)
    return EnvironmentInfo(
        key=key,
        python=version_of(python),
        requirements=requirements,
        packages=tuple(making.uv("pip", "freeze", "--python", python).split()),
    )


def _take_away(folder: Path) -> None:
    """Remove what is left of an environment, its mark first: half of one must never look like a whole."""
    try:
        (folder / MARKER).unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _mark(folder: Path, info: EnvironmentInfo) -> None:
    """Say that an environment is finished, at one stroke."""
    beside = folder / f"{MARKER}.new"
    try:
        with beside.open("w", encoding="utf-8") as file:
            json.dump(encode(info), file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / MARKER)
    except OSError as error:
        raise _unwritable(folder, error) from None


def run_uv(*arguments: str, makers: Makers | None = None, holds: tuple[int, ...] = ()) -> str:
    """Run uv; its last words become the reason when it fails."""
    try:
        program = _uv_program()
    except FileNotFoundError:
        raise EnvsError("the program uv is missing: install it with `pip install uv`") from None
    makers = makers or Makers()
    command = Command(
        argv=(program, "--no-python-downloads", "--color=never", "--no-progress", *arguments),
        env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
        pipes=frozenset({"stdout", "stderr"}),
        holds=holds,
    )
    try:
        with makers.run(command) as running:
            said = running.said(MAKING_TIMEOUT_S)
            if said is None or not running.wait(MAKING_TIMEOUT_S):
                raise EnvsError(f"uv {' '.join(arguments[:2])} took more than {MAKING_TIMEOUT_S} s")
    except NotStartedError as error:
        raise EnvsError(str(error)) from None
    makers.refuse_when_stopped()
    if running.exit_status != 0:
        raise EnvsError(_reason(said["stderr"].decode(errors="replace")))
    return said["stdout"].decode(errors="replace")


_finding = threading.Lock()


def _uv_program() -> str:
    """Find uv's program, one thread at a time: sysconfig, which it asks, fills its variables without a lock."""
    with _finding:
        return uv.find_uv_bin()


def _reason(stderr: str) -> str:
    """Fold uv's error and its causes into one line."""
    lines = [line.strip(" ×╰─▶│├") for line in stderr.splitlines()]
    told = [
        line for line in lines if line and not line.startswith(("Resolved", "Using", "Creating", "Activate", "hint"))
    ]
    return "; ".join(told)[:400] or "uv failed without a word"


def find_python(version: str) -> str:
    """Find an installed interpreter, e.g. `3.12`; raises EnvsError when there is none.

    Looks where uv looks, and among pyenv's versions, which need not be on the PATH.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    own = sorted(pyenv.glob(f"{version}/bin/python")) + sorted(pyenv.glob(f"{version}.*/bin/python"))
    if own:
        return str(own[-1])
    try:
        return run_uv("python", "find", "--no-project", "--system", version).strip()
    except EnvsError:
        raise EnvsError(f"Python {version} is not installed here: install it, or leave it out of --python") from None


def version_of(interpreter: str) -> str:
    """Ask an interpreter for its version, e.g. `3.12.1`; raises EnvsError when it doesn't run."""
    try:
        done = subprocess.run(
            [interpreter, "-c", "import sys; print(sys.version.split()[0])"],
            capture_output=True,
            check=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvsError(f"{interpreter} is not a working Python: {error}") from None
    return done.stdout.strip()
