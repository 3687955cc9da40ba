"""docs/load.md says what each odd answer counts as: proved row by row, over real sockets and however it is cut."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sgibench.load.request import Request
from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.reader import Reader
from tests.loaded_target import answered, assert_accounted, assert_opened, play, target_of
from tests.scripted_server import Script, Talk, serving

PAGE = Path(__file__).parent.parent / "docs" / "load.md"
ROW = re.compile(
    r"^\| ([^|]+) \| `([^`]+)` \| (right: )?(`[^`]+`|empty)(, on a connection that ends)? \| [0-9][^|]* \|$",
    re.MULTILINE,
)
SIGNS = {"⏎": b"\r\n", "␍": b"\r", "␊": b"\n", "␉": b"\t", "␀": b"\0"}
REPEATED = re.compile(rb"\{(\d+) \xc3\x97 ([^{}]*)\}")


class Row:
    """One line of the table."""

    def __init__(self, what: str, sent: str, right: str, outcome: str, ends: str) -> None:
        self.what = what
        raw = sent.removesuffix("⏏").encode()
        for sign, meaning in SIGNS.items():
            raw = raw.replace(sign.encode(), meaning)
        while found := REPEATED.search(raw):
            raw = raw[: found.start()] + int(found[1]) * found[2] + raw[found.end() :]
        self.stream = raw
        self.hangs_up = sent.endswith("⏏")
        self.kind = None if right else outcome.strip("`")
        self.body = b"" if outcome == "empty" else outcome.strip("`").encode()
        self.keeps = bool(right) and not ends
        status = int(what[:3]) if what.endswith(", expected") else 200
        self.request = Request(
            method="HEAD" if "to HEAD" in what else "GET",
            path="/",
            status=status,
            expect=b"" if "to HEAD" in what or status != 200 else b"ok",
        )


ROWS = {found[0]: Row(*found) for found in ROW.findall(PAGE.read_text())}


def cuts(stream: bytes) -> list[list[bytes]]:
    """In one piece, in two at every place, byte by byte; long ones at fewer places."""
    step = max(1, len(stream) // 300)
    halves = [[stream[:at], stream[at:]] for at in range(1, len(stream), step)]
    small = 1 if len(stream) < 10_000 else 997
    return [[stream], *halves, [stream[at : at + small] for at in range(0, len(stream), small)]]


def test_the_table_is_there() -> None:
    lines = PAGE.read_text().splitlines()
    first = lines.index("| what the server does | what it sends | what it counts as | section |") + 2
    length = next(number for number, line in enumerate(lines[first:]) if not line.startswith("|"))
    assert len(ROWS) == length, "a row that the test can't read"
    assert length >= 50


@pytest.mark.parametrize("what", [what for what, row in ROWS.items() if row.kind not in {"status", "leftover"}])
def test_however_an_answer_is_cut_it_is_read_as_the_table_says(what: str) -> None:
    row = ROWS[what]
    for pieces in cuts(row.stream) if row.stream else [[]]:
        kind, answer, leftover = outcome_of(row, pieces)
        assert kind == row.kind, pieces[0][:100]
        if answer is not None:
            assert (answer.body, leftover) == (row.body, b"")
            assert row.keeps or answer.head.closes or row.hangs_up


def outcome_of(row: Row, pieces: list[bytes]) -> tuple[str | None, Answer | None, bytes]:
    """Feed the pieces to a fresh reader: the kind of error, the answer, what was left over."""
    reader = Reader()
    reader.expect(is_head=row.request.method == "HEAD")
    answer = None
    try:
        for piece in pieces:
            assert answer is None
            answer = reader.feed(piece)
        if answer is None and row.hangs_up:
            answer = reader.end()
    except WireError as error:
        return error.kind, None, b""
    assert answer is not None, "the answer never ended"
    return None, answer, reader.leftover


def saying(row: Row) -> Script:
    """The first connection answers twice as the row says, all others rightly; errors cost their connection."""
    right = b"HTTP/1.1 %d OK\r\nContent-Length: 2\r\n\r\n" % row.request.status
    right += b"ok" if row.request.expect else b""

    def script(talk: Talk) -> None:
        for _ in range(2 if talk.number == 0 else 0):
            if talk.request() is None:
                return
            talk.send(row.stream)
            if row.hangs_up:
                return
        while talk.request() is not None:
            talk.send(right)

    return script


@pytest.mark.parametrize("what", ROWS)
def test_over_a_socket_each_odd_answer_counts_as_the_table_says(what: str) -> None:
    row = ROWS[what]
    with serving(saying(row)) as server, target_of(server, row.request) as target:
        play(target, answered(target, 20))
        assert dict(target.tally.errors) == ({row.kind: 1} if row.kind else {})
        assert_accounted(target, server)
        assert_opened(target, server, 1 if row.keeps else 2)
