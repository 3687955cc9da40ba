"""The environment that an app of the user's lives in: found, or made from what the project says; never changed.

A found one is only read: its interpreter is asked what it holds. One that is made lies in the cache, under a name that
follows from what it was made of.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgibench.errors import EnvsError, UsageError
from sgibench.model import BaseEnvironment, EnvironmentInfo
from sgibench.paths import is_file
from sgibench.serve import envs
from sgibench.serve.scratch import scratch_folder

LOOK = Path(__file__).with_name("look.py")
OLDEST = (3, 9)
LOOK_TIMEOUT_S = 60
MOST_PROJECT_BYTES = 50 * 2**20
LEFT_OUT = shutil.ignore_patterns(
    ".*", "node_modules", "venv", "env", "__pycache__", "build", "dist", "*.egg-info", "results", "reports"
)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What the user said about the environment."""

    project: Path
    venv: Path | None = None
    requirements: tuple[Path, ...] = ()
    python: str | None = None
    """Interpreter of an environment that is made; None for the one that runs sgibench."""
    say: Callable[[str], None] = lambda _sentence: None
    """Told when an environment has to be made, which takes a while."""


def find_base(sources: Sources) -> BaseEnvironment:
    """Find or make it, in this order; without packages when nothing says that any is needed. Raises UsageError.

    `--venv`, `--requirements`, `.venv` in the project, `$VIRTUAL_ENV`, the project's lock or pyproject.toml, its
    requirements.txt.
    """
    project = sources.project
    if sources.venv is not None and sources.requirements:
        raise UsageError("expected --venv or --requirements, got both: an environment that exists is never changed")
    if sources.venv is not None:
        return look(sources.venv, shown(sources.venv, project), "--venv")
    if sources.requirements:
        return _from_requirements(sources, sources.requirements)
    if (project / ".venv" / "pyvenv.cfg").is_file():
        return look(project / ".venv", shown(project / ".venv", project), "./.venv")
    active = os.environ.get("VIRTUAL_ENV")
    if active and not _runs_sgibench_alone(Path(active), project):
        return look(Path(active), active, "$VIRTUAL_ENV")
    listed = project / "requirements.txt"
    if (project / "pyproject.toml").is_file() and _has_project(project / "pyproject.toml", or_else=listed):
        return _from_project(sources)
    if listed.is_file():
        return _from_requirements(sources, (listed,))
    return _made(sources, (), (), "an environment without packages", "--app", cwd=Path("/"))


def _runs_sgibench_alone(active: Path, project: Path) -> bool:
    """Whether the active environment is sgibench's own, while the project says what it needs elsewhere."""
    declares = any((project / name).is_file() for name in ("pyproject.toml", "requirements.txt"))
    return declares and active.resolve() == Path(sys.prefix).resolve()


def shown(path: Path, project: Path) -> str:
    """Name a path as people do: relative to the project where it lies inside."""
    try:
        return f"./{path.resolve().relative_to(project.resolve())}"
    except ValueError:
        return str(path)


def look(folder: Path, said: str, option: str) -> BaseEnvironment:
    """Ask an environment what it holds; raises UsageError in one line when it is none, or too old."""
    python = next((each for each in (folder / "bin" / "python", folder / "bin" / "python3") if each.exists()), None)
    if python is None:
        raise UsageError(f"{option}: expected a virtual environment, but there is no bin/python in {folder}")
    told = ask(python, option)
    version = tuple(int(part) for part in told["version"].split("."))
    if version < OLDEST or "packages" not in told:
        oldest = ".".join(map(str, OLDEST))
        raise UsageError(f"{option}: expected an environment of Python {oldest} or newer, {said} has {told['version']}")
    return BaseEnvironment(
        python=python.absolute(),
        version=told["version"],
        sites=tuple(Path(each) for each in told["sites"]),
        packages={normal(name): each for name, each in told["packages"].items()},
        fixed=frozenset(map(normal, told["fixed"])),
        programs=frozenset(map(normal, told["programs"])),
        said=said,
    )


def ask(python: Path, option: str) -> dict[str, Any]:
    """Run the little script that looks; raises UsageError."""
    variables = {name: os.environ[name] for name in ("HOME", "PATH", "LANG") if name in os.environ}
    try:
        done = subprocess.run(
            [str(python), str(LOOK)],
            capture_output=True,
            check=False,
            text=True,
            timeout=LOOK_TIMEOUT_S,
            env={**variables, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
        )
        told: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise UsageError(f"{option}: {python} is not a working Python: {error}") from None
    if not isinstance(told, dict) or not re.fullmatch(r"\d+\.\d+\.\d+", str(told.get("version"))):
        raise UsageError(f"{option}: {python} is not a working Python: it said {done.stdout[:80]!r}")
    return told


def normal(name: str) -> str:
    """Normalise a package's name, as its index does."""
    return re.sub(r"[-_.]+", "-", name).lower()


# --- made ones ------------------------------------------------------------------------------------------------------


def _from_requirements(sources: Sources, files: Sequence[Path]) -> BaseEnvironment:
    for file in files:
        if not file.is_file():
            raise UsageError(f"--requirements {file}: there is no such file")
    contents = [text for file in files for text in _with_included(file, set())]
    arguments = [word for file in files for word in ("-r", str(file.resolve()))]
    said = " and ".join(shown(file, sources.project) for file in files)
    return _made(sources, contents, arguments, said, f"--requirements {said}", cwd=files[0].resolve().parent)


def _with_included(file: Path, seen: set[Path]) -> list[str]:
    """Give the texts of a file of requirements and of those that it includes."""
    if not is_file(file) or (file := file.resolve()) in seen:
        return []
    seen.add(file)
    text = file.read_text(encoding="utf-8", errors="replace")
    included = re.findall(r"^\s*(?:-r|-c|--requirement|--constraint)[ =]*(\S+)", text, re.MULTILINE)
    return [text, *(part for name in included for part in _with_included(file.parent / name, seen))]


def _has_project(file: Path, *, or_else: Path) -> bool:
    """Whether a pyproject.toml says what the project needs; one that names no dependency yields to the other file."""
    try:
        held = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: expected TOML, but {error}") from None
    project = held.get("project")
    if not isinstance(project, dict):
        return False
    dynamic = project.get("dynamic", ())
    return bool(project.get("dependencies")) or "dependencies" in dynamic or not or_else.is_file()


def _from_project(sources: Sources) -> BaseEnvironment:
    """From the lock where uv can read it, else from pyproject.toml's own ranges."""
    project = sources.project
    pyproject = (project / "pyproject.toml").read_text(encoding="utf-8")
    lock = project / "uv.lock"
    with scratch_folder() as scratch:
        if lock.is_file():
            wanted = scratch / "locked.txt"
            options = ("--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "--format=requirements-txt")
            text = envs.run_uv("export", "--project", str(project), *options)
            wanted.write_text(text, encoding="utf-8")
            said, contents, arguments = "uv.lock", [pyproject, text], ["-r", str(wanted)]
        else:
            said, contents = "pyproject.toml", [pyproject]
            arguments = ["-r", str(project / "pyproject.toml")]
        return _made(sources, contents, arguments, said, said, cwd=project, build=project)


def _made(
    sources: Sources,
    contents: Sequence[str],
    arguments: Sequence[str],
    said: str,
    option: str,
    *,
    cwd: Path,
    build: Path | None = None,
) -> BaseEnvironment:
    """Make an environment, or find it in the cache; `build` names a project that is installed as well."""
    try:
        interpreter = sources.python or sys.executable
        words = json.dumps([*contents, str(cwd), envs.version_of(interpreter), sys.platform])
        key = hashlib.sha256(words.encode()).hexdigest()[:16]

        def make(making: envs.Making) -> EnvironmentInfo:
            if arguments:
                sources.say(f"making the app's environment from {said} (once)")
            making.uv("venv", "--no-project", "--python", interpreter, str(making.folder))
            python = str(making.folder / "bin" / "python")
            if arguments:
                making.uv("pip", "install", "--python", python, "--directory", str(cwd), *arguments)
            if build is not None:
                _install_project(making, build, python)
            found = look(making.folder, said, option)
            packages = tuple(f"{name}=={version}" for name, version in sorted(found.packages.items()))
            return EnvironmentInfo(key=key, python=found.version, requirements=(said,), packages=packages)

        folder = envs.kept("bases", key, make).folder
    except EnvsError as error:
        raise UsageError(f"{option}: the app's environment can't be made; {error}") from None
    return look(folder, said, option)


def _install_project(making: envs.Making, project: Path, python: str) -> None:
    """Install a copy of the project, so that its version and entry points are known; its modules come from the project.

    Building leaves files beside the sources, so a copy is built. One that can't be built is done without.
    """
    if "build-system" not in tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8")):
        return
    with scratch_folder() as scratch, contextlib.suppress(EnvsError, OSError):
        sizes = (file.stat().st_size for file in project.rglob("*") if file.is_file() and ".venv" not in file.parts)
        if sum(sizes) > MOST_PROJECT_BYTES:
            return
        copy = scratch / project.name
        shutil.copytree(project, copy, ignore=_left_out, symlinks=True)
        making.uv("pip", "install", "--python", python, "--no-deps", str(copy))


def _left_out(folder: str, names: list[str]) -> set[str]:
    """Say what of a folder is not copied: what LEFT_OUT names, and what is no file, as sockets and pipes."""
    paths = {name: Path(folder) / name for name in names}
    return LEFT_OUT(folder, names) | {
        name for name, path in paths.items() if not (path.is_symlink() or path.is_file() or path.is_dir())
    }
