"""nginx: the usual proxy before Python servers; keeps clients' connections, buffers both directions, sends files."""

from sgibench.model import Expected, Front, FrontLaunch, FrontVariant, Need, Protocol

CONNECTIONS = 12288
"""Of each worker, those to servers included."""
CLIENTS = 6000
"""So many clients a worker serves: each may need a connection to a server besides."""
IDLE = 512
"""Connections to servers that a worker keeps while nobody needs them."""
DEFAULT_BACKLOG = 511
SPEAKS: tuple[Protocol, ...] = ("http", "https", "h2")
"""HTTP/2 in clear text shares no port with HTTP/1.1 before nginx 1.25, and readiness is asked over HTTP/1.1."""
BALANCE = {"round robin": "", "least connections": "least_conn;"}

CONFIGURATION = """\
{user}
daemon off;
pid {scratch}/nginx.pid;
error_log stderr error;
worker_processes {workers};
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    default_type application/octet-stream;
    client_max_body_size 0;
    client_body_temp_path {scratch}/body;
    proxy_temp_path {scratch}/proxy;
    fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi;
    scgi_temp_path {scratch}/scgi;
    {kept}
    map $http_upgrade $to_server {{ default upgrade; "" "{without}"; }}
    upstream servers {{
        {balance}
{servers}
        {idle}
    }}
    server {{
        listen {host}:{port}{listen};
        {secured}
        location / {{
{passed}
        }}
    }}
}}
"""
HTTP = """\
proxy_pass http://servers;
proxy_http_version 1.1;
proxy_set_header Host $http_host;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $to_server;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;
proxy_read_timeout 75s;
"""
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
"""What CGI and its descendants want to know of a request."""


def files(launch: FrontLaunch) -> dict[str, str]:
    """Write the one file that nginx reads."""
    return {"nginx.conf": configuration(launch)}


def configuration(launch: FrontLaunch) -> str:
    """As it would be run in production: no access log, clients and servers kept alive, as many workers as servers."""
    default = launch.configuration == "default"
    return CONFIGURATION.format(
        user=f"user {launch.user};" if launch.user else "",
        scratch=launch.scratch,
        workers=launch.workers,
        connections=CONNECTIONS,
        kept="" if default else f"keepalive_timeout {launch.keep_alive_s}s; keepalive_requests 1000000000;",
        without="" if launch.reuse else "close",
        balance=BALANCE[launch.options.get("balance", "round robin")],
        servers="\n".join(f"        server {address_of(launch, one)};" for one in launch.backends),
        idle=f"keepalive {IDLE}; keepalive_requests 1000000000;" if launch.reuse else "",
        host=launch.host,
        port=launch.port,
        listen=listening(launch),
        secured=f"ssl_certificate {launch.certificate}; ssl_certificate_key {launch.key};" if launch.tls else "",
        passed=indented(passed(launch)),
    )


def address_of(launch: FrontLaunch, address: str) -> str:
    """One server; of several, one that refuses is left out for a second."""
    several = " max_fails=1 fail_timeout=1s" if len(launch.backends) > 1 else ""
    return f"{'unix:' if launch.link == 'unix' else ''}{address}{several}"


def listening(launch: FrontLaunch) -> str:
    """What stands behind the address that clients ask."""
    spoken = {"https": " ssl", "h2": " ssl http2"}.get(launch.protocol, "")
    return spoken + ("" if launch.configuration == "default" else f" backlog={launch.backlog}")


def passed(launch: FrontLaunch) -> str:
    """How a request is handed on."""
    if launch.speech == "http":
        return HTTP
    parameters = "".join(f"{launch.speech}_param {name} {value};\n" for name, value in PARAMETERS.items())
    return f"{launch.speech}_pass servers;\n{launch.speech}_read_timeout 75s;\n{parameters}"


def indented(text: str) -> str:
    """Set a block's lines under its head."""
    return "\n".join(f"            {line}" for line in text.splitlines())


def command(launch: FrontLaunch) -> list[str]:
    """In the foreground, errors to the log that the server behind it has, too."""
    return [launch.program, "-p", str(launch.scratch), "-e", "stderr", "-c", str(launch.scratch / "nginx.conf")]


def expect(launch: FrontLaunch) -> Expected:
    """A master and its workers, a thread each."""
    return Expected(
        connections=CLIENTS * launch.workers,
        backlog=DEFAULT_BACKLOG if launch.configuration == "default" else launch.backlog,
        nodelay=True,
        processes=1 + launch.workers,
        threads=(1, 1),
    )


FRONT = Front(
    need=Need(name="nginx", how="apt-get install nginx-light"),
    files=files,
    command=command,
    expect=expect,
    homepage="https://nginx.org",
    verified="2026-11-26, nginx 1.22.1, Debian 12",
    variants=(
        FrontVariant(
            id="nginx",
            speaks=SPEAKS,
            summary="Over loopback TCP, connections to the server kept alive.",
        ),
        FrontVariant(
            id="nginx-unix",
            link="unix",
            speaks=SPEAKS,
            summary="The same over a Unix socket.",
        ),
        FrontVariant(
            id="nginx-uwsgi",
            link="unix",
            speech="uwsgi",
            speaks=SPEAKS,
            summary="uWSGI's own protocol over a Unix socket, a connection for each request.",
        ),
        FrontVariant(
            id="nginx-fastcgi",
            link="unix",
            speech="fastcgi",
            speaks=SPEAKS,
            summary="FastCGI over a Unix socket, a connection for each request.",
        ),
    ),
    notes=(
        "An answer is buffered whole before a slow client has read it, a request before the server sees any of it.",
        "It sends a request's body with its length, also where the client sent it in chunks.",
    ),
)
