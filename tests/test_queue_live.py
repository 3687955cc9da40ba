"""Redis, memcached and Celery for real: cached pages, jobs that a worker does, and what is said when one is gone."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sgibench import bench, catalogue, inside
from sgibench.engine.progress import Silent
from sgibench.model import Cell, Run, Settings, Trial
from sgibench.results import store
from sgibench.serve import envs, process
from sgibench.serve.services import House
from sgibench.verify import verify_contract
from sgibench.verify.client import Client, Question
from tests.test_services import eventually, need_service

CATALOGUE = catalogue.load()
KEPT = {
    "wsgi_flask+redis": "gunicorn-gthread",
    "wsgi_django+redis": "gunicorn-gthread",
    "asgi_django+redis": "uvicorn-httptools",
    "asgi_fastapi+redis": "uvicorn-httptools",
    "wsgi_flask+memcached": "gunicorn-gthread",
    "asgi_django+memcached": "uvicorn-httptools",
    "asgi_fastapi+memcached": "uvicorn-httptools",
}
"""Apps with their cache on a service, and a server for each."""


@pytest.fixture(autouse=True)
def _needs_services() -> None:
    for name in ("redis", "memcached"):
        need_service(name)


@pytest.mark.parametrize("app_id", KEPT)
def test_an_app_whose_cache_is_a_service_keeps_the_contract_and_says_what_it_does_without(
    app_id: str, tmp_path: Path
) -> None:
    app, entry = CATALOGUE.app(app_id), CATALOGUE.server(KEPT[app_id])
    (service,) = app.uses
    checks = ("page", "cached", "jobs") if service == "redis" else ("page", "cached")
    with House(CATALOGUE.services) as house:
        share = house.share(service, "test")
        spec = process.ServerSpec(
            entry=entry,
            app=app,
            settings=Settings(workers=1, threads=4),
            bin=envs.ensure((*entry.variant.packages, *app.packages)).bin,
            cpus=(),
            scratch=tmp_path / "server",
            variables=share.variables,
        )
        with process.ServerProcess(spec) as server:
            server.wait_ready()
            problems = verify_contract(process.HOST, server.port, app.interface, CATALOGUE.contract, checks)
            assert [str(problem) for problem in problems] == []
            found = inside.read_cache(server.data)
            assert found is not None
            assert (found.asked, found.missed) == (5, 2)
            root = house.root(service)
            assert root
            os.kill(root, signal.SIGKILL)
            assert eventually(lambda: house.trouble([share]) is not None)
            with Client(process.HOST, server.port) as client:
                reply = client.ask(Question(method="GET", path="/cached/1"))
    # Flask-Caching goes on without its cache; the others say that something is wrong.
    assert reply.status == (200 if app_id.startswith("wsgi_flask") else 500)


# --- a worker that goes away ----------------------------------------------------------------------------------------


def worker_processes() -> list[psutil.Process]:
    """Processes of the worker that this process has started, the first in front."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "jobs_celery" in child.cmdline():
                found.append(child)
    return found


class Hitting(Silent):
    """Sends a signal to the worker when the window of a block begins."""

    def __init__(self, hits: dict[int, Callable[[], None]]) -> None:
        self._hits = hits
        self._block = -1

    def step(self, cell: Cell, phase: str, done: float) -> None:  # noqa: ARG002 - a listener's
        """A new worker stands for a new block."""
        if cell.app == "wsgi_flask+redis" and phase == "starting":
            self._block += 1
        if cell.app == "wsgi_flask+redis" and phase == "measure":
            self._hits.pop(self._block, lambda: None)()


def kill_worker() -> None:
    worker_processes()[0].kill()


def stop_worker() -> None:
    for one in worker_processes():
        os.kill(one.pid, signal.SIGSTOP)


@pytest.fixture(scope="module")
def hit(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Jobs with and without Celery; in two of three blocks something happens to the worker."""
    request = bench.Request(
        results=tmp_path_factory.mktemp("queue") / "results",
        argv=("sgibench", "run"),
        servers=("gunicorn-gthread",),
        apps=("wsgi_flask", "wsgi_flask+redis"),
        scenarios=("jobs",),
        blocks=3,
        window_s=3.0,
        connections=(4,),
        seed=1,
        control=False,
        rate_per_s=0.0,
        retries=0,
    )
    listener = Hitting({0: kill_worker, 1: stop_worker})
    return store.read_run(bench.run(request, listener).folder)


def trial_of(run: Run, app: str, block: int) -> Trial:
    return next(trial for trial in run.trials if trial.app == app and trial.block == block)


@pytest.mark.parametrize(("block", "reason"), [(0, "worker-died"), (1, "worker-stopped")])
def test_a_worker_that_goes_away_fails_that_trial_with_the_reason_and_the_run_goes_on(
    hit: Run, block: int, reason: str
) -> None:
    failed = trial_of(hit, "wsgi_flask+redis", block)
    assert failed.failure is not None
    assert (failed.status, failed.failure.reason, failed.jobs) == ("failed", reason, None)
    assert trial_of(hit, "wsgi_flask", block).status == "ok"
    assert not worker_processes()


def test_jobs_by_celery_are_done_by_a_worker_that_is_counted_apart(hit: Run) -> None:
    inline, queued = (trial_of(hit, app, 2) for app in ("wsgi_flask", "wsgi_flask+redis"))
    assert inline.failure is None
    assert queued.failure is None
    assert inline.jobs is not None
    assert queued.jobs is not None
    assert inline.jobs.worker_cpu_s is None
    assert inline.jobs.done > 0
    assert inline.jobs.waiting_end <= 4  # those that its connections wait for
    assert queued.jobs.handed > queued.jobs.done > 0
    assert queued.jobs.waiting_end > 0
    assert queued.jobs.worker_cpu_s
    assert queued.jobs.worker[-1] == "WARNING"
    assert queued.jobs.took_histogram_us is not None
    assert sum(queued.jobs.took_histogram_us.counts) == queued.jobs.done
