"""The words with a fixed set of values."""

from __future__ import annotations

from typing import Literal

SCHEMA = 1
"""Version of what `results/<run>/` holds; a reader refuses a newer one."""

Interface = Literal["wsgi", "asgi", "rsgi"]
Concurrency = Literal["processes", "threads", "greenlets", "event loop"]
Connection = Literal["keep-alive", "close"]
Protocol = Literal["http", "https", "h2c", "h2"]
"""What goes over the wire. `http`: HTTP/1.1; `https`: the same over TLS; `h2c`: HTTP/2 in clear text, which both sides
know beforehand; `h2`: HTTP/2 over TLS, agreed on by ALPN."""
TLS: frozenset[Protocol] = frozenset({"https", "h2"})
MULTIPLEXED: frozenset[Protocol] = frozenset({"h2c", "h2"})
"""Several requests at once on one connection."""
Speech = Literal["http", "uwsgi", "fastcgi"]
"""What a front speaks to the servers behind it."""
Link = Literal["tcp", "unix"]
"""How it reaches them: loopback TCP or a Unix socket."""
LoadKind = Literal["closed", "open"]
Arrivals = Literal["uniform", "poisson"]
Status = Literal["ok", "failed", "skipped"]
Visits = Literal["sliced", "turns", "together", "unbroken"]
"""How a window was made: in slices or turns, visiting all servers of a group again and again, or in one piece."""
Unit = Literal["request", "message", "delivery", "handshake", "connection"]
"""What is counted in a scenario: one right answer; one message that came back; one message at one of those who listen;
one TLS handshake, or one connection, with a request on it."""
Verdict = Literal["faster", "slower", "tie", "unknown"]
Metric = Literal["cpu_us_per_request", "rps", "p50_us", "p99_us", "p999_us"]
"""The figures by which cells are judged: one value a cell and block."""
Configuration = Literal["default", "equal", "recommended"]
"""How a server is set up beyond what its id names.

`default`: as installed; the command line says only where to listen, what to serve, with how many workers, and to keep
quiet. `equal`: threads, backlog, keep-alive and TCP_NODELAY alike in all servers: the basis of every comparison.
`recommended`: as the server's own documentation advises for production.
"""
