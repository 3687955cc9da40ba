"""`sgibench init`: looks around in a project, says what it found, and writes it down for `sgibench run`."""

from __future__ import annotations

import json
import shlex
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from sgibench import bench
from sgibench.bench.answering import Answering, answering, named
from sgibench.cli import config
from sgibench.cli.own import Own, own_request
from sgibench.cli.subjects import Apps, one, takes
from sgibench.errors import UsageError
from sgibench.model import App, Asked
from sgibench.paths import is_file
from sgibench.secrets import hidden
from sgibench.serve.own.base import shown
from sgibench.serve.own.copying import changes, state_of
from sgibench.serve.own.searching import candidates
from sgibench.serve.scratch import scratch_folder

MOST_TRIED = 8
DECLARES = ("pyproject.toml", "requirements.txt", "uv.lock", ".venv/pyvenv.cfg")
"""What says that a folder is a project with an environment of its own."""
SECRET = ("--env", "--header", "--body")
"""Options whose values are not written down."""


@click.command(epilog="Example: sgibench init --project my-project")
@one(Apps, "apps")
@takes(own=Own)
@click.option("--force", is_flag=True, help="Write over what is there.")
def init(apps: tuple[str, ...], own: Own, *, force: bool) -> None:
    """Look around for your app, its environment and what it answers, and write that into the project.

    It goes into pyproject.toml as [tool.sgibench] where there is one, else into sgibench.toml. Then `sgibench run`
    alone measures your app.
    """
    project = own.project.resolve()
    request = own_request(own)
    if not project.is_dir():
        raise UsageError(f"--project {own.project}: expected a folder")
    held = config.read(project)
    if held is not None and not force:
        raise UsageError(f"{held[0]} says it already: change it there, or pass --force")
    before = state_of(project)
    app, told = _found(project, apps, request)
    answers = Answering(asked=request.asked) if request.asked else answering(app)
    if found := changes(before, state_of(project)):
        told.append(bench.changed(found, copied=app.own is not None and app.own.copied))
    for line in (*told, *_environment(app)):
        click.echo(line)
    for line in _requests(answers):
        click.echo(line)
    values = _values(app, own, project, answers.asked)
    file = write_table(project, values)
    for line in _unwritten(own):
        click.echo(line)
    click.echo(
        f"wrote {shown(file, project)}; next: sgibench run" + ("" if answers.asked else " (after naming requests)")
    )


def _found(project: Path, apps: tuple[str, ...], request: bench.OwnRequest) -> tuple[App, list[str]]:
    """Find an app that can be served; says what was tried. Raises UsageError when there is none."""
    tried = [(app,) for app in apps] or candidates(project)
    if not tried:
        raise UsageError(
            f"{project}: found nothing that looks like an app; name it: sgibench init --app module:attribute"
        )
    refused = []
    for names in tried[:MOST_TRIED]:
        for text in names:
            try:
                with scratch_folder() as scratch:
                    app = bench.find_app(text, request, scratch)
            except UsageError as error:
                refused.append(hidden(str(error)))
                continue
            others = [other[-1] for other in tried if other != names]
            more = f" and {len(others) - MOST_TRIED} more" if len(others) > MOST_TRIED else ""
            there = [f"also there: {', '.join(others[:MOST_TRIED])}{more}"] if others else []
            return app, [f"app: {text}, {app.summary}", *there]
    besides = f" (and {len(refused) - 1} more were tried)" if len(refused) > 1 else ""
    inner = _projects_within(project, [names[-1] for names in tried])
    within = f"; there are projects within this one: sgibench init --project {' or '.join(inner)}" if inner else ""
    raise UsageError(refused[0] + besides + within)


def _projects_within(project: Path, names: Sequence[str]) -> list[str]:
    """Name the folders with an environment of their own that apps lie in, as where a repository holds several."""
    found: dict[str, None] = {}
    for name in names:
        place = name.partition(":")[0]
        folders = Path(place if "/" in place else place.replace(".", "/")).parents
        inner = [one for one in folders if one != Path() and any(is_file(project / one / file) for file in DECLARES)]
        found |= dict.fromkeys(shlex.quote(str(one)) for one in inner[-1:])
    return [*found][:MOST_TRIED]


def _environment(app: App) -> list[str]:
    if app.own is None:
        return []
    base = app.own.base
    lifespan = [] if app.own.lifespan is None else [f"lifespan: {app.own.lifespan}"]
    return [f"environment: {base.said} (Python {base.version}, {len(base.packages)} packages)", *lifespan]


def _requests(found: Answering) -> list[str]:
    """Say what will be asked, and what not and why: also what the app itself says that there is."""
    there = named(found.routes)
    if found.failure:
        return [f"requests: {found.failure}", *([f"the app has {there}"] if there else [])]
    if not found.asked:
        routes = f"; the app has {there}" if there else ""
        front = f" (GET /: {found.front})" if found.front else ""
        first = f"none was answered: name some with --request{routes}{front}"
    else:
        first = ", ".join(each.name for each in found.asked)
    untried = [f"not asked: the app has {there}, too; add them with --request"] if there and found.asked else []
    return [f"requests: {first}", *(f"left out: {one}" for one in found.left_out), *untried]


def _values(app: App, own: Own, project: Path, asked: tuple[Asked, ...]) -> dict[str, object]:
    """Say what goes into the file: what was found, and what the command line said. Its paths are the file's."""
    if app.own is None:
        raise AssertionError("an app of the catalogue was found")

    def placed(files: Sequence[Path]) -> list[str] | None:
        whole = [file.resolve() if file != own.venv else file.absolute() for file in files]
        return [str(one.relative_to(project)) if one.is_relative_to(project) else str(one) for one in whole] or None

    sources = {"har": placed(own.har), "access-log": placed(own.access_log), "openapi": placed(own.openapi)}
    told: dict[str, object] = {
        "interface": own.interface,
        "venv": None if own.venv is None else (placed([own.venv]) or [""])[0],
        "requirements": placed(own.requirements),
        "env-file": placed(own.env_file),
        "prepare": [*own.prepare] or None,
        "copy": own.copy,
        "ready": own.ready,
        "memory": own.memory,
        **sources,
    }
    taken = [*own.requests] or (
        None if any(sources.values()) else [f"{each.weight} {each.line}" for each in asked] or None
    )
    held = {"app": app.own.spec, **told, "request": taken}
    return {key: value for key, value in held.items() if value is not None}


def _unwritten(own: Own) -> list[str]:
    """Say which options were not written down."""
    given = [flag for flag, values in zip(SECRET, (own.env, own.header, own.body), strict=True) if values]
    if not given:
        return []
    file = " (--env-file names a file of variables)" if own.env else ""
    return [f"not written, because secrets may be in it: {', '.join(given)}; give it to sgibench run, too{file}"]


def write_table(project: Path, values: Mapping[str, object]) -> Path:
    """Write the table; into pyproject.toml where there is one. Nothing is written that would not be read back so."""
    lines = [f"{key} = {_toml(value)}" for key, value in values.items()]
    shared, own = project / "pyproject.toml", project / config.OWN_FILE
    file = shared if shared.is_file() and not own.is_file() else own
    try:
        if file == shared:
            text = config.without_table(shared.read_text(encoding="utf-8"))
            lines = [text.rstrip("\n") + "\n", "[tool.sgibench]", *lines]
        whole = "\n".join(lines) + "\n"
        _refuse_misread(file, whole, values)
        _replace(file.resolve(), whole.encode())
    except OSError as error:
        raise UsageError(f"{error.filename} can't be written: {error.strerror}") from None
    except UnicodeEncodeError:
        raise UsageError(f"{file} can't hold names that are no text: name app and files otherwise") from None
    return file


def _replace(file: Path, data: bytes) -> None:
    """Write a file at one stroke: it is the user's, and a full disk must not cost them what stood in it."""
    beside = file.with_name(f".{file.name}.new")
    try:
        beside.write_bytes(data)
        if file.exists():
            shutil.copymode(file, beside)
        beside.replace(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _toml(value: object) -> str:
    """Write a text, a number or a list of them; JSON is TOML but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _refuse_misread(file: Path, text: str, values: Mapping[str, object]) -> None:
    """Raise UsageError when what would be written says something else: the file holds the table in another form."""
    try:
        held: object = tomllib.loads(text)
        if file.name != config.OWN_FILE:
            held = held["tool"]["sgibench"]  # type: ignore[index]  # a TypeError is caught
    except (ValueError, KeyError, TypeError):
        held = None
    if held != values:
        told = "\n".join(f"{key} = {_toml(value)}" for key, value in values.items())
        raise UsageError(f"{file} is left as it is: the table can't be put into it. Put in yourself: {told}")
