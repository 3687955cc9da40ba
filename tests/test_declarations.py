"""Every server declaration of the catalogue keeps the rules that make servers comparable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sgibench import catalogue
from sgibench.model import Launch, ServerEntry

SERVERS = catalogue.load().servers


def launch_of(server: ServerEntry, **changes: int) -> Launch:
    numbers = {"port": 8123, "workers": 1, "threads": 8, "backlog": 1024, "keep_alive_s": 75, **changes}
    return Launch(
        bin=Path("/env/bin"),
        launchers=server.path.parent / "launchers",
        scratch=Path("/scratch"),
        host="127.0.0.1",
        target=f"{server.variant.interface}_plain:app",
        options=server.variant.options,
        **numbers,
    )


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.id)
def test_every_package_is_pinned_to_one_version(server: ServerEntry) -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][\w.]*", package) for package in server.variant.packages)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.id)
def test_the_command_line_is_a_pure_function_of_the_launch(server: ServerEntry) -> None:
    first, again = server.command(launch_of(server)), server.command(launch_of(server))
    assert first == again
    assert first[0].startswith("/env/bin/")
    assert f"{server.variant.interface}_plain:app" in first[-1]


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.id)
@pytest.mark.parametrize("setting", ["port", "workers", "backlog"])
def test_what_is_held_equal_reaches_the_command_line(server: ServerEntry, setting: str) -> None:
    argv = " ".join(server.command(launch_of(server, **{setting: 4321})))
    assert "4321" in argv


@pytest.mark.parametrize("server", [one for one in SERVERS if one.variant.threads], ids=lambda server: server.id)
def test_a_server_with_a_pool_is_given_its_threads(server: ServerEntry) -> None:
    assert "37" in " ".join(server.command(launch_of(server, threads=37)))


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.id)
def test_nothing_is_left_to_an_automatic_choice(server: ServerEntry) -> None:
    assert not [argument for argument in server.command(launch_of(server)) if argument.endswith("=auto")]
    assert "auto" not in server.id


def test_ids_name_server_and_variant() -> None:
    assert {server.id for server in SERVERS} >= {
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
