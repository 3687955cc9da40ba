"""One running server: started behind a guard, ready when every worker has answered, always killed with all it started.

The engine owns server processes through this package alone. Nothing here measures load; it says which processes a
server consists of, what they hold in memory, whether they live, and what they logged. A server behind a front is
several commands: the front, and one or more servers of the same kind; all of them are the server to everybody else.
`spec` has what follows from a declaration before anything runs, `ports` where servers listen, `asking` whether they are
ready, `server` the process itself.
"""

from __future__ import annotations

from sgibench.serve.process.asking import ask_pid, calls_within
from sgibench.serve.process.ports import HOST, free_port
from sgibench.serve.process.server import OWN_LOG_CAP_BYTES, ServerProcess, idle_cpu
from sgibench.serve.process.spec import ServerSpec

__all__ = [
    "HOST",
    "OWN_LOG_CAP_BYTES",
    "ServerProcess",
    "ServerSpec",
    "ask_pid",
    "calls_within",
    "free_port",
    "idle_cpu",
]
