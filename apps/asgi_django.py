"""Django on ASGI: the same site with coroutine views and the ORM's asynchronous calls."""

# mypy: disable-error-code="import-not-found,misc"
from __future__ import annotations

import os

from asgi_plain import Receive, Scope, Send, lifespan
from django.core.asgi import get_asgi_application

INTERFACE = "asgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("django==5.2.19",)
SERVICES: dict[str, tuple[str, ...]] = {
    "postgresql": ("psycopg[binary,pool]==3.3.9",),
    "redis": ("redis==8.1.0", "celery[redis]==5.7.0"),
    "memcached": ("pymemcache==4.0.0",),
}
WORKERS = {"redis": "celery --app jobs_celery worker --purge --concurrency 1 --loglevel WARNING"}
LACKS = {
    "bodies: *": "the app has no views that take or send a body piece by piece",
    "broadcast: *": "Django has no WebSockets of its own, and no view that counts what none sends",
    "websocket: *": "Django has no WebSockets of its own",
    "*: DELETE /items/*: expected no content-length*": "Django gives an empty 204 a Content-Length of 0",
}

os.environ["DJANGO_SETTINGS_MODULE"] = "django_site.settings"
os.environ["SGIBENCH_DJANGO_URLS"] = "django_site.async_urls"
os.environ["SGIBENCH_DJANGO_POOL"] = "1"
site = get_asgi_application()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Agree to the server's start and stop, which Django knows nothing of; leave all else to it."""
    await (lifespan if scope["type"] == "lifespan" else site)(scope, receive, send)
