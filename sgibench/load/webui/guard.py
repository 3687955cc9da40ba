"""Who may speak to the web UI: pages of its own address, and nobody else's.

Any page that the user visits could otherwise start a load through it: Locust allows every origin. A request must come
to one of our names (which also stops names that are rebound to this address), not from another origin, and no foreign
page may frame ours or load anything from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
HTTP_PORT = 80
REFUSAL = b"This web UI answers only pages of its own address.\n"
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Locust's page brings an inline script and inline styles; nothing comes from any other address."""
HEADERS = (
    ("Content-Security-Policy", POLICY),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def own_names(host: str, port: int) -> frozenset[str]:
    """Values of the Host header under which this UI may be asked for."""
    names = {f"[{host}]" if ":" in host else host, "localhost", "127.0.0.1"}
    with_port = {f"{name}:{port}" for name in names}
    return frozenset(with_port | names if port == HTTP_PORT else with_port)


def is_own(environ: dict[str, Any], names: frozenset[str]) -> bool:
    """Whether a request was made by our own pages, by a link to them, or by a program of this machine.

    Browsers send Origin with every request that could change something from elsewhere, and Sec-Fetch-Site with all
    (Fetch Metadata); a program such as curl sends neither.
    """
    if environ.get("HTTP_HOST", "") not in names:
        return False
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and origin not in {f"http://{name}" for name in names}:
        return False
    if environ.get("HTTP_SEC_FETCH_SITE", "none") in {"none", "same-origin"}:
        return True
    followed_link = environ.get("HTTP_SEC_FETCH_MODE") == "navigate" and environ["REQUEST_METHOD"] == "GET"
    return followed_link and environ.get("HTTP_SEC_FETCH_DEST") == "document"


def only_own(app: Wsgi, names: frozenset[str]) -> Wsgi:
    """Refuse foreign requests with 403, and take back the permission that Locust gives to every origin."""

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start_closed(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            kept = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
            said = {name.lower() for name, _ in kept}
            kept += [(name, value) for name, value in HEADERS if name.lower() not in said]
            return start_response(status, kept, *rest)

        if is_own(environ, names):
            return app(environ, start_closed)
        start_response("403 Forbidden", [("Content-Type", "text/plain"), ("Content-Length", str(len(REFUSAL)))])
        return [REFUSAL]

    return guarded
