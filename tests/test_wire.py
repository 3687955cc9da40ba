"""What scenarios of the wire leave no choice about is planned, refused, counted in its own unit and shown."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sgibench import catalogue, report, units
from sgibench.bench.asked_for import refuse_not_so
from sgibench.bench.choosing import refusals
from sgibench.bench.plan import make_cells, unasked
from sgibench.bench.rates import with_most_connections
from sgibench.bench.request import Request, select_scenarios
from sgibench.bench.run import refuse_rateless
from sgibench.bench.workshop import by_name, terms_of
from sgibench.engine.orders import Measured
from sgibench.engine.trials import NOT_SPOKEN, judge
from sgibench.errors import UsageError
from sgibench.histogram import Histogram
from sgibench.model import (
    FrontShare,
    Handshakes,
    Held,
    HistogramData,
    Load,
    Overflow,
    Peak,
    Protocol,
    Scenario,
    Settings,
    Terms,
    Trial,
)
from sgibench.report import terminal, words
from sgibench.report.growth import throughput_against_sizes
from sgibench.report.panels import view_of
from sgibench.results.codec import decode, encode
from tests.load_process import load_process
from tests.results_maker import QUICK, Making, make_run

FOUND = catalogue.load()
WIRE = sorted((FOUND.roots[0] / "scenarios" / "wire").glob("*.py"))
SETTINGS = Settings(workers=1, threads=8)


@pytest.fixture(scope="module", name="described")
def describe_all() -> dict[str, Scenario]:
    with load_process() as process:
        told = process.ask(do="describe", scenarios=[str(path) for path in WIRE])["scenarios"]
    return {
        one["id"]: Scenario(
            id=one["id"],
            summary=one["summary"],
            path=Path(one["path"]),
            exchanges=(),
            floor_s=one["floor_s"],
            interfaces=tuple(one["interfaces"]),
            terms=decode(Terms, one["terms"]),
        )
        for one in told
    }


def test_they_are_chosen_by_name_and_left_out_of_everything(described: dict[str, Scenario]) -> None:
    everything = {path.stem for path in select_scenarios(FOUND, ["*"])}
    assert not everything & set(described)
    assert {path.stem for path in select_scenarios(FOUND, ["ws_*"])} == {
        name for name in described if name[:3] == "ws_"
    }
    assert all(scenario.summary.endswith((".", ")")) or scenario.summary for scenario in described.values())
    assert {scenario.terms.unit for scenario in described.values()} == {
        *("request", "message", "delivery", "handshake", "connection"),
    }


def test_connections_are_the_scenarios_where_it_has_its_own(described: dict[str, Scenario]) -> None:
    pairs = [(FOUND.server("uvicorn-httptools"), FOUND.app("asgi_plain"))]
    loads = [Load(kind="closed", connections=count) for count in (8, 64)]
    scenarios = [described[name] for name in ("ws_broadcast", "conn_idle_1000", "conn_new")]
    cells = make_cells(pairs, scenarios, loads, [SETTINGS])
    found = [(cell.scenario, cell.load.connections, cell.load.connection) for cell in cells]
    assert found == [
        ("ws_broadcast", 8, "keep-alive"),
        ("ws_broadcast", 64, "keep-alive"),
        ("conn_idle_1000", 32, "keep-alive"),
        ("conn_new", 8, "close"),
        ("conn_new", 64, "close"),
    ]
    kept = [(cell.scenario, cell.load.connections) for cell in with_most_connections(cells)]
    assert kept == [("ws_broadcast", 64), ("conn_idle_1000", 32), ("conn_new", 64)]


def test_who_can_not_is_refused_by_name_and_reason(described: dict[str, Scenario]) -> None:
    servers = {name: FOUND.server(name) for name in ("wsgiref", "cheroot", "waitress", "uvicorn-httptools")}
    pairs = [
        (server, app) for server in servers.values() for app in FOUND.apps if app.id in {"wsgi_plain", "asgi_plain"}
    ]
    scenarios = [described[name] for name in ("conn_idle_5000", "ws_broadcast", "tls_full")]
    loads, two = [Load(kind="closed", connections=64)], replace(SETTINGS, workers=2)
    cells = make_cells(pairs, scenarios, loads, [SETTINGS, two])
    terms = {scenario.id: scenario.terms for scenario in scenarios}
    refused = {
        (cell.server, cell.scenario, cell.settings.workers): why
        for cell, why in refusals(cells, servers, terms).items()
    }
    assert "closes every connection" in refused["wsgiref", "conn_idle_5000", 1]
    assert "keeps alive 10 connections" in refused["cheroot", "conn_idle_5000", 1]
    assert ("waitress", "conn_idle_5000", 1) not in refused, "its limit is an option"
    assert "--workers 1" in refused["uvicorn-httptools", "ws_broadcast", 2]
    assert not any(name == "uvicorn-httptools" and workers == 1 for name, _, workers in refused)
    left_out = unasked(pairs, scenarios, loads, cells)
    assert "add --protocol https" in left_out["uvicorn-httptools in tls_full"]
    assert "needs ASGI" in left_out["waitress in ws_broadcast"]
    assert "uvicorn-httptools in ws_broadcast" not in left_out
    with pytest.raises(UsageError, match="no capacity"):
        refuse_rateless([described["ws_broadcast"]])


def test_a_server_is_left_out_of_the_scenarios_that_it_can_not_and_of_no_other(described: dict[str, Scenario]) -> None:
    servers = {name: FOUND.server(name) for name in ("wsgiref", "cheroot", "waitress")}
    pairs = [(server, FOUND.app("wsgi_plain")) for server in servers.values()]
    scenarios = [described["conn_idle_5000"], described["conn_kept"]]
    loads = [Load(kind="closed", connections=8, protocol=spoken) for spoken in ("http", "https")]
    cells = make_cells(pairs, scenarios, loads, [SETTINGS])
    refused = refusals(cells, servers, terms_of(scenarios))
    told = by_name(refused, [cell for cell in cells if cell not in refused])
    assert told["waitress"] == "it does not speak https: it speaks http"
    assert "keeps alive 10 connections" in told["cheroot in conn_idle_5000"]
    assert "closes every connection" in told["wsgiref in conn_idle_5000"]
    assert not any("conn_kept" in name for name in told)


@pytest.mark.parametrize(
    ("names", "asked", "why"),
    [
        (["ws_broadcast", "ws_echo"], {"load_workers": 2}, "2: ws_broadcast comes from one load process at one moment"),
        (["conn_burst_1x"], {"load_workers": 2}, "use --load-workers 1"),
        (["conn_burst_1x", "up_1m"], {"rate_per_s": 100}, "--rate 100: conn_burst_1x, up_1m have no fixed rate"),
        (["conn_burst_1x"], {"curve": True, "rate_per_s": 0}, "--curve: conn_burst_1x has no fixed rate"),
        (["conn_burst_1x", "ws_echo"], {"rate_per_s": 100}, None),
        (["ws_echo"], {"load_workers": 2}, None),
    ],
)
def test_what_no_scenario_can_be_measured_with_is_refused_before_anything_starts(
    described: dict[str, Scenario], names: list[str], asked: dict[str, Any], why: str | None
) -> None:
    scenarios = [described[name] for name in names]
    pairs = [(FOUND.server("uvicorn-httptools"), FOUND.app("asgi_plain"))]
    cells = make_cells(pairs, scenarios, [Load(kind="closed", connections=8)], [SETTINGS])
    request = Request(results=Path(), argv=(), **asked)
    if why is None:
        refuse_not_so(request, scenarios, cells)
        return
    with pytest.raises(UsageError, match=why):
        refuse_not_so(request, scenarios, cells)


@pytest.mark.parametrize(
    ("server", "name", "protocol", "why"),
    [
        ("waitress", "ws_echo", "http", "waitress in ws_echo: it needs ASGI, and the server serves WSGI apps$"),
        ("uvicorn-h11", "tls_full", "http", "it goes over https, h2, and not over http: add --protocol https$"),
        ("uvicorn-h11", "conn_burst_1x", "h2c", "it goes over http, and not over h2c: add --protocol http$"),
    ],
)
def test_nothing_to_measure_says_what_does_not_fit(
    described: dict[str, Scenario], server: str, name: str, protocol: Protocol, why: str
) -> None:
    entry = FOUND.server(server)
    pairs = [(entry, FOUND.app(f"{entry.variant.interface}_plain"))]
    with pytest.raises(UsageError, match=why):
        make_cells(pairs, [described[name]], [Load(kind="closed", connections=8, protocol=protocol)], [SETTINGS])


def test_a_burst_is_taken_where_the_limit_of_connections_is_an_option_and_else_refused_without_false_advice(
    described: dict[str, Scenario],
) -> None:
    servers = {name: FOUND.server(name) for name in ("gunicorn-gthread", "mod_wsgi-express", "uwsgi-http11")}
    pairs = [(server, FOUND.app("wsgi_plain")) for server in servers.values()]
    scenarios = [described["conn_burst_2x"], described["conn_kept"]]
    cells = make_cells(pairs, scenarios, [Load(kind="closed", connections=64)], [SETTINGS])
    refused = refusals(cells, servers, terms_of(scenarios))
    told = {(cell.server, cell.scenario): why for cell, why in refused.items()}
    assert ("gunicorn-gthread", "conn_burst_2x") not in told
    assert not any("--connections" in why for (_, name), why in told.items() if name == "conn_burst_2x")


def test_what_a_server_does_not_speak_is_no_failure_of_its() -> None:
    measured = Measured(id="it", errors_uncounted={"unspoken": 4, "closed": 1}, error_samples={"unspoken": "no such"})
    failure = judge(measured, "")
    assert failure is not None
    assert (failure.reason, failure.detail) == (NOT_SPOKEN, "no such")


@pytest.mark.parametrize(
    ("unit", "text", "expected"),
    [
        ("request", "CPU per request", "CPU per request"),
        ("message", "CPU per request", "CPU per message"),
        ("delivery", "Requests/s, requests per second", "Deliveries/s, deliveries per second"),
        ("handshake", "64 connections, one request each", "64 connections, one handshake each"),
    ],
)
def test_texts_say_what_is_counted(unit: str, text: str, expected: str) -> None:
    assert words.counted(text, unit) == expected  # type: ignore[arg-type]


def page_with(**facts: object) -> str:
    """The page of a run in which each good trial has some more facts."""
    run = make_run()
    trials = [replace(trial, **facts) if trial.status == "ok" else trial for trial in run.trials]  # type: ignore[arg-type]
    return report.render(replace(run, trials=tuple(trials)))


def test_a_page_shows_what_was_held_made_dropped_and_taken() -> None:
    mib = 1 << 20
    held = Held(wanted=1000, stood=1000, stood_end=998, closed=7, before_bytes=30 * mib, held_bytes=50 * mib)
    front = FrontShare(id="nginx", program="nginx", behind="waitress", cpu_s=0.1)
    page = page_with(unit="message", held=held, front=front)
    assert "CPU per message: the front, and the servers behind it" in page
    assert "Memory of each connection that is held open" in page
    assert "20.5 KiB" in page
    assert "closed by the server" in page
    assert "CPU per message" in page
    assert "Messages/s" in page
    assert "CPU per message</option>" in page
    assert "CPU per request" not in page.partition('class="panel"')[2].partition("Why trust")[0]
    page = page_with(unit="handshake", handshakes=Handshakes(full=1, resumed=3, refused=1))
    assert "TLS handshakes that took up a session" in page
    assert "CPU per handshake" in page
    assert "sessions refused" in page
    seen = Overflow(listen_overflows=977, listen_drops=988, bursts=1, opened=1100, listener_drops=75, sent_again=75)
    page = page_with(overflow=replace(seen, sent_again_from_us=1_020_000.0))
    assert "listening sockets dropped, per burst" in page
    blocks = len({trial.block for trial in make_run().trials})
    again = f"Of {units.count(1100 * blocks)} connections in {blocks} bursts to waitress {75 * blocks}"
    assert f"{again} had to send the first packet again, and waited at least 1.02 s for that." in page
    told = (f"{blocks} of 1,100", units.microseconds(1_020_000), units.count(977 * blocks), units.count(988 * blocks))
    assert [one for one in told if one not in page] == []
    page = page_with(overflow=replace(seen, listener_drops=None))
    assert "listening sockets dropped" not in page, "what the listener itself dropped is not known"
    page = page_with(peak=Peak(before_bytes=30 * mib, most_bytes=94 * mib))
    assert "64.0 MiB" in page
    assert "Memory that the server took at most" in page
    run = make_run()
    sized = [replace(one, answer_bytes=1088.0 if one.server == "waitress" else 594.0) for one in run.trials]
    assert "Size of an answer on the wire" in report.render(replace(run, trials=tuple(sized)))
    page = page_with()
    assert "Size of an answer" not in page
    assert "Memory of each connection" not in page
    assert "took up a session" not in page


def test_ways_to_ask_the_same_stand_in_one_chart() -> None:
    run = make_run()
    kept = [replace(trial, family="one request") for trial in run.trials if trial.scenario == "json"]
    opened = [
        replace(
            trial,
            cell=trial.cell.replace("/json/", "/json2/"),
            scenario="json2",
            unit="connection",
            load=replace(trial.load, connection="close"),
            cpu_us_per_request=(trial.cpu_us_per_request or 0) * 3 or None,
        )
        for trial in kept
    ]
    page = report.render(replace(run, trials=tuple(kept + opened)))
    assert "The same request in other ways" in page
    assert "json2, http, new connection" in page
    assert "3.00×" in page
    assert "The same request in other ways" not in report.render(run)


def all_alike(each_ns: int) -> HistogramData:
    """Two thousand times the same."""
    histogram = Histogram()
    histogram.record([each_ns] * 2000)
    return histogram.to_data()


def test_who_sees_no_charts_is_told_what_was_held_made_dropped_taken_and_streamed() -> None:
    """Memory of an idle connection, drops of a burst and gaps of streams stand in the terminal and in --json, too."""
    mib = 1 << 20
    facts = {
        "held": Held(wanted=1000, stood=1000, stood_end=998, closed=7, before_bytes=30 * mib, held_bytes=50 * mib),
        "handshakes": Handshakes(full=1, resumed=3, refused=1),
        "overflow": Overflow(listen_overflows=9, listen_drops=9, bursts=1, opened=1100, listener_drops=75),
        "peak": Peak(before_bytes=30 * mib, most_bytes=94 * mib),
        "first_chunk_histogram_us": all_alike(5_200_000),
        "gap_histogram_us": all_alike(52_000_000),
    }
    made = make_run()
    run = replace(made, trials=tuple(replace(one, **facts) if one.status == "ok" else one for one in made.trials))  # type: ignore[arg-type]
    shown = StringIO()
    terminal.ranking(run, Console(file=shown, width=200))
    for told in ("20.5 KiB", "75.0 %", "dropped per burst", "64.0 MiB", "gap between chunks p50", "5.20 ms"):
        assert told in shown.getvalue(), told
    rows = [row for group in report.summary(run)["groups"] for row in group["rows"] if row["status"] == "ok"]
    assert rows
    for row in rows:
        assert len(row["wire"]) == row["blocks"]
        noted = row["wire"][0]
        assert noted["held"]["each_bytes"] == 20 * mib / 1000
        assert (noted["handshakes"]["resumed"], noted["overflow"]["listener_drops"]) == (3, 75)
        assert noted["peak"]["most_bytes"] == 94 * mib
        assert row["streams"]["gaps"]["p50_us"] == pytest.approx(52_000, rel=0.02)
    plain = next(row for group in report.summary(made)["groups"] for row in group["rows"] if row["status"] == "ok")
    assert (plain["wire"], plain["streams"]) == ([], None)


def test_a_curve_over_connections_goes_through_one_protocol() -> None:
    """Two protocols with the same connections are no two points of a curve."""
    made = make_run(Making(connections=(8, 64), scenarios=("json",), servers=QUICK[:2], samples=50))
    doubled = [
        replace(one, cell=one.cell.replace("closed-", "h2c-"), load=replace(one.load, protocol="h2c", streams=4))
        for one in made.trials
    ]

    def drawn(*trials: Trial) -> list[str]:
        panels = view_of(replace(made, trials=trials)).panels
        return sorted(chart.title for panel in panels for chart in throughput_against_sizes(panel, panels))

    title = "Throughput against connections"
    assert drawn(*made.trials) == [title]
    assert drawn(*made.trials, *doubled) == [title, f"{title}, 4 streams each, over h2c"]
    assert drawn(*(one for one in (*made.trials, *doubled) if one.load.connections == 8)) == []


def test_what_is_there_beside_says_what_a_scenario_can_go_over(described: dict[str, Scenario], tmp_path: Path) -> None:
    """Slow clients and held connections speak HTTP/1.1; large bodies go over all, four at once on each."""
    spoken = {name: one.terms.protocols for name, one in described.items()}
    assert spoken["conn_idle_1000"] == spoken["sse_beside"] == spoken["up_1m_chunked"] == ("http", "https")
    assert spoken["up_16m"] == spoken["down_1m_chunked"] == spoken["up_gzip"] == ("http", "https", "h2c", "h2")
    loads = [Load(kind="closed", connections=64), Load(kind="closed", connections=64, protocol="h2c", streams=8)]
    pairs = [(FOUND.server("granian-asgi"), FOUND.app("asgi_plain"))]
    cells = make_cells(pairs, [described["up_16m"]], loads, [SETTINGS])
    assert [one.load.places for one in cells] == [4, 4]
    own = tmp_path / "own.py"
    head = "from sgibench.load.user import BenchUser, Slow, Terms, get\nclass Own(BenchUser):\n"
    body = "    requests = (get('/json'),)\n    slow = Slow()\n"
    with load_process() as process:
        own.write_text(head + body)
        shown = process.ask(do="describe", scenarios=[str(own)])["scenarios"][0]
        own.write_text(head + body + "    terms = Terms(protocols=('h2',))\n")
    with load_process() as process:
        refused = process.ask(do="describe", scenarios=[str(own)])
    assert shown["terms"]["protocols"] == ["http", "https"]
    assert "expected `terms.protocols` that its slow clients, held connections or bursts speak" in refused["message"]


def test_facts_of_the_wire_are_stored_and_read_back() -> None:
    trial = replace(
        make_run().trials[0],
        unit="handshake",
        family="one request",
        held=Held(wanted=3, stood=3, stood_end=2, closed=1, errors={"closed": 1}),
        handshakes=Handshakes(full=2, resumed=5),
        overflow=Overflow(listen_overflows=None, listen_drops=2, bursts=3, opened=9, listener_drops=1, sent_again=1),
        peak=Peak(before_bytes=4, most_bytes=9),
    )
    assert decode(Trial, encode(trial)) == trial
    assert trial.peak is not None
    assert trial.peak.grown_bytes == 5
    assert trial.held is not None
    assert trial.held.each_bytes is None
