"""uWSGI on a Unix socket with nginx before it: two servers that are started and ended as one.

nginx is the system's own program. Its configuration is written here: access log off, as many workers as uWSGI has,
connections kept alive without a limit of requests. The command that starts uWSGI follows the launcher's own options.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

CONFIGURATION = """\
{user}
daemon off;
pid {scratch}/nginx.pid;
error_log stderr warn;
worker_processes {workers};
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/octet-stream;
    client_max_body_size 0;
    client_body_temp_path {scratch}/body;
    proxy_temp_path {scratch}/proxy;
    fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi;
    scgi_temp_path {scratch}/scgi;
    {keep_alive}
    server {{
        listen {host}:{port} backlog={backlog};
        location / {{
            uwsgi_pass unix:{scratch}/uwsgi.sock;
{parameters}
        }}
    }}
}}
"""
KEEP_ALIVE = "keepalive_timeout {seconds}s; keepalive_requests 1000000000;"
PARAMETERS = {
    "QUERY_STRING": "$query_string",
    "REQUEST_METHOD": "$request_method",
    "CONTENT_TYPE": "$content_type",
    "CONTENT_LENGTH": "$content_length",
    "REQUEST_URI": "$request_uri",
    "PATH_INFO": "$document_uri",
    "SERVER_PROTOCOL": "$server_protocol",
    "REMOTE_ADDR": "$remote_addr",
    "REMOTE_PORT": "$remote_port",
    "SERVER_NAME": "$server_name",
    "SERVER_PORT": "$server_port",
}
"""What WSGI wants to know of a request, by the names that uWSGI takes it under."""


def main() -> None:
    """Start both; end with the first that ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--backlog", type=int, required=True)
    parser.add_argument("--keep-alive", type=int)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("uwsgi", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    nginx = shutil.which("nginx")
    if nginx is None:
        sys.exit("nginx is not installed: apt-get install nginx-light")
    file = options.scratch / "nginx.conf"
    file.write_text(configuration(options), encoding="utf-8")
    uwsgi = subprocess.Popen(options.uwsgi)
    front = subprocess.Popen([nginx, "-p", str(options.scratch), "-e", "stderr", "-c", str(file)])

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for server in (front, uwsgi):
            if server.poll() is None:
                server.terminate()
        for server in (front, uwsgi):
            server.wait()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    os.wait()
    stop(signal.SIGTERM, None)


def configuration(options: argparse.Namespace) -> str:
    """Write nginx's configuration; started by root it would run its workers as a user who can't reach the socket."""
    return CONFIGURATION.format(
        user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
        scratch=options.scratch,
        host=options.host,
        port=options.port,
        workers=options.workers,
        backlog=options.backlog,
        keep_alive="" if options.keep_alive is None else KEEP_ALIVE.format(seconds=options.keep_alive),
        parameters="\n".join(f"            uwsgi_param {name} {value};" for name, value in PARAMETERS.items()),
    )


if __name__ == "__main__":
    main()
