"""Why a request can't be measured, as what came of it without a server says (pure): in one line, with what to do."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from sgibench.answers.learning import TOO_MANY
from sgibench.answers.refusals import csrf_hint, hint, https_hint
from sgibench.model import Asked
from sgibench.serve.own.driving import BAD, REDIRECT, Driven, Seen
from sgibench.serve.process import OWN_LOG_CAP_BYTES
from sgibench.units import many

BROKEN = 500
BODILESS = frozenset({204, 304})
"""An answer with such a status has no body, whatever it says of one."""
TO_LOGIN = frozenset({301, 302, 303, 307, 308, 401, 403})
"""How an app answers those who are not logged in."""
_LOGIN = re.compile(r"(?i)(?<![a-z])(log-?_?in|sign-?_?in|sso)(?![a-z])")
"""In the path of a page where one logs in."""
SERVED_S = 15.0
"""About so long a server is under load before it is stopped."""
FASTEST_CPU_US = 50.0
"""No server answers a request in less."""


def refusal(asked: Asked, came: Driven, printed: str = "") -> str | None:
    """Say why a request can't be measured; None when it can. `printed` is the end of what the app printed."""
    if came.error is not None:
        return f"the app raised {came.error}; every server would answer 500. Mend it, or ask something else"
    if unsteady := _unsteady(came):
        return unsteady
    if contradicted := _contradicted(asked, came):
        return contradicted
    status = came.answers[0].status
    if asked.status != status and (csrf := csrf_hint(asked, status, came.answers[0].body)):
        return csrf
    if asked.status is not None and status != asked.status:
        hint = login_hint(asked.status, came.answers[0])
        return f"expected status {asked.status}, but the app answers {status}{hint}"
    if asked.status is None and (unasked := _unasked(asked, came.answers[0], printed)):
        return unasked
    most = OWN_LOG_CAP_BYTES / (SERVED_S * 1e6 / max(came.cpu_us, FASTEST_CPU_US))
    if came.printed_bytes > most:
        return (
            f"the app prints {came.printed_bytes:.0f} bytes for each request, which would be measured instead of it, "
            "and would fill the disk: turn that off, e.g. with --env LOG_LEVEL=warning"
        )
    return None


def _unasked(asked: Asked, seen: Seen, printed: str) -> str | None:
    """Say that an answer is none that a request without a status of the user's can be about."""
    status = seen.status
    if status >= BROKEN:
        return f"the app answers {status}{printed}: give it what it needs (--env, --prepare), or ask something else"
    if status >= BAD:
        want = f"ask for what it has, or say that you want that: '{asked.line} {status}'"
        return f"the app answers {status}: {want}{hint(status)}"
    if secure := https_hint(asked, status, seen.header("location")):
        return secure
    if where := _login_of(asked, seen):
        return (
            f"the app answers {status} (to {where}): a login is missing. Give it with --header 'Cookie: …', or say "
            f"that you want that: '{asked.line} {status}'"
        )
    return None


def _unsteady(came: Driven) -> str | None:
    """Say that one of many calls was answered with another status than the first: a limit, or something used up."""
    statuses = [seen.status for seen in came.answers]
    if len(set(statuses)) > 1:
        told = ", then ".join(map(str, dict.fromkeys(statuses)))
        return f"it is answered {told} when it is asked again: it can't be asked many times. Ask something else"
    others = [(status, number) for status, number in came.statuses if number > 1]
    if not others:
        return None
    status, number = next((each for each in others if each[0] == TOO_MANY), others[0])
    otherwise = f"answered {status}" if status else "not answered"
    told = f"it is answered {came.answers[0].status}, but call {number:,} was {otherwise}"
    if status == TOO_MANY:
        return f"{told}: the app limits how often it may be asked. Turn that limit off for the run"
    return f"{told}: it can't be asked many times with the same words. Ask something that can be"


def _contradicted(asked: Asked, came: Driven) -> str | None:
    """Say that the app names another length than its body has: some servers cut it, others break the connection."""
    for seen in came.answers:
        said = (seen.header("content-length") or "").strip()
        if asked.method == "HEAD" or seen.status in BODILESS or not (said.isascii() and said.isdigit()):
            continue
        if said.lstrip("0") != str(seen.size or ""):
            return (
                f"the app says Content-Length: {said[:20]}, but its body has {many(seen.size, 'byte')}: one "
                "server cuts it, another breaks the connection. Mend it, or ask something else"
            )
    return None


def _login_of(asked: Asked, seen: Seen) -> str | None:
    """Give the page that an answer leads to, when that is a login and not the page that was asked for."""
    path = urlsplit(seen.leads_to or "").path
    asked_path = urlsplit(asked.path).path
    return path if _LOGIN.search(path) and path.rstrip("/") != asked_path.rstrip("/") else None


def login_hint(wanted: int, seen: Seen) -> str:
    """Say that a login is missing, when that is what an answer looks like; where a redirect goes to is said too."""
    if wanted >= REDIRECT or seen.status not in TO_LOGIN:
        return ""
    where = seen.header("location")
    to = f" (to {where.partition('?')[0]})" if where else ""
    return f"{to}: is a login missing? A browser may leave cookies out; give them with --header 'Cookie: …'"
