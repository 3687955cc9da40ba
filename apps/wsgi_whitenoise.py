"""WhiteNoise before the plain app: files are listed once, at the start, and sent without the app."""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

from pathlib import Path

from whitenoise import WhiteNoise
from wsgi_plain import app as plain

INTERFACE = "wsgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("whitenoise==6.12.0",)
LACKS = {"static: * expected Content-Type: *; charset=utf-8, but *": "WhiteNoise puts the charset into quotes"}

app = WhiteNoise(plain, root=Path(__file__).with_name("static"), prefix="static/")
