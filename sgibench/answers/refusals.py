"""What an app that refuses a request wants, read from its answer (pure)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from sgibench.model import Asked

REFUSING = frozenset({400, 401, 403, 405, 419, 422})
"""With these apps refuse a form without its token."""
_CSRF = re.compile(rb"(?i)\b(x?csrf|xsrf|cross[- ]site request forgery)")


def csrf_hint(asked: Asked, status: int, body: bytes) -> str | None:
    """Say that a write was refused for want of a CSRF token, and what to do; None when it was not."""
    if not asked.writes or status not in REFUSING or not _CSRF.search(body):
        return None
    return (
        f"the app answers {status}: it wants a CSRF token, which a page hands out and a browser sends back. Give both "
        "halves as your app takes them, for Django --header 'Cookie: csrftoken=…' and --header 'X-CSRFToken: …' with "
        "the same 32 letters; or turn the check off for the run (--env, settings of its own), e.g. WTF_CSRF_ENABLED; "
        f"or say that you want the refusal: '{asked.line} {status}'"
    )


def https_hint(asked: Asked, status: int, location: str | None) -> str | None:
    """Say that an app sends whoever asks to the same page over HTTPS, and what to do; None when it does not."""
    try:
        to = urlsplit(location or "")
    except ValueError:
        return None
    if status not in REDIRECTS or to.scheme != "https" or to.path.rstrip("/") != urlsplit(asked.path).path.rstrip("/"):
        return None
    return (
        f"the app answers {status} and wants the same over HTTPS, so the redirect would be measured. A proxy says that "
        "it was HTTPS with --header 'X-Forwarded-Proto: https'; give that, turn the redirect off for the run "
        f"(--env, settings of its own), or say that you want it: '{asked.line} {status}'"
    )


REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LOGIN = "where a login is missing, give it with --header 'Cookie: …' or --header 'Authorization: …'"
HINTS = {
    400: "where it takes certain hosts only, give one with --header 'Host: …'",
    401: _LOGIN,
    403: _LOGIN,
}
"""What may be behind a status, as most apps don't say."""


def hint(status: int) -> str:
    """Give the end of a sentence about a status; empty where there is nothing to be said."""
    return f"; {HINTS[status]}" if status in HINTS else ""
