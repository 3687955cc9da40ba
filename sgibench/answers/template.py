"""What several bodies have in common, as pieces in order; what lies between them varies (pure).

A body is cut into words, moments and single characters. Words that every sample has in the same order, and next to one
another, make a piece. Moments near now and the server's own port are always left out, even where all samples agree:
they would differ in an hour, or on the next port.
"""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from sgibench.answers.expecting import misfit
from sgibench.model import Expectation

LEAST_PIECE = 8
"""A shorter piece in the middle says little and may be found by chance."""
MOST_PIECES = 40
MOST_PAIRS = 400_000
"""Words of one body times words of the other that are compared word by word; beyond that, line by line."""
LARGE_BYTES = 262_144
"""A larger body is compared at its ends only."""
MOST_SAMPLES = 16
"""Different bodies that are compared."""
NEAR_S = 2 * 86_400.0
"""A moment so near to now is a clock's, not the app's data."""
NEAR_MIN = 10
"""The same of hours and minutes alone, in UTC or local time, of 12 or 24 hours."""

_ISO = rb"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"
_HTTP_DATE = rb"[A-Z][a-z]{2}, \d\d[ -][A-Z][a-z]{2}[ -]\d{4} \d\d:\d\d:\d\d(?: GMT)?"
_CLOCK = rb"(?<![\d:])\d\d:\d\d:\d\d(?:[.,]\d+)?(?![\d:])"
_EPOCH = rb"(?<![\w.])1\d{9}(?:\d{3}|\d{6}|\d{9})?(?:\.\d+)?(?![\w.])"
_MINUTE = rb"(?<![\w:.])\d{1,2}:\d\d(?:(?: |\xc2\xa0)?(?i:[ap]\.?m\b\.?))?(?![\w:])"
_AGO = rb"(?<!\w)(?:\d+|an?|a few)(?: |\xc2\xa0|&nbsp;)(?:second|minute|hour)s?(?: ago)?(?!\w)|just now"
_MOMENT = b"|".join((_HTTP_DATE, _ISO, _CLOCK, _EPOCH, _AGO, _MINUTE))
_WORD = rb"[0-9A-Za-z_-]+"
_TOKEN = re.compile(
    b"|".join((b"(?P<moment>" + _MOMENT + b")", _WORD, rb"[^0-9A-Za-z_-]")),
    re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One body, and the port of the server that sent it (0: unknown)."""

    body: bytes
    port: int = 0


@dataclass(frozen=True, kw_only=True)
class Common:
    """What bodies have in common."""

    pieces: tuple[bytes, ...]
    """As `Expectation.pieces`: one when all of it is the same."""
    share: float
    """Of the first body, how much lies in pieces."""
    varies: tuple[str, ...]
    """What lies between, in words: `its port`, `moments`, `numbers`, `ids or tokens`, `text`."""


def common_of(samples: Sequence[Sample], now_s: float | None = None) -> Common | None:
    """Find what all bodies have in common; None when it is next to nothing, or can't be pinned down.

    `now_s` is the time of the samples in seconds since 1970; None for now.
    """
    distinct = list({sample.body: sample for sample in samples}.values())
    base, others = distinct[0], distinct[1 : MOST_SAMPLES + 1]
    if max(len(sample.body) for sample in distinct) > LARGE_BYTES:
        return _ends_of(distinct)
    now_s = time.time() if now_s is None else now_s
    tokens = _tokens(base.body)
    loose = [_is_loose(tokens, place, base.port, now_s) for place in range(len(tokens))]
    if not others and not any(loose):
        return Common(pieces=(base.body,), share=1.0, varies=())
    joined = _stable_runs(tokens, loose, [_tokens(other.body) for other in others])
    pieces = _pieces(tokens, joined)
    sizes = [len(sample.body) for sample in distinct]
    while pieces is not None and any(_misses(pieces, sample.body) for sample in distinct):
        pieces = _fewer(pieces)
    if pieces is None or not any(pieces):
        return None
    fixed = sum(map(len, pieces))
    return Common(
        pieces=pieces,
        share=fixed / max(1, min(sizes)),
        varies=_said(tokens, joined, loose, base.port),
    )


def _ends_of(samples: Sequence[Sample]) -> Common | None:
    """Compare large bodies at their ends."""
    bodies = [sample.body for sample in samples]
    if len(bodies) == 1 and not (samples[0].port and b":%d" % samples[0].port in bodies[0]):
        return Common(pieces=(bodies[0],), share=1.0, varies=())
    marks = [body.find(b":%d" % sample.port) for body, sample in zip(bodies, samples, strict=True) if sample.port]
    shortest = min(map(len, bodies))
    first = _prefix(bodies)[: min((mark for mark in marks if mark >= 0), default=shortest)]
    last = _prefix([body[len(first) :][::-1] for body in bodies])[::-1] if len(bodies) > 1 else b""
    if not first and not last:
        return None
    return Common(pieces=(first, last), share=(len(first) + len(last)) / shortest, varies=("text",))


def _prefix(bodies: Sequence[bytes]) -> bytes:
    """Give the longest beginning that all have."""
    low, high = min(bodies), max(bodies)
    return next((low[:place] for place, byte in enumerate(low) if byte != high[place]), low)


def _tokens(body: bytes) -> list[bytes]:
    return [found[0] for found in _TOKEN.finditer(body)]


def _is_loose(tokens: Sequence[bytes], place: int, port: int, now_s: float) -> bool:
    """Whether a token would differ at another time or on another port, whatever the samples say."""
    token = tokens[place]
    if port and token == b"%d" % port:
        return True
    return len(token) >= 4 and _moment_near(token, now_s)  # noqa: PLR2004 - the shortest moment, h:mm


def _moment_near(token: bytes, now_s: float) -> bool:
    found = _TOKEN.fullmatch(token)
    if found is None or found["moment"] is None:
        return False
    if re.fullmatch(_AGO, token):
        return True
    if minute := re.match(rb"(\d{1,2}):(\d\d)(?!:)", token):
        return _minute_near(60 * int(minute[1]) + int(minute[2]), now_s)
    text = token.decode("ascii").replace(",", ".") if token[:1].isdigit() else token.decode("ascii")
    if re.fullmatch(r"\d\d:.*", text):
        return True
    return any(abs(moment - now_s) < NEAR_S for moment in _moments(text))


def _minute_near(minute: int, now_s: float) -> bool:
    """Whether a minute of the day is about now's; of half a day, as clocks of twelve hours have it."""
    now = datetime.fromtimestamp(now_s, UTC)
    for here in (now, now.astimezone()):
        apart = (minute - 60 * here.hour - here.minute) % 720
        if min(apart, 720 - apart) <= NEAR_MIN:
            return True
    return False


def _moments(text: str) -> list[float]:
    """Read a moment, in seconds since 1970; empty when it is none."""
    try:
        if text[:1].isalpha():
            return [parsedate_to_datetime(text).timestamp()]
        if "-" in text:
            read = datetime.fromisoformat(text)
            return [(read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()]
        whole = float(text)
    except (ValueError, TypeError, OverflowError):
        return []
    return [whole / scale for scale in (1, 1e3, 1e6, 1e9)]


def _stable_runs(
    tokens: Sequence[bytes], loose: Sequence[bool], others: Sequence[Sequence[bytes]]
) -> list[tuple[int, int]]:
    """Give the runs of tokens, as (first, end), that stand together in every other body, in this order."""
    stable = [not each for each in loose]
    together = [True] * max(0, len(tokens) - 1)
    for other in others:
        seen = [False] * len(tokens)
        tied = [False] * max(0, len(tokens) - 1)
        for start, size in _blocks(tokens, other):
            for place in range(start, start + size):
                seen[place] = True
            for place in range(start, start + size - 1):
                tied[place] = True
        stable = [one and two for one, two in zip(stable, seen, strict=True)]
        together = [one and two for one, two in zip(together, tied, strict=True)]
    runs: list[tuple[int, int]] = []
    for place, kept in enumerate(stable):
        if not kept:
            continue
        if runs and runs[-1][1] == place and together[place - 1]:
            runs[-1] = (runs[-1][0], place + 1)
        else:
            runs.append((place, place + 1))
    return runs


def _blocks(one: Sequence[bytes], two: Sequence[bytes]) -> list[tuple[int, int]]:
    """Give matching blocks as (place in `one`, length): ends first, then the middle by words or by lines."""
    least = min(len(one), len(two))
    head = next((place for place in range(least) if one[place] != two[place]), least)
    rest = least - head
    tail = next((back for back in range(rest) if one[-1 - back] != two[-1 - back]), rest)
    middle_one, middle_two = one[head : len(one) - tail], two[head : len(two) - tail]
    blocks = [(0, head)] if head else []
    if middle_one and middle_two:
        blocks += [(head + start, size) for start, size in _middle(middle_one, middle_two)]
    return [*blocks, (len(one) - tail, tail)] if tail else blocks


def _middle(one: Sequence[bytes], two: Sequence[bytes]) -> list[tuple[int, int]]:
    if len(one) * len(two) <= MOST_PAIRS:
        matcher = difflib.SequenceMatcher(None, one, two, autojunk=False)
        return [(block.a, block.size) for block in matcher.get_matching_blocks() if block.size]
    lines_one, lines_two = _lines(one), _lines(two)
    if len(lines_one) * len(lines_two) > MOST_PAIRS:
        return []
    texts = [[b"".join(line) for line in lines] for lines in (lines_one, lines_two)]
    starts = [0]
    for line in lines_one:
        starts.append(starts[-1] + len(line))
    matcher = difflib.SequenceMatcher(None, texts[0], texts[1], autojunk=False)
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    return [(starts[block.a], starts[block.a + block.size] - starts[block.a]) for block in blocks]


def _lines(tokens: Sequence[bytes]) -> list[list[bytes]]:
    lines: list[list[bytes]] = [[]]
    for token in tokens:
        lines[-1].append(token)
        if token == b"\n":
            lines.append([])
    return [line for line in lines if line]


def _pieces(tokens: Sequence[bytes], runs: Sequence[tuple[int, int]]) -> tuple[bytes, ...] | None:
    """Join runs to pieces: the beginning and the end as they are, between them the long ones."""
    if not runs:
        return None
    if runs[0] == (0, len(tokens)):
        return (b"".join(tokens), b"") if len(runs) == 1 else None
    first = b"".join(tokens[: runs[0][1]]) if runs[0][0] == 0 else b""
    last = b"".join(tokens[runs[-1][0] :]) if runs[-1][1] == len(tokens) else b""
    inner = [run for run in runs if run[0] != 0 and run[1] != len(tokens)]
    between = [piece for run in inner if len(piece := b"".join(tokens[slice(*run)])) >= LEAST_PIECE]
    while len(between) > MOST_PIECES:
        between.remove(min(between, key=len))
    return (first, *between, last)


def _misses(pieces: tuple[bytes, ...], body: bytes) -> bool:
    return misfit(Expectation(status=200, pieces=pieces), 200, None, body) is not None


def _fewer(pieces: tuple[bytes, ...]) -> tuple[bytes, ...] | None:
    """Leave out the shortest piece of the middle, then the ends."""
    first, *between, last = pieces
    if between:
        between.remove(min(between, key=len))
        return (first, *between, last)
    if last:
        return (first, b"")
    return None


def _said(
    tokens: Sequence[bytes], runs: Sequence[tuple[int, int]], loose: Sequence[bool], port: int
) -> tuple[str, ...]:
    """Say in words what lies between the pieces."""
    kept = {place for start, end in runs for place in range(start, end)}
    found = {_kind(tokens[place], port, loose=loose[place]) for place in range(len(tokens)) if place not in kept}
    order = ("its port", "moments", "numbers", "ids or tokens", "text")
    return tuple(kind for kind in order if kind in found)


def _kind(token: bytes, port: int, *, loose: bool) -> str | None:
    if loose:
        return "its port" if port and token == b"%d" % port else "moments"
    if token.isdigit():
        return "numbers"
    if len(token) >= LEAST_PIECE and re.search(rb"\d", token):
        return "ids or tokens"
    return "text" if token.strip() and re.match(rb"\w", token) else None
