"""Which services a run needs: what apps and scenarios ask for, what this machine has, and what is left out by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sgibench import catalogue
from sgibench.errors import ServerError, UsageError, one_line
from sgibench.model import App, Cell, Scenario, ServerEntry
from sgibench.secrets import hidden, keep
from sgibench.serve.services import House, missing

EMBEDDED = "sqlite"
POSTGRESQL = "postgresql"
SCHEMES = ("postgresql", "postgres")

Pair = tuple[ServerEntry, App]


@dataclass(frozen=True, kw_only=True)
class Database:
    """Where `/items` stand, as `--database` says."""

    service: str | None = None
    """None for the embedded one."""
    url: str | None = None
    """Of an instance that exists; None for a private one."""

    @property
    def existing(self) -> dict[str, str]:
        """Instances that exist, by service."""
        return {self.service: self.url} if self.service and self.url else {}


def parse_database(text: str | None) -> Database:
    """Read `sqlite`, `postgresql` or a URL; raises UsageError."""
    if text in {None, "", EMBEDDED}:
        return Database()
    if text == POSTGRESQL:
        return Database(service=POSTGRESQL)
    try:
        parts = urlsplit(str(text))
        is_url = parts.scheme in SCHEMES and (parts.port is None or parts.port > 0)
    except ValueError:
        is_url = False
    if not is_url or not str(text).isprintable():
        raise UsageError(
            "--database: expected sqlite, postgresql (a private instance) or an address such as "
            "postgresql://user@host/name"
        )
    keep({"address of postgresql": str(text)})
    return Database(service=POSTGRESQL, url=str(text))


def on_database(pairs: Sequence[Pair], database: Database) -> tuple[list[Pair], dict[str, str]]:
    """Let the apps keep their items there; those that can't are left out, with the reason by app."""
    service = database.service
    if service is None:
        return [*pairs], {}
    fit = [(server, app.on(service)) for server, app in pairs if service in app.services]
    lacking = {app.id: f"it can't use {service}" for _, app in pairs if service not in app.services}
    if not fit:
        raise UsageError(f"--database: none of the chosen apps can use {service}: {', '.join(lacking)}")
    return _each_once(fit), lacking


def for_scenario(pairs: Sequence[Pair], scenario: Scenario) -> list[Pair]:
    """Let each app use what a scenario needs; those that can't are left out."""
    needed = {*scenario.services}
    fit = [(server, app.on(*needed - {*app.uses})) for server, app in pairs if needed <= {*app.services, *app.uses}]
    return _each_once(fit)


def _each_once(pairs: Sequence[Pair]) -> list[Pair]:
    return list({(server.id, app.id): (server, app) for server, app in pairs}.values())


def unfit_for(pairs: Sequence[Pair], scenarios: Sequence[Scenario]) -> dict[str, str]:
    """Say which apps can't be asked some scenario for want of a service, by app."""
    return {
        app.id: f"it can't use {' and '.join(lacking)}, which {scenario.id} needs"
        for scenario in scenarios
        for _, app in pairs
        if (lacking := sorted({*scenario.services} - {*app.services, *app.uses}))
    }


def refuse_unknown(found: catalogue.Catalogue, apps: Iterable[App], scenarios: Sequence[Scenario]) -> None:
    """Refuse services that nothing declares; raises UsageError with the nearest names."""
    known = [entry.id for entry in found.services]
    for who, names in (*((f"app {app.id}", app.uses) for app in apps), *((one.id, one.services) for one in scenarios)):
        for name in names:
            if name not in known:
                raise UsageError(
                    f"{who} needs the service {name!r}, and there is none: {catalogue.nearest(name, known)}"
                )


def apps_of(found: catalogue.Catalogue, cells: Iterable[Cell]) -> list[App]:
    """The apps of cells, on the services that they use."""
    return [found.app(app_id) for app_id in dict.fromkeys(cell.app for cell in cells)]


def without_missing(
    found: catalogue.Catalogue, cells: Sequence[Cell], scenarios: Sequence[Scenario], existing: Mapping[str, str]
) -> tuple[list[Cell], dict[str, str]]:
    """Leave out the cells whose services this machine does not have; gives the reasons by scenario or app."""
    uses = {app.id: app.uses for app in apps_of(found, cells)}
    lacking: dict[str, str] = {}
    for name in sorted({name for names in uses.values() for name in names} - existing.keys()):
        if why := missing(found.service(name).service):
            lacking[name] = f"{name}: {why}"
    needs = {scenario.id: scenario.services for scenario in scenarios}
    skipped: dict[str, str] = {}
    left = []
    for cell in cells:
        reasons = [lacking[name] for name in uses[cell.app] if name in lacking]
        if not reasons:
            left.append(cell)
        elif any(name in lacking for name in needs.get(cell.scenario, ())):
            skipped[cell.scenario] = "; ".join(reasons)
        else:
            skipped[cell.app] = "; ".join(reasons)
    return left, skipped


def refuse_unreachable(house: House) -> None:
    """Refuse an instance of the user's that does not answer, before anything is measured; raises UsageError."""
    for service in house.existing:
        try:
            house.drop(house.share(service, "first"))
        except ServerError as error:
            raise UsageError(one_line(hidden(f"--database: {error.detail}"))) from None
