"""The WSGI app that SGIBENCH_TARGET names, as an ASGI app: asgiref runs it in one thread of the process."""

from __future__ import annotations

import importlib
import os

from asgiref.wsgi import WsgiToAsgi

module, _, attribute = os.environ["SGIBENCH_TARGET"].partition(":")
app = WsgiToAsgi(getattr(importlib.import_module(module), attribute))
