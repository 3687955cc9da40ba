"""Every server declaration of the catalogue keeps the rules that make servers comparable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from sgibench import catalogue
from sgibench.catalogue.page import servers_page
from sgibench.model import Configuration, Launch, ServerEntry

CATALOGUE = catalogue.load()
SERVERS = CATALOGUE.servers
CONFIGURATIONS: tuple[Configuration, ...] = get_args(Configuration)
PAGE = Path(__file__).parent.parent / "docs" / "servers.md"

each_server = pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.id)


def launch_of(server: ServerEntry, **changes: Any) -> Launch:
    chosen = {"port": 8123, "workers": 1, "threads": 8, "backlog": 1024, "keep_alive_s": 75, **changes}
    if server.front is not None and server.front.variant.link == "unix":
        chosen["socket"] = Path("/scratch/8123.sock")
    return Launch(
        bin=Path("/env/bin"),
        launchers=server.path.parent / "launchers",
        scratch=Path("/scratch"),
        host="127.0.0.1",
        target="the_app:app",
        options=server.variant.options,
        **chosen,
    )


@each_server
def test_every_package_is_pinned_to_one_version(server: ServerEntry) -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][\w.]*", package) for package in server.variant.packages)


@each_server
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("workers", [1, 2])
def test_the_command_line_is_a_pure_function_of_the_launch(
    server: ServerEntry, configuration: Configuration, workers: int
) -> None:
    launch = launch_of(server, configuration=configuration, workers=workers)
    argv = server.command(launch)
    assert argv == server.command(launch)
    assert [argument for argument in argv if argument.startswith("/env/bin/")]
    assert [argument for argument in argv if "the_app" in argument]
    assert "8123" in " ".join(argv)


@each_server
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_workers_reach_the_command_line_in_every_configuration(
    server: ServerEntry, configuration: Configuration
) -> None:
    one, many = (server.command(launch_of(server, configuration=configuration, workers=n)) for n in (1, 4321))
    assert ("4321" in " ".join(many)) == server.variant.workers
    assert (one != many) == server.variant.workers


@each_server
def test_an_equal_backlog_is_asked_for_or_another_one_is_declared(server: ServerEntry) -> None:
    launch = launch_of(server, backlog=777)
    declared = server.expected(launch).backlog
    if server.front is not None:
        return  # it is the front's, and tests/test_fronts.py asks that
    assert declared is not None
    assert declared != 777 or "777" in " ".join(server.command(launch))


HOLDING = ("gunicorn-gthread", "gunicorn-gevent", "waitress", "granian-wsgi", "granian-asgi", "granian-rsgi")


@each_server
def test_a_limit_of_connections_that_is_an_option_is_raised_and_any_other_is_declared(server: ServerEntry) -> None:
    few, many = (launch_of(server, workers=2, connections=number) for number in (0, 5432))
    limits = [(server.expected(one).connections, server.expected(one).kept_alive) for one in (few, many)]
    if server.command(few) == server.command(many):
        assert limits[0] == limits[1]
        assert server.id not in HOLDING
        return
    raised = [limit for limit in limits[1] if limit is not None]
    assert raised
    assert all(limit >= 2 * 5432 for limit in raised), "all of them may come to one worker"
    default = launch_of(server, configuration="default", connections=5432)
    assert server.command(default) == server.command(launch_of(server, configuration="default"))


@pytest.mark.parametrize("server", [one for one in SERVERS if one.variant.threads], ids=lambda server: server.id)
def test_a_server_with_a_pool_is_given_its_threads(server: ServerEntry) -> None:
    assert "37" in " ".join(server.command(launch_of(server, threads=37)))


@pytest.mark.parametrize("server", [one for one in SERVERS if not one.variant.threads], ids=lambda server: server.id)
def test_threads_change_nothing_in_a_server_without_a_pool_of_its_own(server: ServerEntry) -> None:
    few, many = (server.command(launch_of(server, threads=n)) for n in (2, 37))
    assert few == many


@each_server
def test_what_is_held_equal_stays_out_of_the_default_configuration(server: ServerEntry) -> None:
    launches = [
        launch_of(server, configuration="default", threads=threads, backlog=backlog, keep_alive_s=keep_alive_s)
        for threads, backlog, keep_alive_s in ((8, 1024, 75), (37, 777, 99))
    ]
    assert server.command(launches[0]) == server.command(launches[1])
    assert server.expected(launches[0]) == server.expected(launches[1])


@each_server
def test_only_documented_advice_makes_the_recommended_configuration_differ(server: ServerEntry) -> None:
    default, recommended = (
        server.command(launch_of(server, configuration=name, workers=2)) for name in ("default", "recommended")
    )
    assert (default != recommended) == (server.variant.recommended is not None)


@each_server
def test_nothing_is_left_to_an_automatic_choice(server: ServerEntry) -> None:
    assert not [argument for argument in server.command(launch_of(server)) if argument.endswith("=auto")]
    assert "auto" not in server.id


@each_server
def test_there_is_an_app_that_it_can_run(server: ServerEntry) -> None:
    assert [app for app in CATALOGUE.apps if server.runs(app)]
    assert set(server.variant.apps) <= {app.id for app in CATALOGUE.apps}


@each_server
def test_a_launcher_that_is_named_is_there(server: ServerEntry) -> None:
    for argument in server.command(launch_of(server, workers=2)):
        if argument.endswith(".py") and "launchers" in argument:
            assert Path(argument.rpartition("=")[2]).is_file()


def test_there_are_thirty_variants_and_the_first_ones_among_them() -> None:
    ids = {server.id for server in SERVERS}
    assert len(ids) >= 30
    assert ids >= {
        "gunicorn-sync",
        "gunicorn-gthread",
        "gunicorn-gevent",
        "gunicorn-asgi",
        "gunicorn-uvicorn",
        "uvicorn-httptools",
        "uvicorn-h11",
        "hypercorn-asyncio",
        "hypercorn-uvloop",
        "waitress",
        "granian-wsgi",
        "granian-asgi",
    }


def test_servers_that_close_every_connection_are_declared() -> None:
    closing = {server.id for server in SERVERS if not server.variant.keep_alive}
    assert closing == {"gunicorn-sync", "werkzeug", "wsgiref", "uwsgi-http"}


def test_a_star_leaves_out_what_is_optional_and_its_name_brings_it_in() -> None:
    optional = {server.id for server in SERVERS if server.variant.optional}
    assert optional == {"mod_wsgi-express", "pyuwsgi-http11", "uwsgi-fastcgi", "cgi"}
    assert not optional & {server.id for server in catalogue.select("server", SERVERS, ["*"])}
    for name in optional:
        assert [server.id for server in catalogue.select("server", SERVERS, [name])] == [name]
    assert "pyuwsgi-http11" in {server.id for server in catalogue.select("server", SERVERS, ["*uwsgi*"])}


@pytest.mark.parametrize(("threads", "workers", "connections"), [(4, 1, 4), (4, 2, 8), (8, 2, 16)])
def test_uwsgi_over_http11_serves_no_more_connections_than_it_has_threads(
    threads: int, workers: int, connections: int
) -> None:
    server = CATALOGUE.server("uwsgi-http11")
    assert server.expected(launch_of(server, threads=threads, workers=workers)).connections == connections


def test_cheroot_keeps_ten_connections_alive_in_each_process_unless_it_is_tuned() -> None:
    stock, tuned = CATALOGUE.server("cheroot"), CATALOGUE.server("cheroot-tuned")
    assert stock.expected(launch_of(stock, workers=2)).kept_alive == 20
    assert tuned.expected(launch_of(tuned, workers=2)).kept_alive is None


def test_gunicorns_asgi_worker_listens_with_a_hundred_whatever_it_is_told() -> None:
    server = CATALOGUE.server("gunicorn-asgi")
    assert {server.expected(launch_of(server, configuration=name)).backlog for name in CONFIGURATIONS} == {100}


def test_options_that_an_older_version_does_not_know_are_left_out() -> None:
    server = CATALOGUE.server("gunicorn-gthread")
    new, old = (server.command(launch_of(server, versions={"gunicorn": version})) for version in ("27.0.1", "23.0.0"))
    assert [argument for argument in new if argument not in old] == ["--no-control-socket", "--http-parser=python"]
    assert [argument for argument in old if argument not in new] == []


def test_a_parser_that_an_older_version_does_not_have_is_asked_for_all_the_same() -> None:
    server = CATALOGUE.server("gunicorn-gthread-h1c")
    assert "--http-parser=fast" in server.command(launch_of(server, versions={"gunicorn": "23.0.0"}))


@pytest.mark.parametrize(
    ("installed", "asked", "since"),
    [
        ("0.37.0", (0, 37), True),
        ("0.36.9", (0, 37), False),
        ("1.0", (0, 37), True),
        ("2.0.30.post1", (2, 0, 31), False),
    ],
)
def test_versions_are_compared_by_their_numbers(installed: str, asked: tuple[int, ...], *, since: bool) -> None:
    launch = launch_of(SERVERS[0], versions={"server": installed})
    assert launch.since("server", *asked) is since
    assert launch.since("another", *asked)


def test_the_page_on_servers_says_what_the_declarations_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == servers_page(SERVERS, CATALOGUE.fronts), (
        "docs/servers.md is out of date: sgibench list --markdown > docs/servers.md"
    )


@each_server
def test_the_page_on_servers_shows_every_variant_with_its_packages_and_traps(server: ServerEntry) -> None:
    page = PAGE.read_text(encoding="utf-8")
    section = page.partition(f"\n### {server.id}\n")[2].partition("\n### ")[0]
    assert server.variant.summary in section
    for text in (*server.variant.packages, *server.variant.notes, *server.variant.lacks.values()):
        assert text in section
    for text in server.notes:
        assert text in page
