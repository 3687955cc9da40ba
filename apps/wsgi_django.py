"""Django: the middleware that `startproject` makes, class-based views, templates and ORM, DEBUG off."""

# mypy: disable-error-code="import-not-found,misc"
from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

INTERFACE = "wsgi"
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
    "chunked: *": "Django reads no request body without a Content-Length on WSGI",
    "*: DELETE /items/*: expected no content-length*": "Django gives an empty 204 a Content-Length of 0",
}

os.environ["DJANGO_SETTINGS_MODULE"] = "django_site.settings"
app = get_wsgi_application()
