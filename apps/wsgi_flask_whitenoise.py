"""Flask with WhiteNoise as its documentation has it: around the app's WSGI callable."""

# mypy: disable-error-code="import-not-found,import-untyped,method-assign"
from __future__ import annotations

from pathlib import Path

from whitenoise import WhiteNoise
from wsgi_flask import app

INTERFACE = "wsgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("flask==3.1.3", "flask-caching==2.5.1", "whitenoise==6.12.0")
LACKS = {
    "static: * expected Content-Type: *; charset=utf-8, but *": "WhiteNoise puts the charset into quotes",
    "bodies: *": "the app has no views that take or send a body piece by piece",
}

app.wsgi_app = WhiteNoise(app.wsgi_app, root=Path(__file__).with_name("static"), prefix="static/")
