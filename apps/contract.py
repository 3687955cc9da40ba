"""What every app answers: constants and plain functions; an app file only translates them to its interface.

Standard library only and no import of sgibench, because apps run in isolated environments where nothing else is
installed. Importing this file does no work beyond listing `static/` (a verifier loads it to know what to expect).
A handler gets (last segment of the path, query string, whole request body) and returns an `Answer` or `Parts`, or
raises `Refusal`. Waiting is never done here: an answer says how long, and the app waits in its interface's own way.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import string
import sys
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from html import escape
from pathlib import Path
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from database.awaited import AsyncpgItems, PsycopgItems
    from database.postgresql import PostgresItems
    from database.sqlite import SqliteItems

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"
OCTETS = "application/octet-stream"
EVENTS = "text/event-stream"

MOST_BYTES = 16 * 1024 * 1024
MOST_WAIT_MS = 60_000
MOST_QUERY_MS = 10_000
MOST_ROUNDS = 10_000_000
MOST_EVENTS = 10_000
MOST_PAGES = 1_000_000_000
MOST_PAUSE_MS = 1_000
MOST_ITEMS = 100
"""Largest `limit` of the list of items."""
MOST_OFFSET = 1_000_000_000
MOST_QUANTITY = 1_000_000_000
MOST_NAME = 200
"""Longest name of an item, in characters."""

CHUNK_BYTES = 64 * 1024
"""A static file is read in pieces of this size; one that fits a single piece is an ordinary answer."""


class Answer(NamedTuple):
    """A whole answer: the app sends Content-Type, Content-Length, then `extra`, then the body (none to a HEAD).

    A 204 has neither Content-Type nor Content-Length: HTTP forbids the one and WSGI the other.
    """

    status: int
    content_type: str
    body: bytes
    extra: tuple[tuple[str, str], ...] = ()
    wait_s: float = 0.0
    """The app waits this long before it answers."""

    @property
    def blocks(self) -> bool:
        """Whether that wait is a call which blocks its thread."""
        return False


class Blocking(Answer):
    """An answer that waits for a client library which knows nothing of coroutines: each app calls it in its own way."""

    __slots__ = ()

    @property
    def blocks(self) -> bool:
        """It does."""
        return True


class Parts(NamedTuple):
    """An answer of status 200 sent piece by piece, each piece flushed before the next is made."""

    content_type: str
    parts: Iterable[bytes]
    length: int | None
    """Content-Length; None for an event stream, which is framed by the server."""
    pause_s: float = 0.0
    """The app waits this long between two pieces."""


class Later(NamedTuple):
    """An answer that waits for a database; only an app of coroutines ever gets one, and awaits `whole()`."""

    found: Coroutine[Any, Any, Any]
    """What was asked of the database."""
    answer: Callable[[Any], Answer]
    """Makes the answer of what came; may raise Refusal."""

    async def whole(self) -> Answer:
        """Wait for it."""
        try:
            return self.answer(await self.found)
        except Refusal as refusal:
            return refusal.answer


class Refusal(Exception):  # noqa: N818 - not a fault of the program: an answer that says no
    """The request can't be granted; `answer` is a JSON object with one sentence under `error`."""

    def __init__(self, status: int, sentence: str, *extra: tuple[str, str]) -> None:
        super().__init__(sentence)
        self.answer = Answer(status, JSON, dump({"error": sentence}), extra)


Handler = Callable[[str, str, bytes], Answer | Parts]

# One encoder for all: json.dumps(…, separators=…) would build a new one for each call, at twice the price.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def dump(document: object) -> bytes:
    """Serialise compactly, in ASCII: the same bytes as json.dumps(document, separators=(",", ":"))."""
    return _encode(document).encode("ascii")


def number(text: str, most: int, name: str) -> int:
    """Read a whole number of the path; what is no number is no such address, what is too large is refused."""
    if not (text.isascii() and text.isdecimal()):
        raise Refusal(404, f"{name} must be a whole number")
    if len(text) > len(str(most)) or int(text) > most:
        raise Refusal(400, f"{name} must be at most {most}")
    return int(text)


# --- answers that need no state -------------------------------------------------------------------------------------

_HELLO = Answer(200, TEXT, b"Hello, World!")
_DELETED = Answer(204, "", b"")
_PATTERN = b"0123456789abcdef"
_BLOCK = _PATTERN * (CHUNK_BYTES // len(_PATTERN))


def get_plaintext(_argument: str, _query: str, _body: bytes) -> Answer:
    """`Hello, World!`, 13 bytes."""
    return _HELLO


def get_json(_argument: str, _query: str, _body: bytes) -> Answer:
    """Serialise a small document, each time anew."""
    return Answer(200, JSON, _encode({"message": "Hello, World!"}).encode("ascii"))


def get_bytes(argument: str, _query: str, _body: bytes) -> Answer:
    """Send that many bytes of a repeating pattern."""
    count = number(argument, MOST_BYTES, "the number of bytes")
    if count <= CHUNK_BYTES:
        return Answer(200, OCTETS, _BLOCK[:count])
    return Answer(200, OCTETS, (_BLOCK * (count // CHUNK_BYTES + 1))[:count])


def get_pieces(argument: str, _query: str, _body: bytes) -> Parts:
    """Send the same bytes piece by piece and without a length, so that the server frames them."""
    count = number(argument, MOST_BYTES, "the number of bytes")
    whole, rest = divmod(count, CHUNK_BYTES)
    return Parts(OCTETS, (_BLOCK if left else _BLOCK[:rest] for left in range(whole, -1 if rest else 0, -1)), None)


def post_echo(_argument: str, _query: str, body: bytes) -> Answer:
    """Send the request's body back."""
    return Answer(200, OCTETS, body)


def post_upload(_argument: str, _query: str, body: bytes) -> Answer:
    """Count and digest the request's body."""
    return Answer(200, JSON, dump({"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}))


class Sink:
    """Takes a request's body piece by piece and keeps none of it: what grows meanwhile is the server's."""

    __slots__ = ("count", "crc")

    def __init__(self) -> None:
        self.count = self.crc = 0

    def take(self, piece: bytes) -> None:
        """Count a piece."""
        self.count += len(piece)
        self.crc = zlib.crc32(piece, self.crc)

    def answer(self) -> Answer:
        """Tell how many bytes there were, and their CRC-32."""
        return Answer(200, JSON, b'{"bytes":%d,"crc32":"%08x"}' % (self.count, self.crc))


def post_sink(_argument: str, _query: str, body: bytes) -> Answer:
    """Count the request's body; an app that can takes it piece by piece instead, as it comes (`Sink`)."""
    sink = Sink()
    sink.take(body)
    return sink.answer()


def get_wait(argument: str, _query: str, _body: bytes) -> Answer:
    """Answer after that many milliseconds, as if an upstream service had been asked."""
    wait_ms = number(argument, MOST_WAIT_MS, "the milliseconds to wait")
    return Answer(200, TEXT, b"waited %d ms" % wait_ms, wait_s=wait_ms / 1000)


def get_block(argument: str, _query: str, _body: bytes) -> Answer:
    """Answer after a call that holds its thread for that many milliseconds."""
    block_ms = number(argument, MOST_WAIT_MS, "the milliseconds to block")
    return Blocking(200, TEXT, b"blocked %d ms" % block_ms, wait_s=block_ms / 1000)


def get_cpu(argument: str, _query: str, _body: bytes) -> Answer:
    """Do that many rounds of pure-Python work and answer its digest.

    One round is Knuth's MMIX linear congruential generator (multiplier 6364136223846793005, increment
    1442695040888963407, modulo 2**64) followed by an xor-shift, so that no round can be left out.
    """
    state = 0x53676962656E6368  # "Sgibench"
    for _ in range(number(argument, MOST_ROUNDS, "the number of rounds")):
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 29
    return Answer(200, TEXT, b"%016x" % state)


def get_stream(argument: str, query: str, _body: bytes) -> Parts:
    """Send that many server-sent events, numbered from 0, `?pause_ms=` apart (default: no pause)."""
    count = number(argument, MOST_EVENTS, "the number of events")
    pause_ms = parameters(query, pause_ms=(0, MOST_PAUSE_MS))["pause_ms"]
    return Parts(EVENTS, (b"data: chunk %d\n\n" % index for index in range(count)), None, pause_ms / 1000)


class Room:
    """Who listens to `/ws/broadcast` in this process, and how many messages came and were sent on."""

    def __init__(self) -> None:
        self.listeners: dict[object, Callable[[str | bytes], Awaitable[None]]] = {}
        self.received = self.sent = 0

    async def pass_on(self, message: str | bytes) -> None:
        """Send a message to all, one after the other; who is gone hears nothing more."""
        self.received += 1
        for listener, send in tuple(self.listeners.items()):
            try:
                await send(message)
            except (OSError, RuntimeError):  # what servers raise when a client has gone
                self.listeners.pop(listener, None)
            else:
                self.sent += 1


ROOM = Room()


def get_broadcast(_argument: str, _query: str, _body: bytes) -> Answer:
    """Count listeners, messages that came, and messages that were sent on, in this process."""
    return Answer(200, JSON, dump({"listeners": len(ROOM.listeners), "received": ROOM.received, "sent": ROOM.sent}))


def get_pid(_argument: str, _query: str, _body: bytes) -> Answer:
    """Tell which process answers."""
    return Answer(200, TEXT, b"%d" % os.getpid())


@functools.cache
def _notes(pid: int) -> int:
    """Open the file in which a process notes when requests reached it: 8 bytes each, in the order they came."""
    folder = os.environ.get("SGIBENCH_DATA") or tempfile.gettempdir()
    return os.open(f"{folder}/noted-{pid}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def noted(argument: str, query: str, _body: bytes) -> Answer:
    """Note that this request reached the app, and when; then the page, after that many milliseconds."""
    wait_ms = number(argument, MOST_WAIT_MS, "the milliseconds to wait")
    os.write(_notes(os.getpid()), time.monotonic_ns().to_bytes(8, sys.byteorder))
    return get_page("", query, b"")._replace(wait_s=wait_ms / 1000)


def get_error(_argument: str, _query: str, _body: bytes) -> Answer:
    """Fail, so that it shows what the server makes of an app's exception."""
    raise RuntimeError("this route raises an exception on purpose")


def parameters(query: str, **known: tuple[int, int]) -> dict[str, int]:
    """Read whole numbers from a query string; `known` gives each name's default and largest value."""
    values = {name: default for name, (default, _) in known.items()}
    for name, text in parse_qsl(query, keep_blank_values=True) if query else ():
        if name in known:
            most = known[name][1]
            # Compared by length first: int() of a very long text is slow, and refused by Python itself.
            if not (text.isascii() and text.isdecimal()) or len(text) > len(str(most)) or int(text) > most:
                raise Refusal(422, f"{name} must be a whole number from 0 to {most}")
            values[name] = int(text)
    return values


# --- a page and files -----------------------------------------------------------------------------------------------

_PAGE = string.Template("""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>$title</title><link rel="stylesheet" href="/static/style.css"></head>
<body>
<h1>$title</h1>
<table>
<thead><tr><th>#</th><th>Name</th><th>Quantity</th><th>Note</th></tr></thead>
<tbody>
$rows</tbody>
</table>
<p>$count items, $total pieces.</p>
</body>
</html>
""")
_ROW = string.Template("<tr><td>$id</td><td>$name</td><td>$quantity</td><td>$note</td></tr>\n")

PAGE_TITLE = "Stock & <supplies>"
PAGE_ITEMS = (
    ("Paper clips", 1200, "box of 100"),
    ("Envelopes C4", 340, "self-sealing"),
    ("Nuts & bolts", 87, "M4, M5 & M6"),
    ("Screen 27 in", 14, "incl. stand"),
    ("Müsli", 25, "for the kitchen"),
    ("Cable <3 m", 61, "USB-C"),
    ("Cable >3 m", 9, "USB-C"),
    ("Reilly & sons", 33, "do not lend"),
    ("Crème brûlée", 6, "keep cool"),
    ("<script>alert(1)</script>", 1, "must stay text"),
    ("Stapler", 18, ""),
    ("日本茶", 42, "green"),
)


class PageRow(NamedTuple):
    """One row of the page's table."""

    id: int
    name: str
    quantity: int
    note: str


def page_data(page: int | None = None) -> dict[str, object]:
    """What the page shows, for a framework's own template: title, rows, count and total.

    One of the pages from the cache has its number in its title, so that one that came in place of another is seen.

    No text holds a quote: template engines spell an escaped one in unlike ways, and the page is compared byte for byte.
    """
    rows = [PageRow(index, *item) for index, item in enumerate(PAGE_ITEMS, start=1)]
    return {"title": _title(page), "rows": rows, "count": len(rows), "total": sum(row.quantity for row in rows)}


def _title(page: int | None) -> str:
    return PAGE_TITLE if page is None else f"{PAGE_TITLE}, page {page}"


def get_page(_argument: str, _query: str, _body: bytes) -> Answer:
    """Render an HTML table from a template and data, every text escaped."""
    return Answer(200, HTML, rendered_page())


def rendered_page(page: int | None = None) -> bytes:
    """What that page is, or the one with this number of those that are cached."""
    rows = "".join(
        _ROW.substitute(id=index, name=escape(name), quantity=quantity, note=escape(note))
        for index, (name, quantity, note) in enumerate(PAGE_ITEMS, start=1)
    )
    total = sum(quantity for _, quantity, _ in PAGE_ITEMS)
    return _PAGE.substitute(title=escape(_title(page)), rows=rows, count=len(PAGE_ITEMS), total=total).encode()


def page_number(argument: str) -> int:
    """Read which page is asked for; they differ in nothing but that number, which stands in their titles."""
    return number(argument, MOST_PAGES, "the number of the page")


def get_cached(argument: str, _query: str, _body: bytes) -> Answer:
    """Send the page from the cache; it is rendered and kept when it isn't there."""
    page = page_number(argument)  # first: what is refused must not need the cache
    from caching import ASKED, LOCAL, MISSED, key_of  # noqa: PLC0415 - as in `items`

    ASKED()
    found = LOCAL.get(key_of(page))
    if found is None:
        MISSED()
        found = rendered_page(page)
        LOCAL.set(key_of(page), found)
    return Answer(200, HTML, found)


CONTENT_TYPES = {
    ".bin": OCTETS,
    ".css": "text/css; charset=utf-8",
    ".html": HTML,
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": TEXT,
}

# A request picks from this listing, so no path is ever built from what a client sent.
STATIC = {path.name: path for path in sorted(Path(__file__).with_name("static").glob("*")) if path.is_file()}


class _Pieces:
    """A file's content in pieces; opened when it is iterated, so a HEAD opens nothing and nothing is left open."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb", buffering=0) as file:
            while piece := file.read(CHUNK_BYTES):
                yield piece


def get_static(argument: str, _query: str, _body: bytes) -> Answer | Parts:
    """Send a file of `static/`, read from disk for each request."""
    path = STATIC.get(argument)
    if path is None:
        raise Refusal(404, "no such file")
    content_type = CONTENT_TYPES.get(path.suffix, OCTETS)
    size = path.stat().st_size
    if size > CHUNK_BYTES:
        return Parts(content_type, _Pieces(path), size)
    return Answer(200, content_type, path.read_bytes())


# --- items: a small table in a real database ------------------------------------------------------------------------


POSTGRESQL = "SGIBENCH_POSTGRESQL"
"""The variable with the address of a PostgreSQL; without it, items stand in an embedded SQLite."""

_awaited: list[str] = []


def await_items(driver: str) -> None:
    """Say, when an app of coroutines is imported, that it awaits PostgreSQL through `psycopg` or `asyncpg`."""
    _awaited[:] = [driver]


@functools.cache
def items() -> SqliteItems | PostgresItems | PsycopgItems | AsyncpgItems:
    """Open the table on first use, and so after a server has forked its workers.

    It stands in PostgreSQL where SGIBENCH_POSTGRESQL has an address, else in an SQLite file in the folder that
    SGIBENCH_DATA names, or in a temporary folder named after the user and the process group, which the workers of one
    server share. The databases' modules are imported here and not above, because a verifier loads this file alone.
    """
    if url := os.environ.get(POSTGRESQL):
        if _awaited:
            from database.awaited import DRIVERS  # noqa: PLC0415 - see the docstring

            return DRIVERS[_awaited[0]](url)
        from database.postgresql import PostgresItems as Threaded  # noqa: PLC0415 - see the docstring

        return Threaded(url)
    return embedded_items()


@functools.cache
def embedded_items() -> SqliteItems:
    """The table in an SQLite file."""
    from database.sqlite import SqliteItems as Items  # noqa: PLC0415 - see `items`

    folder = os.environ.get("SGIBENCH_DATA")
    if folder:
        return Items(Path(folder))
    private = Path(tempfile.gettempdir()) / f"sgibench-data-{os.getuid()}-{os.getpgrp()}"
    private.mkdir(mode=0o700, exist_ok=True)
    if private.stat().st_uid != os.getuid():
        raise PermissionError(f"{private} belongs to another user; name a folder of yours in SGIBENCH_DATA")
    return Items(private)


def items_file() -> Path:
    """Tell where the embedded items are, made and filled: for frameworks that bring a database layer of their own."""
    return embedded_items().path


def _with(found: Any, answer: Callable[[Any], Answer]) -> Answer:
    """Make the answer of what the database gave; of what has to be awaited, a `Later`.

    Its type says Answer, because only apps that called `await_items` can meet the other.
    """
    if type(found) is CoroutineType:
        return Later(found, answer)  # type: ignore[return-value]
    return answer(found)


async def given(found: Any) -> Any:
    """What the database gives, awaited where it has to be."""
    return await found if type(found) is CoroutineType else found


def read_item(body: bytes) -> tuple[str, int]:
    """Read a whole item from JSON: name and quantity; other fields are ignored."""
    match read_change(body):
        case str(name), int(quantity):
            return name, quantity
        case _:
            raise Refusal(422, "an item has a name and a quantity")


def read_change(body: bytes) -> tuple[str | None, int | None]:
    """Read name, quantity or both from JSON; what is not given is None."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(422, "the body must be JSON") from None
    if not isinstance(document, dict):
        raise Refusal(422, "the body must be a JSON object")
    if not document.keys() & {"name", "quantity"}:
        raise Refusal(422, "give a name, a quantity or both")
    name, quantity = document.get("name"), document.get("quantity")
    if "name" in document and not (isinstance(name, str) and 1 <= len(name) <= MOST_NAME and _is_unicode(name)):
        raise Refusal(422, f"name must be a text of 1 to {MOST_NAME} characters")
    if "quantity" in document and not (type(quantity) is int and 0 <= quantity <= MOST_QUANTITY):
        raise Refusal(422, f"quantity must be a whole number from 0 to {MOST_QUANTITY}")
    return name, quantity


def _is_unicode(text: str) -> bool:
    """JSON can spell half a surrogate pair, which no database stores."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def item_id_of(argument: str) -> int:
    """Ids beyond 64 bits can't exist, so they are missing like any other."""
    if not (argument.isascii() and argument.isdecimal() and len(argument) < len(str(2**63))):
        raise Refusal(404, "no such item")
    return int(argument)


def _document(row: tuple[int, str, int]) -> dict[str, int | str]:
    return {"id": row[0], "name": row[1], "quantity": row[2]}


def _one(row: tuple[int, str, int] | None) -> Answer:
    if row is None:
        raise Refusal(404, "no such item")
    return Answer(200, JSON, dump(_document(row)))


def page_asked(query: str) -> tuple[int, int]:
    """Read how many items are asked for, and from which on."""
    asked = parameters(query, limit=(20, MOST_ITEMS), offset=(0, MOST_OFFSET))
    return asked["limit"], asked["offset"]


def _listed(rows: list[tuple[int, str, int]]) -> Answer:
    return Answer(200, JSON, dump([_document(row) for row in rows]))


def _added(row: tuple[int, str, int]) -> Answer:
    return Answer(201, JSON, dump(_document(row)), (("Location", f"/items/{row[0]}"),))


def _gone(row: tuple[int, str, int] | None) -> Answer:
    _one(row)
    return _DELETED


def get_items(_argument: str, query: str, _body: bytes) -> Answer:
    """List items as a JSON array, `?limit=` of them (default 20) from `?offset=` on (default 0)."""
    limit, offset = page_asked(query)  # first: what is refused must not need the database
    return _with(items().page(limit, offset), _listed)


def post_item(_argument: str, _query: str, body: bytes) -> Answer:
    """Add an item; Location tells where it is."""
    name, quantity = read_item(body)
    return _with(items().add(name, quantity), _added)


def get_item(argument: str, _query: str, _body: bytes) -> Answer:
    """Tell one item."""
    item_id = item_id_of(argument)
    return _with(items().get(item_id), _one)


def put_item(argument: str, _query: str, body: bytes) -> Answer:
    """Replace an item that exists."""
    item_id, (name, quantity) = item_id_of(argument), read_item(body)
    return _with(items().change(item_id, name, quantity), _one)


def patch_item(argument: str, _query: str, body: bytes) -> Answer:
    """Change an item's name, quantity or both."""
    item_id, (name, quantity) = item_id_of(argument), read_change(body)
    return _with(items().change(item_id, name, quantity), _one)


def delete_item(argument: str, _query: str, _body: bytes) -> Answer:
    """Delete an item; the answer has no body."""
    item_id = item_id_of(argument)
    return _with(items().delete(item_id), _gone)


def post_raise(argument: str, _query: str, _body: bytes) -> Answer:
    """Raise an item's quantity by one in a transaction that reads it under a lock and then writes it."""
    item_id = item_id_of(argument)
    return _with(items().raise_by_one(item_id), _one)


def query_asked(argument: str) -> int:
    """Read for how many milliseconds the database is to be busy."""
    return number(argument, MOST_QUERY_MS, "the milliseconds of the query")


def queried(ms: int) -> Answer:
    """Say that the query came to its end."""
    return Answer(200, TEXT, b"queried %d ms" % ms)


def get_query(argument: str, _query: str, _body: bytes) -> Answer:
    """Answer after a question that takes the database that many milliseconds."""
    ms = query_asked(argument)
    return _with(items().query(ms / 1000), lambda _took_s: queried(ms))


# --- jobs: slow work that a request hands in --------------------------------------------------------------------------


def read_job(body: bytes) -> int:
    """Read what is to be done from JSON: how many rounds of arithmetic."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(422, "the body must be JSON") from None
    rounds = document.get("rounds") if isinstance(document, dict) else None
    if type(rounds) is not int or not 0 <= rounds <= MOST_ROUNDS:
        raise Refusal(422, f"rounds must be a whole number from 0 to {MOST_ROUNDS}")
    return rounds


def wants_inline(query: str) -> bool:
    """Whether a job is to be done before the answer, whatever the app's own way is: `?how=inline`."""
    asked = dict(parse_qsl(query, keep_blank_values=True)).get("how") if query else None
    if asked not in {None, "inline"}:
        raise Refusal(422, "how must be inline, or left out")
    return asked is not None


def accepted(job_id: int | str) -> Answer:
    """Say that a job was taken, and where it can be asked about."""
    return Answer(202, JSON, dump({"id": str(job_id)}), (("Location", f"/jobs/{job_id}"),))


def post_job(_argument: str, query: str, body: bytes) -> Answer:
    """Do a job before the answer."""
    wants_inline(query)
    rounds = read_job(body)
    from jobs import jobs  # noqa: PLC0415 - as in `items`

    job = jobs().hand_in(rounds)
    jobs().do(job)
    return accepted(job.number)


def job_answer(job_id: str, state: str, result: str | None) -> Answer:
    """Tell a job's state: queued, done or failed; the result of one that is done."""
    return Answer(200, JSON, dump({"id": job_id, "state": state, "result": result}))


def get_job(argument: str, _query: str, _body: bytes) -> Answer:
    """Tell what became of a job that this app did itself."""
    if not (argument.isascii() and argument.isdecimal() and len(argument) < len(str(2**63))):
        raise Refusal(404, "no such job")
    from jobs import jobs  # noqa: PLC0415 - as in `items`

    found = jobs().result_of(int(argument))
    if found is None:
        raise Refusal(404, "no such job")
    return job_answer(argument, "queued" if found[0] is None else "done", found[0])


def is_uuid(argument: str) -> bool:
    """Whether it is the id of a job in a queue, spelt as they are."""
    pieces = argument.split("-")
    return [len(piece) for piece in pieces] == [8, 4, 4, 4, 12] and set("".join(pieces)) <= set("0123456789abcdef")


# --- the routes -----------------------------------------------------------------------------------------------------


def _reads(handler: Handler) -> dict[str, Handler]:
    return {"GET": handler, "HEAD": handler}


FIXED: dict[str, dict[str, Handler]] = {
    "/plaintext": _reads(get_plaintext),
    "/json": _reads(get_json),
    "/echo": {"POST": post_echo},
    "/upload": {"POST": post_upload},
    "/sink": {"POST": post_sink},
    "/page": _reads(get_page),
    "/items": {**_reads(get_items), "POST": post_item},
    "/jobs": {"POST": post_job},
    "/broadcast": _reads(get_broadcast),
    "/pid": _reads(get_pid),
    "/error": _reads(get_error),
}
"""Whole path -> method -> handler."""

PREFIXED: dict[str, dict[str, Handler]] = {
    "/bytes": _reads(get_bytes),
    "/pieces": _reads(get_pieces),
    "/wait": _reads(get_wait),
    "/block": _reads(get_block),
    "/cpu": _reads(get_cpu),
    "/cached": _reads(get_cached),
    "/static": _reads(get_static),
    "/stream": _reads(get_stream),
    "/noted": {**_reads(noted), "POST": noted},
    "/jobs": _reads(get_job),
    "/items": {**_reads(get_item), "PUT": put_item, "PATCH": patch_item, "DELETE": delete_item},
    "/raise": {"POST": post_raise},
    "/query": _reads(get_query),
}
"""Path up to its last slash -> method -> handler; what follows the slash is the handler's argument."""

WEBSOCKET = "/ws"
"""Where an ASGI app echoes WebSocket messages, text as text and binary as binary."""
BROADCAST = "/ws/broadcast"
"""Where it sends every message on to all who listen there in the same process, the sender included."""
JOINED = "joined"
"""What it says there, as text, once who has come does listen; of what was under way then he may hear a part."""
SINK = "/sink"
"""Where a body is counted as it comes; an app that reads it piece by piece does so before it routes."""

_NOT_FOUND = Refusal(404, "no such route").answer


def unmatched(method: str, path: str) -> Answer:
    """Refuse what a framework's own router found no view for: no such route, or another method is needed."""
    methods = FIXED.get(path)
    if methods is None:
        prefix, _, argument = path.rpartition("/")
        methods = PREFIXED.get(prefix) if argument else None
    if methods is None or method in methods:
        return _NOT_FOUND
    return Refusal(405, f"use {' or '.join(methods)} here", ("Allow", ", ".join(methods))).answer


def respond(method: str, path: str, query: str, body: bytes) -> Answer | Parts:
    """Answer any request; the only way into the contract for an app that has no router of its own."""
    argument = ""
    methods = FIXED.get(path)
    if methods is None:
        prefix, _, argument = path.rpartition("/")
        methods = PREFIXED.get(prefix) if argument else None
        if methods is None:
            return _NOT_FOUND
    handler = methods.get(method)
    if handler is None:
        return Refusal(405, f"use {' or '.join(methods)} here", ("Allow", ", ".join(methods))).answer
    try:
        return handler(argument, query, body)
    except Refusal as refusal:
        return refusal.answer
