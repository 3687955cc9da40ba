"""Where a service's programs are: on the system, or else in a package that carries them."""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sgibench.errors import EnvsError
from sgibench.model import Service
from sgibench.serve import envs
from sgibench.serve.needs import PROGRAMS

PASSABLE = 0o005
"""Others may pass and read."""


@dataclass(frozen=True, kw_only=True)
class Programs:
    """The programs of one service, all from one folder."""

    paths: Mapping[str, Path]
    source: str
    """`system`, or the package that they came with."""
    root: Path | None = None
    """Of a package: the folder that they need whole, `bin` in it."""


def find(service: Service) -> Programs:
    """Find the programs, the system's first; raises EnvsError with the command that adds them."""
    found = on_system(service)
    if found is not None:
        return found
    if service.wheel is None:
        raise EnvsError(_lacking(service))
    try:
        environment = envs.ensure((service.wheel,))
    except EnvsError as error:
        raise EnvsError(f"{_lacking(service)} ({service.wheel}, which brings it, can't be had: {error})") from None
    for root in sorted(environment.folder.glob(service.inside)):
        for group in service.programs:
            if paths := _all_in(root / "bin", group):
                return Programs(paths=paths, source=service.wheel, root=root)
    raise EnvsError(f"{_lacking(service)} ({service.wheel} has it for other systems only)")


def missing(service: Service) -> str | None:
    """Say what has to be added before the service can be used; None when it can."""
    try:
        find(service)
    except EnvsError as error:
        return str(error)
    return None


def on_system(service: Service) -> Programs | None:
    """Look in PATH, then in the folders that the declaration names, the newest version first."""
    for group in service.programs:
        for folder in _folders(service):
            paths = _all_in(folder, group)
            if paths and all(_reached(path.resolve().parent) for path in paths.values()):
                return Programs(paths=paths, source="system")
    return None


def _folders(service: Service) -> Iterator[Path]:
    named = os.environ.get("PATH", os.defpath).split(os.pathsep)
    folders = [folder for folder in (*named, *PROGRAMS) if folder]
    for pattern in service.folders:
        folders += sorted(glob.glob(pattern), key=_version, reverse=True)  # noqa: PTH207 - of any root
    yield from (Path(folder) for folder in folders if _reached(Path(folder)))


def _reached(folder: Path) -> bool:
    """Started by root, a service runs as an account that root's own folders are closed to."""
    return os.geteuid() != 0 or open_to_all(folder)


def open_to_all(folder: Path) -> bool:
    """Whether any account may pass to a folder and read it."""
    try:
        places = (folder.resolve(), *folder.resolve().parents)
        return all(place.stat().st_mode & PASSABLE == PASSABLE for place in places)
    except OSError:
        return False


def _version(folder: str) -> list[int]:
    """Its numbers, so that 15 comes after 9."""
    return [int(number) for number in re.findall(r"\d+", folder)]


def _all_in(folder: Path, group: tuple[str, ...]) -> dict[str, Path] | None:
    found = {name: shutil.which(name, path=str(folder)) for name in group}
    paths = {name: Path(path).absolute() for name, path in found.items() if path}
    return paths if len(paths) == len(group) else None


def _lacking(service: Service) -> str:
    names = " or ".join(" and ".join(group) for group in service.programs)
    return f"it needs {names}: {service.how}"
