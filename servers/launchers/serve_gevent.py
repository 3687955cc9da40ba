"""gevent.pywsgi on a given socket, the standard library patched so that waiting requests yield."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any


def serve(listener: socket.socket, load: Callable[[], Any], _options: Any) -> None:
    """Serve; gevent is imported here, after the fork, because its loop must not be shared between processes."""
    from gevent import monkey  # noqa: PLC0415 - see above

    monkey.patch_all()
    from gevent import pywsgi  # noqa: PLC0415
    from gevent import socket as gevent_socket  # noqa: PLC0415

    mine = gevent_socket.socket(fileno=listener.detach())
    pywsgi.WSGIServer(mine, load(), log=None).serve_forever()
