"""All services of one command: started when they are first needed, shared out to servers, started anew when they fail.

One instance serves all servers, each through a share of its own. Whoever measures looks at `trouble` while it does; a
service that is out of use fails what is measured just then, and the next share comes from a new instance.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sgibench import machine
from sgibench.catalogue.services import client_of_existing
from sgibench.errors import EnvsError, MisdeclaredError, ServerError
from sgibench.model import Memory, Rows, ServiceClient, ServiceEntry, ServiceInfo, ShareLook, variable_of
from sgibench.secrets import keep
from sgibench.serve.scratch import scratch_folder
from sgibench.serve.services.answers import CheckedClient
from sgibench.serve.services.instance import Instance, asked

PASSING = 0o711
"""Others may pass through the folder of services to what is theirs, and list nothing."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A service that is out of use, and how."""

    service: str
    detail: str
    """One sentence."""
    log_tail: str = ""

    def error(self) -> ServerError:
        """As what a trial fails with."""
        return ServerError("service", self.detail, self.log_tail)


@dataclass(frozen=True, kw_only=True)
class Share:
    """One server's part of one service."""

    service: str
    name: str
    address: str = field(repr=False)
    """A URL, with the password in it."""
    generation: int
    """Which start of the service it belongs to."""

    @property
    def variables(self) -> dict[str, str]:
        """How the app learns of it."""
        return {variable_of(self.service): self.address}


@dataclass(kw_only=True)
class _Running:
    """A service in use: private, or one that exists."""

    entry: ServiceEntry
    instance: Instance | None
    client: ServiceClient | None = None
    version: str = ""
    generation: int = 0

    def ask(self, question: Callable[[ServiceClient], object]) -> object:
        if self.instance is not None:
            return self.instance.ask(question)
        if self.client is None:
            raise AssertionError("a service is neither private nor one that exists")
        return asked(self.entry.id, self.client, question)


class House:
    """The services of one command; a context manager that leaves nothing behind."""

    def __init__(
        self, entries: Sequence[ServiceEntry], cpus: Sequence[int] = (), existing: Mapping[str, str] | None = None
    ) -> None:
        """Nothing is started before it is needed. `existing` names instances of the user's, by service: URLs."""
        self.entries = {entry.id: entry for entry in entries}
        self.cpus = tuple(cpus)
        self.existing = dict(existing or {})
        keep({f"address of {service}": url for service, url in self.existing.items()})
        self._running: dict[str, _Running] = {}
        self._stack = contextlib.ExitStack()
        self._folder: Path | None = None
        self._shares: dict[tuple[str, str], Share] = {}
        self._number = 0
        self._lock = threading.RLock()
        """Threads that check servers side by side ask one after the other."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Take the shares of instances that stay away, and bury the others."""
        for service, running in self._running.items():
            if running.instance is None:
                for share in [one for one in self._shares.values() if one.service == service]:
                    with contextlib.suppress(ServerError):
                        self.drop(share)
        self._stack.close()
        self._running.clear()

    # --- shares ----------------------------------------------------------------------------------------------------

    def share(self, service: str, owner: str) -> Share:
        """Give a server an empty share of a service, which is started first where it has to be; raises ServerError."""
        with self._lock:
            running = self._in_use(service)
            self._number += 1
            name = share_name(owner, self._number)
            address = str(running.ask(lambda client: client.share(name)))
            share = Share(service=service, name=name, address=address, generation=running.generation)
            self._shares[service, name] = share
            return share

    def drop(self, share: Share) -> None:
        """Take a share away, unless its instance is gone; raises ServerError."""
        with self._lock:
            self._shares.pop((share.service, share.name), None)
            if (running := self._alive(share)) is not None:
                running.ask(lambda client: client.drop(share.name))

    def look(self, share: Share) -> ShareLook:
        """Look at a share; raises ServerError."""
        with self._lock:
            running = self._of(share)
            looked = running.ask(lambda client: client.look(share.name))
            return looked if isinstance(looked, ShareLook) else ShareLook()

    def rows(self, share: Share) -> Rows | None:
        """Count a share's items; raises ServerError."""
        with self._lock:
            counted = self._of(share).ask(lambda client: client.rows(share.name))
            return counted if isinstance(counted, Rows) else None

    def _of(self, share: Share) -> _Running:
        running = self._alive(share)
        if running is None:
            raise ServerError("service", f"{share.service} is gone, and what it held with it")
        return running

    def _alive(self, share: Share) -> _Running | None:
        running = self._running.get(share.service)
        if running is None or running.generation != share.generation or _out_of_use(running) is not None:
            return None
        return running

    # --- instances -------------------------------------------------------------------------------------------------

    def _in_use(self, service: str) -> _Running:
        """The service, started or started anew; one that was in use already and is silent is not believed."""
        running = self._running.get(service)
        if running is not None and _out_of_use(running) is None:
            try:
                running.ask(lambda client: client.version())
            except ServerError:
                if running.instance is None:
                    raise
            else:
                return running
        generation = 0 if running is None else running.generation + 1
        if running is not None and running.instance is not None:
            running.instance.kill()
        self._running[service] = started = self._start(self.entries[service], generation)
        return started

    def _start(self, entry: ServiceEntry, generation: int) -> _Running:
        url = self.existing.get(entry.id)
        if url is not None:
            return self._reach(entry, url, generation)
        folder = self._scratch() / f"{entry.id}-{generation}"
        instance = Instance(entry, folder, self.cpus)
        try:
            self._stack.enter_context(instance)
        except EnvsError as error:
            raise ServerError("environment", f"{entry.id}: {error}") from None
        except MisdeclaredError:
            raise
        except ServerError as error:
            raise ServerError("service", f"{entry.id} can't be started: {error}", error.log_tail) from None
        return _Running(entry=entry, instance=instance, version=instance.version, generation=generation)

    @staticmethod
    def _reach(entry: ServiceEntry, url: str, generation: int) -> _Running:
        found = client_of_existing(entry, url)
        if found is None:
            raise ServerError(
                "service", f"{entry.id} can't be used where it exists already, only as a private instance"
            )
        client = CheckedClient(entry, found)
        version = asked(entry.id, client, lambda one: one.version())
        return _Running(entry=entry, instance=None, client=client, version=version, generation=generation)

    def _scratch(self) -> Path:
        """The folder of all instances; the accounts that they run under may pass."""
        if self._folder is None:
            self._folder = self._stack.enter_context(scratch_folder())
            if os.geteuid() == 0:
                self._folder.chmod(PASSING)
        return self._folder

    # --- what they are ---------------------------------------------------------------------------------------------

    def trouble(self, shares: Sequence[Share]) -> Trouble | None:
        """Say which service of these shares is out of use; None when none is."""
        for share in shares:
            running = self._running.get(share.service)
            if running is None or running.generation != share.generation:
                return Trouble(service=share.service, detail=f"{share.service} was started anew meanwhile")
            if how := _out_of_use(running):
                tail = "" if running.instance is None else running.instance.log_tail()
                return Trouble(service=share.service, detail=f"{share.service} {how}", log_tail=tail)
        return None

    def pids(self, service: str) -> tuple[int, ...]:
        """All processes of a private instance; none of one that exists."""
        running = self._running.get(service)
        return () if running is None or running.instance is None else running.instance.pids()

    def root(self, service: str) -> int | None:
        """The first process of a private instance, below which are all others; None for one that exists."""
        running = self._running.get(service)
        return None if running is None or running.instance is None else running.instance.pid

    def version(self, service: str) -> str | None:
        """Which version is in use."""
        running = self._running.get(service)
        return None if running is None else running.version

    def pooled(self, service: str) -> bool:
        """Whether apps keep a pool of connections to it."""
        entry = self.entries.get(service)
        return entry is not None and entry.service.pooled

    def memory(self, service: str) -> Memory | None:
        """Memory of a private instance; None for one that exists."""
        running = self._running.get(service)
        return None if running is None or running.instance is None else running.instance.memory()

    def infos(self, servers: Sequence[int] = ()) -> dict[str, ServiceInfo]:
        """Describe the services in use; `servers` are the CPUs that servers run on."""
        return {service: self._info(running, servers) for service, running in sorted(self._running.items())}

    def _info(self, running: _Running, servers: Sequence[int]) -> ServiceInfo:
        instance = running.instance
        if instance is None:
            return ServiceInfo(version=running.version, private=False)
        source = instance.programs.source if instance.programs else ""
        return ServiceInfo(
            version=running.version,
            private=True,
            cpus=self.cpus,
            shared_cpus=bool({*self.cpus} & {*servers}) or not self.cpus,
            source=source,
        )


def _out_of_use(running: _Running) -> str | None:
    return None if running.instance is None else running.instance.ended()


def share_name(owner: str, number: int) -> str:
    """Name a share so that any service takes it and it tells whose it is: at most 63 small letters and digits."""
    kept = re.sub(r"[^a-z0-9]+", "_", owner.lower()).strip("_")[:36]
    return f"sgibench_{os.getpid()}_{number}_{kept}"


def usual_cpus(plan: machine.CpuPlan) -> tuple[int, ...]:
    """CPUs for services: those that neither servers nor load have; with none left, the servers'."""
    taken = {machine.core_of(cpu) for cpu in (*plan.servers, *plan.load)}
    left = tuple(cpu for cpu in machine.usable_cpus() if machine.core_of(cpu) not in taken)
    return left if plan.servers and left else plan.servers
