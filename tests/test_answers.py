"""Answers are learned: what stays is checked, what varies is named, what can't be asked many times is refused."""

from __future__ import annotations

import json
import os
import random
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench.answers.expecting import misfit
from sgibench.answers.learning import Answer, Learned, learn
from sgibench.answers.template import Sample, common_of
from sgibench.model import Asked, Expectation

GET = Asked(method="GET", path="/x")
SERVERS = (("one", 4001), ("two", 33333), ("three", 50500))
Body = Callable[[str, int, int], bytes]
"""(server, port, round) -> a body."""


def answers(body: Body, status: Callable[[str, int], int | None] = lambda _server, _round: 200) -> list[Answer]:
    return [
        Answer(
            server=server, round=number, port=port, status=status(server, number), content_type="text/html; charset=x",
            body=body(server, port, number), error="" if status(server, number) else "the connection was closed",
        )
        for server, port in SERVERS
        for number in range(4)
    ]  # fmt: skip


def checked(learned: Learned, body: bytes, status: int = 200) -> str | None:
    assert learned.refused is None
    assert learned.asked.expectation is not None
    return misfit(learned.asked.expectation, status, "text/html", body)


def test_a_body_that_never_changes_is_expected_byte_for_byte() -> None:
    learned = learn(GET, answers(lambda *_: b"Hello"))
    assert learned.said == "200, the whole body is checked"
    assert checked(learned, b"Hello") is None
    assert checked(learned, b"Hellp") is not None
    assert checked(learned, b"Hello", 201) is not None


def test_a_length_that_varies_by_itself_may_be_one_that_no_sample_had() -> None:
    """Of 100 to 900 random bytes the samples showed 220 to 855: 109 came under load, and all results were lost."""
    sizes = [220, 855, 341, 604]
    learned = learn(GET, answers(lambda server, _port, number: os.urandom(sizes[(number + len(server)) % 4])))
    assert learned.said == "200, checked by status, type and size: too little of the body stays the same"
    for right in (100, 900, 20, 3000):
        assert checked(learned, os.urandom(right)) is None, right
    for wrong in (0, 10_000):
        assert checked(learned, os.urandom(wrong)) is not None, wrong


def test_the_servers_port_a_moment_an_id_and_a_counter_are_blanked_out_and_named() -> None:
    def body(_server: str, port: int, number: int) -> bytes:
        return json.dumps({
            "url": f"http://127.0.0.1:{port}/x?next=http%3A%2F%2F127.0.0.1", "now": datetime.now(UTC).isoformat(),
            "request": str(uuid.uuid4()), "count": number * 7, "text": "what stays the same " * 8,
        }).encode()  # fmt: skip

    learned = learn(GET, answers(body))
    assert "its port and moments and numbers and ids or tokens" in learned.said
    assert checked(learned, body("four", 61000, 99)) is None
    assert checked(learned, body("four", 61000, 99).replace(b"stays", b"moved")) is not None
    assert checked(learned, b"{}") is not None


def test_a_moment_that_all_samples_share_is_left_out_all_the_same() -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    learned = learn(GET, answers(lambda *_: b"made %s in here" % now.isoformat().encode()))
    later = (now + timedelta(hours=3)).isoformat().encode()
    assert checked(learned, b"made %s in here" % later) is None
    assert checked(learned, b"made %s in there" % later) is not None


@pytest.mark.parametrize("spent", ["3 minutes ago", "just now", "1\xa0hour", "an hour ago", "%H:%M", "%I:%M %p"])
def test_a_minute_and_how_long_ago_it_was_are_moments_and_other_numbers_are_not(spent: str) -> None:
    now = datetime.now(UTC).astimezone().strftime(spent)
    learned = learn(GET, answers(lambda *_: f"posted {now} in a ratio of 16:9 by one".encode()))
    assert "what varies: moments" in learned.said
    later = spent.replace("%H:%M", "23:59").replace("%I:%M %p", "11:59 PM").replace("3", "4")
    assert checked(learned, f"posted {later} in a ratio of 16:9 by one".encode()) is None
    assert checked(learned, f"posted {now} in a ratio of 4:3 by one".encode()) is not None


def test_a_date_of_long_ago_is_data_and_is_checked() -> None:
    learned = learn(GET, answers(lambda *_: b"born 1912-06-23"))
    assert checked(learned, b"born 1912-06-24") is not None


def test_the_port_is_left_out_with_one_server_alone() -> None:
    common = common_of([Sample(body=b'{"self": "http://127.0.0.1:4001/x"}', port=4001)])
    assert common is not None
    assert common.pieces == (b'{"self": "http://127.0.0.1:', b'/x"}')


def test_what_has_next_to_nothing_in_common_is_checked_by_status_type_and_size() -> None:
    random.seed(3)
    learned = learn(GET, answers(lambda *_: random.randbytes(400).hex().encode()))
    assert "status, type and size" in learned.said
    assert checked(learned, b"0" * 800) is None
    assert checked(learned, b"0" * 80) is not None


@pytest.mark.parametrize(
    ("statuses", "workers", "kind"),
    [
        ((201, 400, 400, 400), 1, "can't be asked many times"),
        ((200, 200, 429, 429), 1, "limits how often"),
        ((200, 404, 200, 404), 3, "which of 3 processes"),
        ((200, 500, 200, 200), 1, "in turn"),
    ],
)
def test_a_status_that_changes_is_refused_by_its_kind(statuses: tuple[int, ...], workers: int, kind: str) -> None:
    learned = learn(GET, answers(lambda *_: b"x", lambda _server, number: statuses[number]), workers=workers)
    assert learned.refused is not None
    assert kind in learned.refused


def started(*statuses: tuple[int, ...]) -> list[Answer]:
    """Answers of one server, started as often as there are rows."""
    return [
        Answer(server="one", start=start, round=number, port=4001 + start, status=status, content_type="text/html",
               body=b"process %d says hello to all who ask" % start)
        for start, row in enumerate(statuses) for number, status in enumerate(row)
    ]  # fmt: skip


def test_what_differs_from_process_to_process_of_one_server_is_blanked_out() -> None:
    asked = Asked(method="GET", path="/x", example=b"process 7 says hello to all who ask")
    learned = learn(asked, started((200,) * 4, (200,) * 4))
    assert learned.findings == ()
    assert checked(learned, b"process 99 says hello to all who ask") is None
    assert checked(learned, b"process 99 says hello to nobody who asks") is not None


def test_what_moved_since_the_app_was_asked_without_a_server_is_blanked_out() -> None:
    body = b"there is room for 4711 more in this place"
    learned = learn(Asked(method="GET", path="/x", example=body.replace(b"4711", b"4709")), answers(lambda *_: body))
    assert "what varies: numbers" in learned.said
    assert checked(learned, body.replace(b"4711", b"12")) is None
    other = learn(Asked(method="GET", path="/x", example=b"<h1>something else</h1>"), answers(lambda *_: body))
    assert other.said == "200, the whole body is checked"


@given(
    st.binary(max_size=300),
    st.binary(min_size=1, max_size=4),
    st.binary(min_size=1, max_size=4),
    st.binary(max_size=300),
)
def test_what_is_told_of_a_strange_body_shows_where_it_differs(
    before: bytes, one: bytes, two: bytes, after: bytes
) -> None:
    expected, came = before + one + after, before + two + after
    for pieces in ((expected,), (expected, b""), (b"", expected)):
        told = misfit(Expectation(status=200, pieces=pieces), 200, None, came)
        if told is not None:
            first, second = re.findall(r"""b(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", told)
            assert first != second


def test_what_stays_from_one_start_of_a_server_to_the_next_is_refused() -> None:
    learned = learn(GET, started((200,) * 4, (409,) * 4))
    assert learned.refused is not None
    assert "answered 200, then 409 when the server is started again" in learned.refused


@settings(deadline=None, max_examples=200)
@given(st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 1), st.integers(0, 3), st.sampled_from([200, 201, 404, 429, None])),
    min_size=1, max_size=12,
))  # fmt: skip
def test_whatever_statuses_come_are_an_expectation_or_a_refusal(came: list[tuple[str, int, int, int | None]]) -> None:
    learned = learn(GET, [
        Answer(server=server, start=start, round=number, status=status, content_type="a/b", body=b"the same words")
        for server, start, number, status in came
    ])  # fmt: skip
    assert (learned.refused is None) == (learned.asked.expectation is not None)


def test_an_answer_that_grows_each_time_is_refused_and_one_that_swings_is_not() -> None:
    grown = learn(GET, answers(lambda _server, _port, number: b"[%s]" % (b"item," * number)))
    assert grown.refused is not None
    assert "grows each time" in grown.refused
    swinging = learn(GET, answers(lambda _server, _port, number: b"same " * 20 + b"x" * (number % 2)))
    assert swinging.refused is None


def test_an_answer_that_stops_growing_is_checked_from_its_smallest_to_its_largest() -> None:
    def listed(number: int) -> bytes:
        return b"[%s]" % b",".join(b"item %d" % each for each in range(max(0, number - 50), number))

    first = [
        Answer(server="one", round=number, port=4001, status=200, body=listed(number), content_type="text/html")
        for number in range(64)
    ]
    learned = learn(GET, [*first, *(one for one in answers(lambda *_: listed(64)) if one.server != "one")])
    assert "it grew 60 times and then no more" in learned.said
    for number in (0, 1, 49, 64, 99):
        assert checked(learned, listed(number)) is None
    assert checked(learned, listed(64) * 9) is not None


def test_a_write_that_is_refused_for_want_of_a_csrf_token_says_so() -> None:
    post = Asked(method="POST", path="/x")
    body = b"<p>CSRF verification failed. Request aborted.</p>"
    learned = learn(post, answers(lambda *_: body, lambda *_: 403))
    assert learned.refused is not None
    assert "wants a CSRF token" in learned.refused
    wanted = learn(Asked(method="POST", path="/x", status=403), answers(lambda *_: body, lambda *_: 403))
    assert wanted.refused is None


def test_a_server_that_answers_otherwise_is_a_finding_and_the_others_are_right() -> None:
    learned = learn(GET, answers(lambda *_: b"fine", lambda server, _number: 400 if server == "two" else 200))
    assert [server for server, _ in learned.findings] == ["two"]
    assert learned.findings[0][1].startswith("two answers 400 to GET /x")
    assert checked(learned, b"fine") is None


def test_a_server_that_does_not_answer_is_a_finding_with_its_reason() -> None:
    learned = learn(GET, answers(lambda *_: b"fine", lambda server, _number: None if server == "one" else 200))
    assert learned.findings == (("one", "one gives no answer to GET /x: the connection was closed"),)


@pytest.mark.parametrize("odd", ["one", "two", "three"])
def test_a_body_of_one_server_alone_is_a_finding_and_not_what_is_expected(odd: str) -> None:
    usual, other = b"the usual text", b"quite another text"
    learned = learn(GET, answers(lambda server, *_: other if server == odd else usual))
    assert [server for server, _ in learned.findings] == [odd]
    assert checked(learned, usual) is None
    assert checked(learned, other) is not None


def test_between_two_servers_the_app_without_one_decides_whose_body_is_right() -> None:
    usual, other = b"the usual text", b"quite another text"
    two = [one for one in answers(lambda server, *_: other if server == "two" else usual) if one.server != "three"]
    learned = learn(Asked(method="GET", path="/x", example=usual), two)
    assert [server for server, _ in learned.findings] == ["two"]
    assert checked(learned, other) is not None
    neither = learn(Asked(method="GET", path="/x", example=b"<html>not at all</html>"), two)
    assert neither.findings == ()


@pytest.mark.parametrize(("wanted", "status"), [(None, 404), (200, 302)])
def test_a_status_that_nobody_wants_is_refused(wanted: int | None, status: int) -> None:
    asked = Asked(method="GET", path="/x", status=wanted)
    assert learn(asked, answers(lambda *_: b"", lambda *_: status)).refused is not None
    assert (
        learn(Asked(method="GET", path="/x", status=status), answers(lambda *_: b"", lambda *_: status)).refused is None
    )


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.binary(max_size=40), min_size=1, max_size=6),
    st.lists(st.lists(st.binary(max_size=12), min_size=6, max_size=6), min_size=1, max_size=5),
)
def test_every_sample_fits_what_was_learned_of_it(fixed: list[bytes], varied: list[list[bytes]]) -> None:
    bodies = [b"".join(one + two for one, two in zip(fixed, row, strict=False)) for row in varied]
    learned = learn(GET, [
        Answer(server="one", round=number, port=4001, status=200, content_type="a/b", body=body)
        for number, body in enumerate(bodies)
    ])  # fmt: skip
    if learned.refused is None:
        assert learned.asked.expectation is not None
        for body in bodies:
            assert misfit(learned.asked.expectation, 200, "a/b", body) is None
