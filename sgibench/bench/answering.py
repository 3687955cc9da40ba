"""What an app answers, where nobody named requests: among what many apps have, and among what it says that it has.

Whatever it says that it has, and is not asked, is said with the reason: nothing goes without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sgibench.bench.asking import HOME
from sgibench.bench.sources.openapi import described_in
from sgibench.bench.sources.source import Source
from sgibench.bench.unaskable import refusal
from sgibench.errors import ServerError, UsageError
from sgibench.model import App, Asked
from sgibench.secrets import hidden
from sgibench.serve.own.driving import REDIRECT, Seen, drive
from sgibench.serve.scratch import scratch_folder
from sgibench.units import many

LIKELY = ("/", "/health", "/healthz", "/api", "/api/", "/admin/login/", "/admin/", "/login", "/index.html")
"""Asked of an app whose requests nobody named."""
NOWHERE = "/there-is-no-such-page"
"""An app that answers this answers everything, so that only its front page counts."""
DOCUMENTS = ("/openapi.json", "/schema/openapi.json", "/api/openapi.json", "/swagger.json")
"""Where frameworks put what they say of themselves: what is described there is asked."""
LAST = ("/docs",)
"""Asked where nothing else is answered, as nobody's users ask for it."""
MOST_TRIED = 40
"""Operations of a document."""
MOST_ASKED = 10
"""As many as a run asks by themselves, too."""
MOST_TOLD = 10
TRIAL_S = 0.02
"""How long each is called."""


@dataclass(frozen=True, kw_only=True)
class Answering:
    """What to ask an app."""

    asked: tuple[Asked, ...]
    front: str = ""
    """Why the front page can't be asked; empty when it can."""
    left_out: tuple[str, ...] = ()
    """What the app says that it has and is not asked, with the reason, in sentences."""
    routes: tuple[str, ...] = ()
    """Pages that the app says it has, which nobody tried."""
    failure: str = ""
    """Why nothing could be asked at all."""


def answering(app: App) -> Answering:
    """Ask for what is likely and described; keep what a run would not refuse, pages before redirects."""
    tried = [replace(HOME, path=path) for path in (*LIKELY, *DOCUMENTS, *LAST, NOWHERE)]
    try:
        answered, refused = _asked_for(app, tried)
    except ServerError as error:
        return Answering(asked=(), failure=hidden(error.detail), routes=_untried(app, ()))
    front = refused.get(HOME, "")
    if any(each.path == NOWHERE and seen.status < REDIRECT for each, seen in answered.items()):
        return Answering(asked=(HOME,) if HOME in answered else (), front=front)
    likely = {each: seen for each, seen in answered.items() if each.path in LIKELY}
    source = _described(answered)
    more = [one for one in source.asked if one not in likely]
    try:
        operations, unfit = _asked_for(app, more[:MOST_TRIED]) if more else ({}, {})
    except ServerError as error:
        operations, unfit = {}, dict.fromkeys(more, hidden(error.detail))
    found = {**likely, **operations}
    order = [one for one in dict.fromkeys((HOME, *source.asked, *likely)) if one in found]
    pages = [one for one in order if found[one].status < REDIRECT]
    fitting = pages or order or [one for one in answered if one.path in {*DOCUMENTS, *LAST}]
    claimed = dict.fromkeys((*source.asked, *(replace(HOME, path=path) for path in _routes(app))))
    wrong = {one: why for one, why in {**refused, **unfit}.items() if one in claimed and (fitting or one != HOME)}
    left_out = [f"{one.line}: {why}" for one, why in [*wrong.items()][:MOST_TOLD]]
    left_out += [
        f"{one.line}: it answers {found[one].status}, which is no page"
        for one in order
        if one not in fitting and (one in claimed or one == HOME)
    ]
    left_out += [f"{number} {reason}" for reason, number in source.left_out.most_common()]
    beyond = [*fitting[MOST_ASKED:], *more[MOST_TRIED:], *[*wrong][MOST_TOLD:]]
    if beyond:
        left_out.append(f"{many(len(beyond), 'request')} more than {MOST_ASKED}: {named([one.line for one in beyond])}")
    return Answering(
        asked=tuple(fitting[:MOST_ASKED]),
        front=front,
        left_out=tuple(left_out),
        routes=_untried(app, [one.path for one in (*tried, *more)]),
    )


def named(names: Sequence[str]) -> str:
    """Name some of them."""
    return ", ".join(names[:MOST_TOLD]) + (" …" if len(names) > MOST_TOLD else "")


def _untried(app: App, tried: Sequence[str]) -> tuple[str, ...]:
    return tuple(path for path in _routes(app) if path not in tried)


def _routes(app: App) -> tuple[str, ...]:
    return () if app.own is None else app.own.routes


def _asked_for(app: App, asked: Sequence[Asked]) -> tuple[Mapping[Asked, Seen], Mapping[Asked, str]]:
    """Give the answers to those that can be measured, and why the others can't; raises ServerError."""
    with scratch_folder() as scratch:
        driven = drive(app, asked, scratch, seconds=TRIAL_S)
    refused = {each: why for each, came in zip(asked, driven, strict=True) if (why := refusal(each, came))}
    return {each: came.answers[-1] for each, came in zip(asked, driven, strict=True) if each not in refused}, refused


def _described(answered: Mapping[Asked, Seen]) -> Source:
    """Read from the app's documents the operations that only read and need no invented data, as they are written."""
    lines: dict[Asked, None] = {}
    left_out: Source = Source(asked=())
    for document, seen in answered.items():
        if document.path not in DOCUMENTS:
            continue
        try:
            found = described_in(seen.body, document.path)
        except UsageError:
            continue  # what is no document describes nothing
        reading = [one for one in found.asked if not one.writes and one.path not in DOCUMENTS]
        lines |= dict.fromkeys(Asked(method=one.method, path=one.path) for one in reading)
        left_out.left_out.update(found.left_out)
        if writing := sum(one.writes for one in found.asked):
            left_out.left_out["that may write"] += writing
    return replace(left_out, asked=tuple(lines))
