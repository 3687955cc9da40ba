"""Django with WhiteNoise's middleware, as its documentation has it."""

# mypy: disable-error-code="import-not-found,misc"
from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

INTERFACE = "wsgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("django==5.2.19", "whitenoise==6.12.0")
LACKS = {
    "bodies: *": "the app has no views that take or send a body piece by piece",
    "static: * expected Content-Type: *; charset=utf-8, but *": "WhiteNoise puts the charset into quotes",
    "chunked: *": "Django reads no request body without a Content-Length on WSGI",
    "*: DELETE /items/*: expected no content-length*": "Django gives an empty 204 a Content-Length of 0",
}

os.environ["DJANGO_SETTINGS_MODULE"] = "django_site.settings_whitenoise"
app = get_wsgi_application()
