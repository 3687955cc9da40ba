"""The same scenario over every protocol, on real servers; who does not speak one is refused by name."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from sgibench import catalogue, verify
from sgibench.bench.choosing import unspoken
from sgibench.bench.plan import make_cells
from sgibench.errors import ServerError, UsageError
from sgibench.model import Exchange, Load, Protocol, Scenario, Settings, Terms
from sgibench.serve import certificate, envs
from sgibench.serve.process import HOST, ServerProcess, ServerSpec, ask_pid
from tests.h2_server import Asked, Reference, speaking
from tests.load_process import SCENARIOS, LoadProcess, load_process, measuring
from tests.requirements_for_tests import need_program
from tests.scripted_server import Talk, answer, serving
from tests.test_pipeline import run_of

FOUND = catalogue.load(())


def test_a_load_is_named_with_its_protocol_and_streams() -> None:
    assert Load(kind="closed", connections=8).id == "closed-8"
    assert Load(kind="closed", connections=8, protocol="https").id == "closed-8-https"
    assert Load(kind="closed", connections=8, protocol="h2c", streams=16).id == "closed-8-h2c-s16"
    assert Load(kind="open", connections=8, rate_per_s=500, protocol="h2", streams=1).id == "open-500-h2-s1"
    assert Load(kind="closed", connections=8, protocol="h2", streams=16).places == 128


@pytest.mark.parametrize("protocol", ["h2c", "h2", "https"])
def test_a_run_over_a_protocol_measures_those_who_speak_it_and_refuses_the_others_by_name(
    tmp_path: Path, protocol: Protocol
) -> None:
    need_program("openssl", "apt-get install openssl")
    servers = ("granian-asgi", "hypercorn-asyncio", "waitress")
    run = run_of(tmp_path, *servers, protocols=(protocol,), streams=4, connections=(2,), rate_per_s=None)
    for name in servers[:2]:
        trials = [trial for trial in run.trials if trial.server == name]
        assert {trial.load.kind for trial in trials} == {"closed", "open"}
        for trial in trials:
            assert trial.status == "ok", trial.failure
            assert trial.load.protocol == protocol
            assert not trial.errors
            assert trial.requests
            assert trial.generator
            assert trial.generator.connections_established == (8 if protocol in {"h2c", "h2"} else 2)
    assert run.info.skipped
    assert f"it does not speak {protocol}: it speaks http" in " ".join(run.info.skipped.values())
    assert {trial.server for trial in run.trials} == set(servers[:2])


ASKED = {
    "/plaintext": b"Hello, World!",
    "/bytes/100000": (b"0123456789abcdef" * 6250)[:100_000],
    "/stream/3": b"data: chunk 0\n\ndata: chunk 1\n\ndata: chunk 2\n\n",
}
"""One frame, many frames beyond a window of 64 KiB, and a body without a length."""


def others_say(protocol: Protocol, port: int, path: str) -> dict[str, bytes]:
    """The body that curl and nghttp get, who share no code with the load or with the verifier."""
    need_program("nghttp", "apt-get install nghttp2-client")
    need_program("curl", "apt-get install curl")
    address = f"{'https' if protocol == 'h2' else 'http'}://{HOST}:{port}{path}"
    prior = "--http2" if protocol == "h2" else "--http2-prior-knowledge"
    asked = {"curl": ["curl", "-sSk", prior, address], "nghttp": ["nghttp", "-y", address]}
    return {
        name: subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout for name, argv in asked.items()
    }


def asked_by_us(load: LoadProcess, port: int, protocol: Protocol, path: str, folder: Path) -> dict[str, object]:
    """What the load makes of the same path, when it is told to expect the same body."""
    scenario = folder / f"asked{len(path)}.py"
    scenario.write_text(
        "from sgibench.load.user import BenchUser, get\nclass Asked(BenchUser):\n"
        f"    requests = (get({path!r}, expect={ASKED[path]!r}),)\n"
    )
    asked = {"id": "it", "host": HOST, "port": port, "pids": []}
    spoken = {"connections": 1, "streams": 2, "protocol": protocol}
    (target,) = load.ask(**measuring(scenario, asked, load=spoken, identify=False))["targets"]
    return {"errors": target["errors"], "right": target["requests"] > 0}


@pytest.mark.parametrize("protocol", ["h2c", "h2"])
def test_a_server_holds_the_contract_over_http2(tmp_path: Path, protocol: Protocol) -> None:
    need_program("openssl", "apt-get install openssl")
    entry, app = FOUND.server("hypercorn-asyncio"), FOUND.app("asgi_plain")
    spec = ServerSpec(
        entry=entry,
        app=app,
        settings=Settings(workers=1, threads=1),
        protocol=protocol,
        bin=envs.ensure((*entry.variant.packages, *app.packages)).bin,
        cpus=(),
        scratch=tmp_path / "server",
    )
    with ServerProcess(spec) as process:
        process.wait_ready()
        problems = verify.verify_contract(HOST, process.port, "asgi", FOUND.contract, protocol=protocol)
        seen = {path: others_say(protocol, process.port, path) for path in ASKED}
        with load_process() as load:
            ours = {path: asked_by_us(load, process.port, protocol, path, tmp_path) for path in ASKED}
    assert [str(problem) for problem in problems if problem.severity == "wrong"] == []
    for path, expected in ASKED.items():
        assert seen[path] == {"curl": expected, "nghttp": expected}
        assert ours[path] == {"errors": {}, "right": True}


def exchange() -> Exchange:
    return Exchange(name="/", method="GET", path="/", headers=(), body=b"", status=200, expected_body=b"ok")


def scenario() -> Scenario:
    return Scenario(
        id="one", summary="", path=Path("one.py"), exchanges=(exchange(),), floor_s=0.0, interfaces=("asgi",)
    )


def test_the_verifier_names_what_a_server_does_wrong_over_http2() -> None:
    def wrong(server: Reference, asked: Asked) -> None:
        server.answer(asked.stream, b"no", 200, ("content-type", "text/plain"))

    def reset(server: Reference, asked: Asked) -> None:
        server.h2.reset_stream(asked.stream, 2)

    def plain(talk: Talk) -> None:
        talk.sock.recv(1 << 16)
        talk.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    for script, words in (
        (speaking(wrong, lambda: None), "expected 2 bytes b'ok', but 2 bytes b'no' came"),
        (speaking(reset, lambda: None), "the stream was reset: INTERNAL_ERROR"),
        (plain, "expected HTTP/2, but"),
    ):
        with serving(script) as server, pytest.raises(ServerError) as caught:
            verify.verify_scenario(server.host, server.port, scenario(), keep_alive=True, protocol="h2c")
        assert words in str(caught.value)


def test_readiness_is_asked_in_the_protocol_that_a_server_was_started_for() -> None:
    def pid(server: Reference, asked: Asked) -> None:
        server.answer(asked.stream, b"4711" if asked[":path"] == b"/pid" else b"?")

    def ill(server: Reference, asked: Asked) -> None:
        server.answer(asked.stream, b"", 503)

    def reset(server: Reference, asked: Asked) -> None:
        server.h2.reset_stream(asked.stream, 2)

    def http1(talk: Talk) -> None:
        talk.sock.recv(1 << 16)
        talk.send(answer(b"4711"))

    def mute(talk: Talk) -> None:
        while talk.sock.recv(1 << 16):
            continue

    for script, protocol, expected in (
        (speaking(pid, lambda: None), "h2c", 4711),
        (speaking(ill, lambda: None), "h2c", "GET /pid answered 503 b''"),
        (speaking(reset, lambda: None), "h2c", "expected an answer, but"),
        (http1, "h2c", "expected an answer over HTTP/2"),
        (lambda _talk: None, "h2c", "GET /pid: "),
        (mute, "h2c", "GET /pid: timed out"),
        (http1, "http", 4711),
    ):
        with serving(script) as server:
            heard = ask_pid(server.port, 0.5, protocol=cast("Protocol", protocol))
        assert heard == expected if isinstance(expected, int) else str(expected) in str(heard)


def test_websocket_goes_over_http1_only() -> None:
    server, app = FOUND.server("hypercorn-asyncio"), FOUND.app("asgi_plain")
    load, settings = Load(kind="closed", connections=1, protocol="h2c"), Settings(workers=1, threads=1)
    assert make_cells([(server, app)], [scenario()], [load], [settings])
    with load_process() as process:
        described = process.ask(do="describe", scenarios=[str(SCENARIOS / "websocket.py"), str(SCENARIOS / "crud.py")])
    websocket, crud = (one["terms"]["protocols"] for one in described["scenarios"])
    assert (websocket, crud) == (["http"], ["http", "https", "h2c", "h2"])
    with pytest.raises(
        UsageError, match=f"{server.id} in .*: it goes over http, and not over h2c: add --protocol http$"
    ):
        make_cells([(server, app)], [replace(scenario(), terms=Terms(protocols=tuple(websocket)))], [load], [settings])


def test_every_server_says_what_it_speaks_and_http_is_among_it() -> None:
    for entry in FOUND.servers:
        assert "http" in entry.variant.speaks, entry.id
        assert unspoken(entry, "http") is None
    assert certificate.OPENSSL.how == "apt-get install openssl"


def test_the_page_has_the_contract_over_http2_for_every_server_that_speaks_it() -> None:
    page = (Path(__file__).parent.parent / "docs" / "protocols.md").read_text(encoding="utf-8")
    part = page.partition("## The contract over each")[2].partition("## ")[0]
    told = {
        name for line in part.splitlines() if line.startswith("| ") for name in line.split("|")[1].strip().split(", ")
    }
    speaks = {one.id for one in FOUND.servers if "h2" in one.variant.speaks and not one.variant.optional}
    assert speaks == told - {"server"}
