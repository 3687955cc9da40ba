"""The WSGI app that SGIBENCH_TARGET names, as an ASGI app: a2wsgi runs it in a pool of threads."""

from __future__ import annotations

import importlib
import os
from typing import Any

from a2wsgi import WSGIMiddleware

module, _, attribute = os.environ["SGIBENCH_TARGET"].partition(":")
settings: dict[str, Any] = {}
if "SGIBENCH_THREADS" in os.environ:
    settings["workers"] = int(os.environ["SGIBENCH_THREADS"])
app = WSGIMiddleware(getattr(importlib.import_module(module), attribute), **settings)
