"""A server's packages laid over the app's environment: the same interpreter, and the app's versions win.

The overlay is an environment of its own in the cache, with one line that adds the app's packages after its own. Only
what the app's environment lacks is installed in it. Where the app brings the server itself, that version is served,
unless the user named one.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sgibench.errors import EnvsError
from sgibench.model import BaseEnvironment, EnvironmentInfo
from sgibench.serve import envs
from sgibench.serve.own.base import normal
from sgibench.serve.scratch import scratch_folder

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==(\S+)")
SCRIPTS = """
import stat, sys
from importlib import metadata
from pathlib import Path
for name in sys.argv[2:]:
    for entry in metadata.distribution(name).entry_points:
        script = Path(sys.argv[1]) / entry.name
        if entry.group != "console_scripts" or script.exists():
            continue
        first, _, rest = entry.attr.partition(".")
        called = ".".join(part for part in (first, rest) if part)
        text = f"#!{sys.executable}\\nimport sys\\nfrom {entry.module} import {first}\\nsys.exit({called}())\\n"
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)
"""
"""Writes the commands of packages that the app's environment brings, for the overlay's interpreter."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a server needs, and what of it must be exactly so."""

    requirements: tuple[str, ...]
    """Those of the variant, pinned as its file has them."""
    named: bool = False
    """Whether the user named the server's version, so that it wins over the app's."""

    @property
    def names(self) -> tuple[str, ...]:
        """Normalised names, the server's own first."""
        return tuple(normal(found[0]) for each in self.requirements if (found := _NAME.match(each)))


def yours(base: BaseEnvironment, wanted: Wanted) -> str | None:
    """Give the version of the server that the app brings and that is served; None when it is sgibench's."""
    server = wanted.names[0] if wanted.names else None
    return None if server is None or wanted.named else base.packages.get(server)


def ensure_overlays(
    base: BaseEnvironment, wanted: Mapping[str, Wanted]
) -> tuple[dict[str, envs.Environment], dict[str, str]]:
    """Lay an overlay over the app's environment for each name; also gives the reason for each that can't be."""
    return envs.make_all(wanted, lambda one, makers: ensure_overlay(base, one, makers))


def ensure_overlay(base: BaseEnvironment, wanted: Wanted, makers: envs.Makers | None = None) -> envs.Environment:
    """Find the overlay in the cache, or make it. Raises EnvsError with uv's reason when packages can't agree."""
    words = json.dumps(
        [str(base.python), base.version, sorted(base.packages.items()), sorted(wanted.requirements), wanted.named]
    )
    key = hashlib.sha256(words.encode()).hexdigest()[:16]
    found = envs.kept("overlays", key, lambda making: _make(making, key, base, wanted), makers)
    return replace(found, info=replace(found.info, packages=_together(base, found.info.packages)))


def _together(base: BaseEnvironment, installed: Sequence[str]) -> tuple[str, ...]:
    """All packages that can be imported: where both have one, the overlay's is found first."""
    laid = {normal(each.partition("==")[0]): each for each in installed}
    theirs = {name: f"{name}=={version}" for name, version in base.packages.items()}
    return tuple(sorted({**theirs, **laid}.values()))


def _make(making: envs.Making, key: str, base: BaseEnvironment, wanted: Wanted) -> EnvironmentInfo:
    resolved = resolve(making, base, wanted)
    installed = to_install(base, wanted, resolved)
    making.uv("venv", "--no-project", "--python", str(base.python), str(making.folder))
    python = making.folder / "bin" / "python"
    pinned = tuple(f"{name}=={version}" for name, version in sorted(installed.items()))
    if pinned:
        making.uv("pip", "install", "--no-deps", "--python", str(python), "--compile-bytecode", *pinned)
    _lay_over(making.folder, base)
    _write_scripts(python, [name for name in resolved if name in base.packages and name not in installed])
    return EnvironmentInfo(key=key, python=base.version, requirements=wanted.requirements, packages=pinned)


def resolve(making: envs.Making, base: BaseEnvironment, wanted: Wanted) -> dict[str, str]:
    """Find versions of all that the server needs which agree with what the app has; raises EnvsError."""
    server = wanted.names[:1] if wanted.named else ()
    requirements = [
        _NAME.match(each)[0] if name in base.packages and name not in server else each  # type: ignore[index]
        for name, each in zip(wanted.names, wanted.requirements, strict=True)
    ]
    if not requirements:
        return {}
    held = [
        f"{name}=={version}"
        for name, version in sorted(base.packages.items())
        if name not in base.fixed and name not in server
    ]
    with scratch_folder() as scratch:
        asked, constraints = scratch / "wanted.txt", scratch / "yours.txt"
        asked.write_text("\n".join(requirements) + "\n", encoding="utf-8")
        constraints.write_text("\n".join(held) + "\n", encoding="utf-8")
        options = ("--no-header", "--no-annotate", "--no-config", "--python", str(base.python))
        try:
            told = making.uv("pip", "compile", "--quiet", *options, "-c", str(constraints), str(asked))
        except EnvsError as error:
            raise EnvsError(f"its packages can't agree with the app's ({base.said}): {error}") from None
    return {normal(found[1]): found[2] for line in told.splitlines() if (found := _PINNED.match(line.strip()))}


def to_install(base: BaseEnvironment, wanted: Wanted, resolved: dict[str, str]) -> dict[str, str]:
    """Leave out what the app's environment has; a package with programs of its own is installed in any case."""
    server = wanted.names[:1] if wanted.named else ()
    return {
        name: base.packages.get(name, version) if name not in server else version
        for name, version in resolved.items()
        if name not in base.packages or name in server or name in base.programs
    }


def _lay_over(folder: Path, base: BaseEnvironment) -> None:
    """Add the app's packages after the overlay's own; a line that imports is run, so that their .pth files count."""
    for site in folder.glob("lib*/python*/site-packages"):
        lines = [f"import site; site.addsitedir({str(each)!r})" for each in base.sites]
        (site / "_sgibench_app.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_scripts(python: Path, names: Sequence[str]) -> None:
    """Write the commands of the app's own servers; raises EnvsError."""
    if not names:
        return
    done = subprocess.run(
        [str(python), "-c", SCRIPTS, str(python.parent), *names],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise EnvsError(f"the commands of {', '.join(names)} can't be written: {last}")
