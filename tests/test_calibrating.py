"""The generator's ceiling for requests of the user's own: right answers of every shape, and what is no ceiling."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from sgibench.answers.learning import Answer, learn
from sgibench.engine.orders import LoadProcess
from sgibench.errors import LoadError
from sgibench.model import Asked, AskedScenario, Calibration, Expectation
from sgibench.results.asked import write_asked

WINDOW_S = 0.1
PLAIN = ("GET", 200, "text/plain", b"hello")
SHAPES = (
    ("GET", 200, "text/plain", b""),
    ("GET", 200, None, b"hello"),
    ("GET", 200, "", b"hello"),
    ("GET", 200, "; charset=utf-8", b"hello"),
    ("GET", 200, 'Text/HTML; Charset="UTF-8"; x=é', b"hello"),
    ("GET", 200, "t\xe9xt/plain", b"hello"),
    ("POST", 201, "application/json", b"{}"),
    ("POST", 201, None, b""),
    ("DELETE", 204, "text/html", b""),
    ("DELETE", 204, None, b""),
    ("GET", 205, "text/html", b""),
    ("GET", 205, None, b""),
    ("GET", 206, "text/plain", b"he"),
    ("GET", 301, "text/html", b"<a href=/>"),
    ("GET", 302, None, b""),
    ("GET", 304, "text/html", b""),
    ("GET", 304, None, b""),
    ("HEAD", 200, "text/html", b""),
    ("HEAD", 204, "text/html", b""),
    ("HEAD", 404, None, b""),
    ("GET", 404, "text/plain", b"not here"),
    ("GET", 405, None, b""),
    ("GET", 500, "text/plain", b"Oops"),
    ("GET", 503, None, b""),
)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadProcess]:
    with LoadProcess((), tmp_path_factory.mktemp("load") / "load.log") as running:
        yield running


def learned(number: int, shape: tuple[str, int, str | None, bytes]) -> Asked:
    """A request as it is after three servers answered it alike."""
    method, status, content_type, body = shape
    asked = Asked(method=method, path=f"/{number}", status=status)
    answers = [
        Answer(server=server, round=round_, status=status, content_type=content_type, body=body)
        for server in ("a", "b", "c")
        for round_ in (0, 1)
    ]
    found = learn(asked, answers)
    assert found.refused is None
    return found.asked


def calibrated(process: LoadProcess, folder: Path, *requests: Asked) -> Calibration:
    path = write_asked(folder, AskedScenario(id="requests", summary="some", interfaces=("wsgi",), requests=requests))
    (scenario,) = process.describe([path])
    return process.calibrate(scenario, WINDOW_S)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_right_answer_of_any_shape_gives_a_ceiling(
    process: LoadProcess, tmp_path: Path, shape: tuple[str, int, str | None, bytes]
) -> None:
    assert calibrated(process, tmp_path, learned(1, shape)).requests


def test_a_mix_of_all_shapes_has_a_ceiling_with_no_wrong_answer(process: LoadProcess, tmp_path: Path) -> None:
    """One wrong answer would be refused."""
    assert calibrated(process, tmp_path, *(learned(number, shape) for number, shape in enumerate(SHAPES))).requests


@pytest.mark.parametrize("given", ["body", "header"])
def test_requests_of_one_line_are_answered_by_what_else_they_ask(
    process: LoadProcess, tmp_path: Path, given: str
) -> None:
    def asked(number: int) -> Asked:
        body = b"%d" % number if given == "body" else b""
        headers = (("X-Which", str(number)),) if given == "header" else ()
        right = Expectation(status=200, content_type="text/plain", pieces=(b"answer %d" % number,), most_bytes=9)
        return Asked(
            twin=number,
            method="POST",
            path="/",
            body=body,
            headers=headers,
            expectation=right,
            example=b"answer %d" % number,
        )

    assert calibrated(process, tmp_path, asked(0), asked(2)).requests


def test_variants_and_requests_made_each_time_are_calibrated_beside_each_other(
    process: LoadProcess, tmp_path: Path
) -> None:
    path = tmp_path / "shop.py"
    path.write_text(
        textwrap.dedent("""
            from sgibench.load.user import BenchUser, Variant, get, post

            class Shop(BenchUser):
                requests = (
                    get("/items", variants=tuple(Variant(path=f"/items?limit={n}") for n in (5, 10)), expect=b"[]"),
                    post("/echo", make=lambda serial: Variant(body=b"%d" % serial, expect=b"%d" % serial), body=b"x"),
                )
                floor_s = 0.0
        """),
        encoding="utf-8",
    )
    (scenario,) = process.describe([path])
    assert process.calibrate(scenario, WINDOW_S).requests


def test_a_ceiling_from_partly_wrong_answers_is_none(process: LoadProcess, tmp_path: Path) -> None:
    other = Asked(
        method="GET", path="/2", expectation=Expectation(status=200, pieces=(b"right",), most_bytes=9), example=b"wrong"
    )
    with pytest.raises(LoadError, match="not taken as right") as caught:
        calibrated(process, tmp_path, learned(1, PLAIN), other)
    assert "expected b'right', but b'wrong' came" in str(caught.value)
    assert "{" not in str(caught.value)
