"""Which servers take part: versions, interpreters, and plans that a server can't serve."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sgibench import audit, bench, catalogue, report
from sgibench.bench.choosing import choose_servers, refusals
from sgibench.engine.progress import Silent
from sgibench.errors import UsageError
from sgibench.model import Cell, Load, Run, Settings
from sgibench.results import store

FOUND = catalogue.load()
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def run_of(tmp_path: Path, *servers: str, **changes: object) -> Run:
    settings: dict[str, object] = {"blocks": 1, "window_s": 0.3, "rate_per_s": 0.0, "control": False, **changes}
    request = bench.Request(
        results=tmp_path,
        argv=("sgibench",),
        servers=servers,
        scenarios=("json",),
        **settings,  # type: ignore[arg-type]  # checked by the dataclass's own users
    )
    return store.read_run(bench.run(request, Silent()).folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two versions of one server, and another one in a version that there is and one that there is not."""
    servers = ("uvicorn-h11", "uvicorn-h11@0.34", "waitress", "waitress@99.0.0")
    return run_of(tmp_path_factory.mktemp("versions"), *servers, connections=(8,), threads=(5,))


def test_two_versions_of_a_server_are_measured_side_by_side_in_one_run(run: Run) -> None:
    assert {(trial.server, trial.status) for trial in run.trials} >= {
        ("uvicorn-h11", "ok"),
        ("uvicorn-h11@0.34", "ok"),
    }
    versions = {name: environment.packages for name, environment in run.info.environments.items()}
    assert any(package.startswith("uvicorn==0.34.") for package in versions["uvicorn-h11@0.34"])
    assert not any(package.startswith("uvicorn==0.34.") for package in versions["uvicorn-h11"])


def test_a_version_that_does_not_exist_is_skipped_by_name(run: Run) -> None:
    assert sorted(trial.server for trial in run.trials) == ["uvicorn-h11", "uvicorn-h11@0.34", "waitress"]
    assert "waitress==99.0.0" in run.info.skipped["waitress@99.0.0"]


def test_the_interpreter_stands_in_the_name_and_in_the_environment(tmp_path: Path) -> None:
    run = run_of(tmp_path, "waitress", connections=(8,), pythons=(HERE,))
    name = f"waitress+py{HERE}"
    assert [trial.server for trial in run.trials] == [name]
    assert run.info.environments[name].python.startswith(HERE)


def test_what_a_star_leaves_out_is_named_with_what_to_add() -> None:
    chosen, missing = choose_servers(FOUND, ["*"])
    assert not {server.id for server in chosen} & set(missing)
    assert missing["pyuwsgi-http11"].endswith(": add --server pyuwsgi-http11")
    chosen, missing = choose_servers(FOUND, ["*", "pyuwsgi-*"])
    assert "pyuwsgi-http11" in {server.id for server in chosen}
    assert set(missing) == {"mod_wsgi-express", "uwsgi-fastcgi", "cgi"}
    assert set(choose_servers(FOUND, ["*", "pyuwsgi-*"], [HERE])[1]) == {"mod_wsgi-express", "uwsgi-fastcgi", "cgi"}
    assert choose_servers(FOUND, ["waitress"])[1] == {}


def test_an_interpreter_that_is_not_installed_is_named_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"Python 3\.99 is not installed here"):
        choose_servers(FOUND, ["waitress"], ["3.99"])
    chosen, missing = choose_servers(FOUND, ["waitress"], ["3.99", HERE])
    assert [server.id for server in chosen] == [f"waitress+py{HERE}"]
    assert list(missing) == ["waitress+py3.99"]


@pytest.mark.parametrize("name", ["waitress@", "waitress@new", "@1.0", "wait@1.0"])
def test_a_version_that_is_none_gets_one_line(name: str) -> None:
    with pytest.raises(UsageError):
        choose_servers(FOUND, [name])


def cell_of(server: str, connections: int, threads: int) -> Cell:
    load = Load(kind="closed", connections=connections)
    settings = Settings(workers=1, threads=threads)
    return Cell(server=server, app="wsgi_plain", scenario="json", load=load, settings=settings)


def test_more_connections_than_a_server_serves_are_refused_instead_of_measuring_its_queue() -> None:
    # uWSGI's http11-socket holds a thread for each connection: sixteen on four threads would starve.
    entries = {server.id: server for server in FOUND.servers}
    many, few = cell_of("uwsgi-http11", 16, 4), cell_of("uwsgi-http11", 4, 4)
    refused = refusals([many, few], entries)
    assert "serves 4 connections side by side" in refused[many]
    assert "lower --connections or raise --threads" in refused[many]
    assert few not in refused or "it needs" in refused[few]


def test_no_setting_is_advised_that_does_not_raise_the_limit() -> None:
    entries = {server.id: server for server in FOUND.servers}
    stock = cell_of("cheroot", 64, 8)
    refused = refusals([stock], entries)[stock]
    assert "keeps alive 10 connections" in refused
    assert "raise --threads" not in refused
    assert refused.endswith("lower --connections or raise --workers")


def test_a_server_of_one_process_is_not_set_beside_servers_of_several() -> None:
    entries = {server.id: server for server in FOUND.servers}
    cells = [
        replace(cell_of(name, 8, 4), settings=Settings(workers=2, threads=4)) for name in ("pyvoy-wsgi", "waitress")
    ]
    refused = refusals(cells, entries)
    assert "compare it with --workers 1" in refused[cells[0]]
    assert cells[1] not in refused


def test_what_a_server_turned_out_to_be_is_stored_with_the_trial(run: Run) -> None:
    (trial,) = (trial for trial in run.trials if trial.server == "waitress")
    assert trial.effective is not None
    assert trial.effective.processes == 1
    assert trial.not_as_declared == ()
    if trial.effective.threads is not None:
        assert trial.effective.threads >= 5


def test_the_stall_of_stock_gevent_is_a_plateau_and_opening_connections_is_no_mismatch(tmp_path: Path) -> None:
    for _ in range(4):  # where other work delays the answers, the stall of 40 ms grows out of the band that names it
        run = run_of(tmp_path, "gevent-pywsgi-stock", "gunicorn-sync", connections=(8,), window_s=1.0)
        kinds = {each.id.split("/")[0]: {doubt.kind for doubt in each.doubts} for each in audit.audit_run(run).trials}
        if not kinds["gevent-pywsgi-stock"] & {"Pressed", "Stolen"} or "Plateau" in kinds["gevent-pywsgi-stock"]:
            break
    (stalled,) = [one for one in run.trials if one.server == "gevent-pywsgi-stock" and not one.control][:1]
    assert stalled.latency_us is not None
    assert (stalled.latency_us.p50 or 0) > 40_000
    assert kinds["gevent-pywsgi-stock"] & {"Plateau", "Pressed", "Stolen"}
    assert not kinds["gunicorn-sync"] & {"Plateau", "LittleMismatch"}


def test_limits_that_cannot_be_equalised_stand_in_the_report_beside_what_is_in_effect(tmp_path: Path) -> None:
    run = run_of(tmp_path, "gunicorn-asgi", "waitress", connections=(8,))
    page = report.write(run, tmp_path).read_text(encoding="utf-8")
    assert "Declared: It listens with a backlog of 100 whatever --backlog says" in page
    assert "Declared: Its limit of 100 connections is raised" in page
    if all(trial.effective and trial.effective.backlogs for trial in run.trials):
        assert "In effect, read from the system after a trial: backlog 100, TCP_NODELAY set" in page
    assert "Not as declared" not in page


def test_the_three_configurations_are_groups_of_their_own(tmp_path: Path) -> None:
    run = run_of(tmp_path, "waitress", connections=(8,), configurations=("equal", "default", "recommended"))
    assert {(trial.configuration, trial.status) for trial in run.trials} == {
        ("equal", "ok"),
        ("default", "ok"),
        ("recommended", "ok"),
    }
    assert len({trial.cell for trial in run.trials}) == 3
    assert len({trial.argv for trial in run.trials}) > 1
