"""What a server of the web UI uses of services: started for it, watched under load, counted apart, buried with it.

The rules are the engine's (`sgibench.engine.services`): here is only what one server needs from its start to its end.
A service fails the tests of its server with the same reasons as in a run, and its rows are counted alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sgibench import catalogue
from sgibench.bench.services import Database
from sgibench.engine.orders import Measured
from sgibench.engine.services import Used, Witness
from sgibench.errors import LoadError, UsageError
from sgibench.machine import family_cpu_s
from sgibench.model import App, Failure, Scenario, ServiceInfo, ServiceUse
from sgibench.serve.services import missing

HERE = "here"
"""The one server that there is, for whoever wants a name for it."""


def app_on(app: App, database: Database) -> App:
    """Let an app keep its items in a database; raises UsageError for one that can't."""
    service = database.service
    if service is None:
        return app
    if app.own is not None:
        raise UsageError("--database is for the apps of the catalogue; give an app of your own its address with --env")
    if service not in (*app.services, *app.uses):
        raise UsageError(f"database: {app.id} can't use {service}")
    return app.on(service)


def app_for_scenario(app: App, scenario: Scenario) -> App:
    """Let an app use what a scenario needs; raises LoadError for what can't be put on here."""
    if lacking := sorted({*scenario.services} - {*app.services, *app.uses}):
        raise LoadError(f"{app.id} can't use {' and '.join(lacking)}, which {scenario.id} needs")
    fit = app.on(*scenario.services)
    if scenario.jobs and (by := [service for service in fit.uses if service in fit.workers]):
        raise LoadError(
            f"{scenario.id} hands jobs to a worker process through {by[0]}, which sgibench run starts and the web UI "
            "does not"
        )
    return fit


def refuse_missing(found: catalogue.Catalogue, app: App, existing: Mapping[str, str]) -> None:
    """Refuse an app whose services this machine does not have; raises LoadError with what adds them."""
    for name in app.uses:
        if name not in existing and (why := missing(found.service(name).service)):
            raise LoadError(f"{name}: {why}")


class InUse:
    """What one server uses, from its start on."""

    def __init__(self, used: Used, scenario: Scenario) -> None:
        """Look how things stand before the load."""
        self._used = used
        self._witness = Witness(scenario, {HERE: used})
        self._spent_s: Mapping[str, float | None] = {}

    @property
    def pool(self) -> int | None:
        """Connections that each process of the server may hold; None without a service."""
        return self._used.pool

    def families(self) -> tuple[tuple[int, ...], ...]:
        """All processes of each private service, its first in front."""
        return tuple(self._used.families().values())

    def begin(self) -> None:
        """Counting begins: read the clocks."""
        self._spent_s = self._read()

    def look(self) -> None:
        """Look at the connections."""
        self._witness.look()

    def counted(self, measured: Measured) -> Measured:
        """Add the CPU of the services since counting began."""
        now_s, before_s = self._read(), self._spent_s
        spent_s = {
            name: used_s - begun_s
            for name, used_s in now_s.items()
            if used_s is not None and (begun_s := before_s.get(name)) is not None
        }
        return replace(measured, service_cpu_s=spent_s)

    def trouble(self) -> Failure | None:
        """Say that a service is out of use; None while all goes well. To be asked again and again."""
        error = self._used.trouble()
        if error is None:
            return None
        return Failure(reason=error.reason, detail=error.detail, log_tail=error.log_tail)

    def complaint(self) -> Failure | None:
        """Say that a service lost a process or had no room for another connection; this asks the service."""
        return self._used.complaint()

    def rows_differ(self, measured: Measured) -> Failure | None:
        """Say that the rows do not add up with the answers since the server was started."""
        return self._witness.judge(HERE, measured)

    def uses(self, measured: Measured) -> tuple[ServiceUse, ...]:
        """Say what was used so far."""
        return self._witness.uses_of(HERE, measured)

    def infos(self, server_cpus: Sequence[int]) -> dict[str, ServiceInfo]:
        """Say what the services are."""
        return {} if self._used.house is None else self._used.house.infos(server_cpus)

    def _read(self) -> dict[str, float | None]:
        return {name: family_cpu_s(pids) for name, pids in self._used.families().items()}
