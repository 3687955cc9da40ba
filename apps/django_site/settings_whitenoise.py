"""The same settings with WhiteNoise, second among the middleware, sending the files of the contract."""

from __future__ import annotations

from django_site.settings import *  # noqa: F403 - how Django's settings are extended
from django_site.settings import BASE_DIR, MIDDLEWARE

MIDDLEWARE = [MIDDLEWARE[0], "whitenoise.middleware.WhiteNoiseMiddleware", *MIDDLEWARE[1:]]
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR.parent / "static"
