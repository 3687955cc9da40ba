"""Sessions of declared requests: what a step takes is what this connection was given, whatever the server does."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench.answers.giving import blanks_in, filled
from sgibench.answers.giving import given as read_given
from sgibench.load.paces import OpenPace
from sgibench.load.pacing import Schedule
from sgibench.load.request import Request, Variant, get, patch, post, put, spread
from sgibench.load.steps import in_order, problem_of
from tests.h2_server import Asked, Reference
from tests.load_process import SCENARIOS, accounted, load_process, measuring
from tests.load_process import target as address
from tests.loaded_target import answered, answers_read, assert_accounted, play, target_of
from tests.scripted_server import Talk, answer, serving
from tests.test_load_multiplexed import h2_serving, multiplexed

SESSION = (
    get("/read", weight=4, variants=(Variant(path="/read?1"), Variant(path="/read?2")), expect=b"read"),
    post("/orders", gives=("id",), status=201),
    put("/orders/{id}", weight=2, body=b"x", expect=b'{"id":{id},"done":true}'),
    patch("/orders/{id}", body=b'{"of":"{id}"}', headers=(("X-Order", "{id}"),), expect=b'{"id":{id}}'),
)


class Shop:
    """Gives out numbers, and notes everything that an honest session would not ask."""

    def __init__(self, *, losses: float = 0.0, seed: int = 1) -> None:
        self._random = Random(seed)
        self._losses = losses
        self._lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.given: dict[str, int] = {}
        """Number -> how many changes it has seen."""

    def reply(self, line: str, body: bytes, order: str, last: str | None) -> tuple[int, bytes] | None:
        """Answer a request line; `last` is the number that this client was given last. None: it gets no answer."""
        method, path = line.split(" ")[:2]
        with self._lock:
            self.asked[f"{method} {path.partition('?')[0].rstrip('0123456789')}"] += 1
            if self._random.random() < self._losses:
                return None
            if method == "GET":
                return 200, b"read"
            if method == "POST":
                number = str(1000 + 7 * len(self.given))
                self.given[number] = 0
                return 201, b'{"id":%s}' % number.encode()
            number = path.rpartition("/")[2]
            self.given[number] = self.given.get(number, -99) + 1
            if (last is not None and number != last) or not 0 < self.given[number] <= 3:
                self.wrong.append(f"{line} after {last}, change {self.given[number]}")
            if method == "PATCH" and (body != b'{"of":"%s"}' % number.encode() or order != number):
                self.wrong.append(f"{line}: {body!r}, X-Order {order}")
            return 200, (b'{"id":%s,"done":true}' if method == "PUT" else b'{"id":%s}') % number.encode()

    def __call__(self, talk: Talk) -> None:
        """Serve one connection."""
        last = None
        while (request := talk.request()) is not None:
            head, _, body = request.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            order = next((value for line in lines if (value := line.partition("X-Order: ")[2])), "")
            reply = self.reply(lines[0], body, order, last)
            if reply is None:
                return
            if reply[0] == 201:
                last = str(json.loads(reply[1])["id"])
            talk.send(answer(reply[1], f"{reply[0]} Fine"))


def parts(shop: Shop) -> dict[str, float]:
    """Share of each request in all of them."""
    return {name: count / shop.asked.total() for name, count in shop.asked.items()}


def test_a_step_takes_what_its_own_connection_was_given_and_the_mix_is_the_declared_one() -> None:
    shop = Shop()
    with serving(shop) as server, target_of(server, *SESSION) as target:
        play(target, answered(target, 3000), connections=20)
        assert_accounted(target, server)
        assert not target.tally.errors, target.tally.samples
        assert target.program.sessions == pytest.approx(3000 / 8, rel=0.1)
    assert shop.wrong == []
    first_creates = 20 / shop.asked.total()  # who joins in the middle of a session makes up for it
    expected = {"GET /read": 4 / 8, "POST /orders": 1 / 8, "PUT /orders/": 2 / 8, "PATCH /orders/": 1 / 8}
    assert parts(shop) == {name: pytest.approx(share, abs=first_creates) for name, share in expected.items()}


def test_at_every_moment_connections_are_spread_over_the_steps() -> None:
    """No convoys: each stretch of what the server hears holds the declared mix, from the first request on."""
    heard: list[str] = []
    shop = Shop()

    def script(talk: Talk) -> None:
        talk_request = talk.request

        def noted() -> bytes | None:
            request = talk_request()
            if request is not None:
                heard.append(request.split(b" ")[0].decode())
                time.sleep(0.002)
            return request

        talk.request = noted  # type: ignore[method-assign]
        shop(talk)

    with serving(script) as server, target_of(server, *SESSION) as target:
        play(target, answered(target, 1200), connections=40)
    for start in range(80, 1200, 160):
        stretch = Counter(heard[start : start + 160])
        assert 55 <= stretch["GET"] <= 105, stretch
        assert 8 <= stretch["POST"] <= 36, stretch


@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "close"])
def test_who_loses_an_answer_begins_anew_and_never_takes_what_another_session_was_given(*, keep_alive: bool) -> None:
    shop = Shop(losses=0.05)

    def forgetful(talk: Talk) -> None:
        """Serve one request a connection: nobody remembers what was given."""
        request = talk.request()
        if request is not None:
            head, _, body = request.partition(b"\r\n\r\n")
            order = head.decode().partition("X-Order: ")[2].partition("\r\n")[0]
            reply = shop.reply(head.decode().split("\r\n")[0], body, order, None)
            if reply is not None:
                talk.send(answer(reply[1], f"{reply[0]} Fine", "Connection: close"))

    with (
        serving(shop if keep_alive else forgetful) as server,
        target_of(server, *SESSION, keep_alive=keep_alive) as target,
    ):
        play(target, answered(target, 2000), connections=10)
        assert_accounted(target, server)
        assert set(target.tally.errors) <= {"closed", "reset"}
        assert target.tally.errors.total() > 20
        assert 0 < target.program.sessions < 2000 / 8 * 0.9
    assert shop.wrong == []


def test_in_an_open_loop_and_over_http2_too() -> None:
    shop = Shop()
    with serving(shop) as server, target_of(server, *SESSION) as target:
        target.pace = OpenPace(target, Schedule(600.0, "poisson", seed=1, start_ns=time.monotonic_ns()))
        play(target, answered(target, 300), connections=9)
        assert not target.tally.errors, target.tally.samples

    def handler(server: Reference, asked: Asked) -> None:
        order = next((value.decode() for key, value in asked.fields if key == b"x-order"), "")
        line = f"{asked[':method'].decode()} {asked[':path'].decode()}"
        status, body = shop.reply(line, bytes(asked.body), order, None) or (500, b"")
        server.answer(asked.stream, body, status)

    lower = tuple(
        request if not request.headers else patch(request.path, body=request.body, headers=(("x-order", "{id}"),))
        for request in SESSION
    )
    with h2_serving(handler) as server, multiplexed(server, *lower) as target:
        play(target, answered(target, 1000), connections=12)
        assert not target.tally.errors, target.tally.samples
    assert shop.wrong == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{}", "expected id to be a number or a word that fits into a path, but it is not there"),
        (b"[1]", "expected a JSON object with id, but b'[1]' came"),
        (b"\xff", "expected a JSON object with id"),
        (b'{"id":null}', "but None"),
        (b'{"id":true}', "but True"),
        (b'{"id":1.5}', "but 1.5"),
        (b'{"id":"a/../b"}', "but 'a/../b'"),
        (b'{"id":"a b\\r\\nX: y"}', "but 'a b"),
        (b'{"id":""}', "but ''"),
        (b'{"id":{"a":1}}', "but {'a': 1}"),
    ],
)
def test_an_answer_that_does_not_give_what_it_should_is_wrong(body: bytes, said: str) -> None:
    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            talk.send(answer(body, "201 Made") if request.startswith(b"POST") else answer(b"read"))

    with serving(script) as server, target_of(server, *SESSION) as target:
        play(target, lambda: target.tally.errors["body"] >= 3, connections=4)
        assert said in target.tally.samples["body"]
        assert set(target.tally.errors) == {"body"}


def test_what_fits_into_a_path_is_taken_as_it_is() -> None:
    assert read_given(b'{"id":12,"token":"a-b_c.~9"}', ("id", "token")) == {"id": b"12", "token": b"a-b_c.~9"}
    assert filled(b"/{id}/{other}/{id}", {"id": b"7"}) == b"/7/{other}/7"
    assert blanks_in(["id", "token"], "/{id", b"{token}") == ("token",)


def gave(path: str, *fields: str) -> Request:
    return post(path, gives=fields)


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ((put("/a/{id}"), gave("/a", "id")), "PUT /a/{id} takes id, which only a later request gives"),
        ((gave("/a", "id"), gave("/b", "id"), put("/{id}")), "id is given by /a and by /b"),
        ((gave("/a", "id"), put("/a/id")), "/a gives id, and no request has {id} in it"),
        ((gave("/a", "id"), put("/{id}"), get("/x", make=lambda _: Variant())), "one is made"),
    ],
)
def test_a_session_that_can_not_be_is_refused_when_it_is_declared(requests: tuple[Request, ...], said: str) -> None:
    assert said in (problem_of(requests) or "")


@pytest.mark.parametrize("gives", [("a b",), ("",), "id", ["id"], (1,)])
def test_only_names_of_fields_can_be_given(gives: Any) -> None:
    with pytest.raises(ValueError, match="expected names of fields in `gives`"):
        post("/a", gives=gives)


def test_braces_that_nobody_gives_are_what_they_are() -> None:
    assert problem_of((get("/a/{id}"), post("/b", body=b'{"x":{}}'))) is None


@given(st.data())
@settings(max_examples=60)
def test_a_pass_is_put_right_whatever_depends_on_what(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 7))
    weights = {place: data.draw(st.integers(1, 5)) for place in range(count)}
    gives = [(f"f{place}",) if data.draw(st.booleans()) else () for place in range(count)]
    known = [field for fields in gives for field in fields]
    needs = [
        tuple(field for field in known if int(field[1:]) < place and data.draw(st.booleans())) for place in range(count)
    ]
    deck = spread(weights, Random(data.draw(st.integers(0, 99))))
    steps = in_order(deck, needs, gives)
    assert Counter(steps) == Counter(deck)
    so_far: set[str] = set()
    for step in steps:
        assert set(needs[step]) <= so_far
        so_far |= set(gives[step])


def test_the_site_is_measured_as_sessions_in_visits_and_unbroken() -> None:
    """The scenario itself, with right answers: what is changed was made before, what is read was changed before."""
    made: set[str] = set()
    changed: set[str] = set()
    wrong: list[str] = []
    lock = threading.Lock()
    simple = {
        "/page": b"<!doctype html>\n</html>\n",
        "/static/style.css": b"a{}",
        "/json": b'{"message":"Hello, World!"}',
        "/wait/20": b"waited 20 ms",
        "/items": json.dumps([{"id": n, "name": "n", "quantity": n} for n in range(20)]).encode(),
    }

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            method, path = request.decode().split(" ")[:2]
            if method == "POST":
                with lock:
                    number = str(101 + len(made))
                    made.add(number)
                talk.send(answer(b'{"id":%s,"name":"order","quantity":1}' % number.encode(), "201 Created"))
            elif method == "PUT" or path.startswith("/items/"):
                number = path.rpartition("/")[2]
                if number not in made or (method == "GET" and number not in changed):
                    wrong.append(f"{method} {path}")
                changed.add(number)
                talk.send(answer(b'{"id":%s,"name":"changed","quantity":2}' % number.encode()))
            else:
                talk.send(answer(simple[path.partition("?")[0]]))

    with load_process() as process, serving(script) as server:
        for slice_s in (0.1, None):
            before = server.requests
            order = measuring(SCENARIOS / "site.py", address(server), slice_s=slice_s, identify=False)
            (result,) = process.ask(**order)["targets"]
            assert result["errors"] == {}, result["error_samples"]
            assert server.requests - before == accounted(result)
            assert 0 < result["window"]["sessions"] <= result["requests"] / 20 + 8
        assert process.ask(do="calibrate", scenario=str(SCENARIOS / "site.py"), window_s=0.3)["rps_per_core"] > 0
    assert wrong == []


def test_an_answer_that_was_foretold_is_only_right_byte_for_byte() -> None:
    """Once the answers to changes are foretold, each of them still counts: one of an old number is a wrong answer."""
    changes: list[str] = []
    shop = Shop()
    lock = threading.Lock()

    def script(talk: Talk) -> None:
        last = None
        while (request := talk.request()) is not None:
            line = request.decode().split("\r\n")[0]
            status, body = shop.reply(line, request.partition(b"\r\n\r\n")[2], last or "", last) or (500, b"")
            if status == 201:
                last = str(json.loads(body)["id"])
            with lock:
                changes.extend([last or ""] if line.startswith("PUT") else [])
                if line.startswith("PUT") and len(changes) % 50 == 0:
                    body = b'{"id":%d,"done":true}' % (int(last or 0) - 7)  # as long as the right one
            talk.send(answer(body, f"{status} Fine"))

    with serving(script) as server, target_of(server, *SESSION[:3]) as target:
        play(target, lambda: target.tally.requests >= 2000, connections=8)
        wrong = target.tally.errors["body"]
        assert wrong == len(changes) // 50
        assert set(target.tally.errors) == {"body"}
        assert answers_read(target) < 0.3 * target.tally.requests  # most were compared and not read
