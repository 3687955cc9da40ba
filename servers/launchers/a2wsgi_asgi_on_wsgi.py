"""The ASGI app that SGIBENCH_TARGET names, as a WSGI app: a2wsgi runs it on an event loop in a thread beside."""

from __future__ import annotations

import importlib
import os

from a2wsgi import ASGIMiddleware

module, _, attribute = os.environ["SGIBENCH_TARGET"].partition(":")
app = ASGIMiddleware(getattr(importlib.import_module(module), attribute))
