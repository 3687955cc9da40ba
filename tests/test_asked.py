"""Requests of the user's own: as a file, held against answers, and loaded like any scenario."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgibench.answers.expecting import misfit
from sgibench.engine.orders import LoadProcess
from sgibench.errors import DeclarationError, ResultsError
from sgibench.model import Asked, AskedScenario, Expectation
from sgibench.results.asked import read_asked, write_asked

PIECES = st.lists(st.binary(max_size=6), min_size=2, max_size=5).map(tuple)
FILLING = st.lists(st.binary(max_size=6), min_size=4, max_size=4)

LOGIN = Asked(
    twin=2,
    method="POST",
    path="/login?next=%2F",
    weight=3,
    headers=(("Content-Type", "application/json"), ("X-Who", "zoë")),
    body=b'{"name": "\xff"}',
    expectation=Expectation(status=302, content_type="text/html", pieces=(b"<a href=", b">"), most_bytes=99),
    example=b"<a href=/>",
)
SCENARIO = AskedScenario(id="requests", summary="two requests", interfaces=("wsgi",), requests=(LOGIN,))


@given(PIECES, FILLING)
def test_a_body_fits_whatever_stands_between_its_pieces(pieces: tuple[bytes, ...], filling: list[bytes]) -> None:
    body = pieces[0] + b"".join(fill + piece for fill, piece in zip(filling, pieces[1:], strict=False))
    assert misfit(Expectation(status=200, pieces=pieces), 200, None, body) is None


@given(st.binary(min_size=1, max_size=8), st.binary(min_size=1, max_size=8), st.binary(max_size=20))
def test_a_body_whose_ends_would_have_to_overlap_does_not_fit(first: bytes, last: bytes, body: bytes) -> None:
    fits = misfit(Expectation(status=200, pieces=(first, last)), 200, None, body) is None
    assert fits == (body.startswith(first) and body.endswith(last) and len(body) >= len(first) + len(last))


@pytest.mark.parametrize(
    ("status", "content_type", "body", "told"),
    [
        (500, "text/html", b"<a href=1>", "expected status 302, but 500 came"),
        (302, "text/plain", b"<a href=1>", "expected text/html, but text/plain came"),
        (302, None, b"<a href=1>", "no Content-Type came"),
        (302, "Text/HTML; charset=utf-8", b"<a href=" + b"1" * 99 + b">", "expected 0 to 99 bytes, but 108 came"),
        (302, "text/html", b"<b href=1>", "expected the body to begin with"),
        (302, "text/html", b"<a href=1", "expected the body to end with"),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(status: int, content_type: str | None, body: bytes, told: str) -> None:
    assert LOGIN.expectation is not None
    assert told in str(misfit(LOGIN.expectation, status, content_type, body))


def test_one_length_is_told_as_one() -> None:
    expected = Expectation(status=200, pieces=(b"ok",), least_bytes=2, most_bytes=2)
    assert misfit(expected, 200, None, b"x" * 40) == "expected 2 bytes, but 40 came"


def test_a_file_of_requests_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = write_asked(tmp_path, SCENARIO)
    assert read_asked(path) == SCENARIO
    assert write_asked(tmp_path, SCENARIO) == path
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ResultsError, match="no file of requests"):
        read_asked(path)


def test_the_load_process_runs_requests_without_a_file_of_the_catalogue(tmp_path: Path) -> None:
    home = Asked(method="GET", path="/", expectation=Expectation(status=200, pieces=(b"hello",)), example=b"hello")
    path = write_asked(tmp_path, AskedScenario(id="mine", summary="s", interfaces=("asgi",), requests=(home, LOGIN)))
    with LoadProcess((), tmp_path / "load.log") as process:
        (scenario,) = process.describe([path])
        assert (scenario.id, scenario.interfaces) == ("mine", ("asgi",))
        assert [each.name for each in scenario.exchanges] == ["GET /", "POST /login?next=%2F (2)"]
        assert process.calibrate(scenario, 0.2).rps_per_core > 100
        bad = write_asked(
            tmp_path,
            AskedScenario(id="bad", summary="s", interfaces=("asgi",), requests=(Asked(method="GET", path="/ö"),)),
        )
        with pytest.raises(DeclarationError, match="percent-encoded"):
            process.describe([bad])
