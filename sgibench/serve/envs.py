"""One isolated environment for each server x app x Python, made with uv and cached.

An environment is named by the hash of its requirements and interpreter, so it is made once and never changed; what is
really in it is recorded. An environment that can't be made is an EnvsError with uv's own reason in one line.
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
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import uv

from sgibench.errors import EnvsError
from sgibench.model import EnvironmentInfo
from sgibench.results.codec import decode, encode

MARKER = "sgibench-environment.json"
MAKING_TIMEOUT_S = 1200
"""Some servers are compiled from source; the slowest known takes ten minutes."""


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
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sgibench"


def ensure_all(
    wanted: Mapping[str, Sequence[str]], pythons: Mapping[str, str | None] | None = None
) -> tuple[dict[str, Environment], dict[str, str]]:
    """Make an environment for each name; returns those that are ready, and the reason for each that isn't.

    `pythons` names another interpreter than this one for some of them.
    """
    keys = {name: (tuple(sorted(requirements)), (pythons or {}).get(name)) for name, requirements in wanted.items()}
    ready: dict[tuple[tuple[str, ...], str | None], Environment] = {}
    refused: dict[tuple[tuple[str, ...], str | None], str] = {}
    with ThreadPoolExecutor(max_workers=4) as pool:
        futures = {key: pool.submit(ensure, *key) for key in dict.fromkeys(keys.values())}
    for key, future in futures.items():
        try:
            ready[key] = future.result()
        except EnvsError as error:
            refused[key] = str(error)
    return (
        {name: ready[key] for name, key in keys.items() if key in ready},
        {name: refused[key] for name, key in keys.items() if key in refused},
    )


def ensure(requirements: Sequence[str], python: str | None = None) -> Environment:
    """Find the environment for these requirements in the cache, or make it. Raises EnvsError."""
    interpreter = python or sys.executable
    version = sys.version.split()[0] if python is None else version_of(interpreter)
    key = _key(requirements, version)
    folder = cache_folder() / "envs" / key
    with _locked(folder):
        if not (folder / MARKER).exists():
            _make(folder, key, tuple(sorted(requirements)), interpreter)
        info = decode(EnvironmentInfo, json.loads((folder / MARKER).read_text(encoding="utf-8")))
    return Environment(folder=folder, info=info)


def _key(requirements: Sequence[str], version: str) -> str:
    text = json.dumps([sorted(requirements), version, sys.platform])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let only one process or thread make an environment."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_suffix(".lock").open("w")
    except OSError as error:
        raise EnvsError(f"can't write to {folder.parent} ({error.strerror}): set SGIBENCH_CACHE") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(folder: Path, key: str, requirements: tuple[str, ...], interpreter: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _uv("venv", "--no-project", "--python", interpreter, str(folder))
    python = str(folder / "bin" / "python")
    if requirements:
        _uv("pip", "install", "--python", python, "--compile-bytecode", *requirements)
    info = EnvironmentInfo(
        key=key,
        python=version_of(python),
        requirements=requirements,
        packages=tuple(_uv("pip", "freeze", "--python", python).split()),
    )
    (folder / MARKER).write_text(json.dumps(encode(info)), encoding="utf-8")


def _uv(*arguments: str) -> str:
    """Run uv; its last words become the reason when it fails."""
    try:
        program = _uv_program()
    except FileNotFoundError:
        raise EnvsError("the program uv is missing: install it with `pip install uv`") from None
    variables = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    try:
        done = subprocess.run(
            [program, "--no-python-downloads", "--color=never", "--no-progress", *arguments],
            capture_output=True,
            check=False,
            text=True,
            timeout=MAKING_TIMEOUT_S,
            env=variables,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise EnvsError(f"uv {' '.join(arguments[:2])} took more than {MAKING_TIMEOUT_S} s") from None
    if done.returncode != 0:
        raise EnvsError(_reason(done.stderr))
    return done.stdout


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
        return _uv("python", "find", "--no-project", "--system", version).strip()
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
