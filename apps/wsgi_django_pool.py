"""Django with its own pool of connections (since 5.1) instead of a persistent one for each thread: for PostgreSQL."""

# mypy: disable-error-code="import-not-found,misc"
from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

INTERFACE = "wsgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("django==5.2.19",)
SERVICES: dict[str, tuple[str, ...]] = {"postgresql": ("psycopg[binary,pool]==3.3.9",)}
ONLY_WITH = ("postgresql",)
LACKS = {
    "bodies: *": "the app has no views that take or send a body piece by piece",
    "chunked: *": "Django reads no request body without a Content-Length on WSGI",
    "*: DELETE /items/*: expected no content-length*": "Django gives an empty 204 a Content-Length of 0",
}

os.environ["DJANGO_SETTINGS_MODULE"] = "django_site.settings"
os.environ["SGIBENCH_DJANGO_POOL"] = "1"
app = get_wsgi_application()
