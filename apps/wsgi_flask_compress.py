"""Flask with Flask-Compress, as its documentation has it: answers are compressed for clients that accept it."""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

from flask_compress import Compress
from wsgi_flask import app

INTERFACE = "wsgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("flask==3.1.3", "flask-caching==2.5.1", "flask-compress==1.25")
LACKS = {"bodies: *": "the app has no views that take or send a body piece by piece"}

app.config["COMPRESS_ALGORITHM"] = "gzip"
app.config["COMPRESS_MIN_SIZE"] = 256
Compress(app)
