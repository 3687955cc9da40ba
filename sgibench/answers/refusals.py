"""What an app that refuses a request wants, read from its answer (pure)."""

from __future__ import annotations

import re

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
        f"or say that you want the refusal: '{asked.name} {status}'"
    )
