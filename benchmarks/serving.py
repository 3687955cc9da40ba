"""Starts servers of the catalogue for the benchmarks beside it, and the load process that measures them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sgibench import catalogue
from sgibench.engine.orders import LoadProcess, Measured, Target
from sgibench.machine import CpuPlan, plan_cpus
from sgibench.model import Load, Scenario, Settings, Windows
from sgibench.serve import envs
from sgibench.serve.process import HOST, ServerProcess, ServerSpec

APPS = {"wsgi": "wsgi_plain", "asgi": "asgi_plain", "rsgi": "rsgi_plain"}


@dataclass(kw_only=True)
class Bench:
    """A load process, and servers that come and go."""

    load: LoadProcess
    cpus: CpuPlan
    scratch: Path
    scenarios: Mapping[str, Scenario]
    environments: Mapping[str, envs.Environment]
    threads: int = 8

    @contextmanager
    def servers(self, names: Sequence[str]) -> Iterator[list[ServerProcess]]:
        """Start these servers afresh, all at once; a name may come twice."""
        found = catalogue.load()
        with ExitStack() as stack:
            started: list[ServerProcess] = []
            for index, name in enumerate(names):
                entry = found.server(name)
                environment = self.environments[name]
                spec = ServerSpec(
                    entry=entry,
                    app=found.app(APPS[entry.variant.interface]),
                    settings=Settings(workers=1, threads=self.threads),
                    bin=environment.bin,
                    cpus=self.cpus.servers,
                    scratch=self.scratch / f"{index}-{name}",
                    versions=environment.versions,
                )
                started.append(stack.enter_context(ServerProcess(spec)))
            for server in started:
                server.wait_ready()
            yield started

    def measure(
        self,
        scenario: str,
        servers: Sequence[ServerProcess],
        *,
        window_s: float,
        slice_s: float | None,
        connections: int,
        seed: int,
        load: Load | None = None,
        turn_s: float | None = None,
    ) -> list[Measured]:
        """Measure the servers as a run would."""
        windows = Windows(window_s=window_s, slice_s=slice_s, turn_s=turn_s)
        targets = [
            Target(id=f"{index}", host=HOST, port=server.port, pids=server.pids())
            for index, server in enumerate(servers)
        ]
        return self.load.measure(
            self.scenarios[scenario],
            targets,
            load or Load(kind="closed", connections=connections),
            windows,
            seed,
            on_step=lambda _: None,
            watch=dict,
        )


@contextmanager
def bench(servers: Sequence[str], scenarios: Sequence[str], say: Callable[[str], None]) -> Iterator[Bench]:
    """Make the servers' environments and start the load process, pinned apart from the servers."""
    found = catalogue.load()
    wanted = {name: found.server(name).variant.packages for name in dict.fromkeys(servers)}
    say(f"environments: {', '.join(wanted)}")
    ready, refused = envs.ensure_all(wanted)
    if refused:
        raise SystemExit("\n".join(f"{name}: {why}" for name, why in refused.items()))
    cpus = plan_cpus(1)
    scratch = Path(tempfile.mkdtemp(prefix="sgibench-benchmark-"))
    paths = {path.stem: path for path in found.scenario_paths}
    try:
        with LoadProcess(cpus.load, scratch / "load.log", awake=cpus.load_alone(1)) as load:
            described = load.describe([paths[name] for name in scenarios])
            by_id = {scenario.id: scenario for scenario in described}
            yield Bench(load=load, cpus=cpus, scratch=scratch, scenarios=by_id, environments=ready)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
