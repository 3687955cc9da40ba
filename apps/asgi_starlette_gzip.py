"""Starlette with its own GZipMiddleware around the whole app."""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

from asgi_starlette import app as plain
from starlette.middleware.gzip import GZipMiddleware

INTERFACE = "asgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("starlette==1.10.0", "jinja2==3.1.6")

app = GZipMiddleware(plain, minimum_size=256)
