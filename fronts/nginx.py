"""nginx: the usual proxy before Python servers; keeps clients' connections, buffers both directions, sends files."""

from collections.abc import Iterator

from sgibench.model import Expected, Front, FrontLaunch, FrontVariant, Need, Protocol

CONNECTIONS = 12288
"""Of each worker, those to servers included."""
CLIENTS = 6000
"""So many clients a worker serves: each may need a connection to a server besides."""
IDLE = 512
"""Connections to servers that a worker keeps while nobody needs them."""
DEFAULT_BACKLOG = 511
CACHED_S = 1
"""How long an answer is valid in the cache; nginx compares whole seconds, so it is asked for anew after 1 to 2 s."""
BODY = "1m"
"""Requests with smaller bodies are kept in memory and handed on in one write. One that nginx has put into a file, as it
does from 16 KiB on by default, follows its head in a second write: Nagle's algorithm holds it back over TCP until the
server has acknowledged the head, which takes 40 ms."""
PASSING = ("cache loader",)
"""It reads what an old cache has left, a minute after the start, and ends."""
CACHE = "256m"
"""What the cache may take of the disk."""
SPEAKS: tuple[Protocol, ...] = ("http", "https", "h2c", "h2")
"""Whatever the servers behind it speak: it hands requests on over HTTP/1.1, or in the speech of the variant."""
LISTENS: dict[Protocol, str] = {"http": "", "https": " ssl", "h2c": " http2", "h2": " ssl http2"}
BALANCE = {"round robin": "", "least connections": "least_conn;"}

CONFIGURATION = """\
{user}
daemon off;
pid nginx.pid;
error_log stderr error;
worker_processes {workers};
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    default_type application/octet-stream;
    client_max_body_size 0;
    {bodies}
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {kept}
    geo $dollar {{ default "$"; }}
    map $http_upgrade $to_server {{ default upgrade; "" "{without}"; }}
    upstream servers {{
        {zone}
        {balance}
{servers}
        {idle}
    }}
    {shared}
    server {{
        listen {host}:{port}{listen};
        {secured}
{locations}
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
STATIC = """\
location /static/ {{
    root {root};
    sendfile on;
    types {{ text/css css; text/html html; text/javascript js; image/svg+xml svg; text/plain txt; }}
    charset utf-8;
    charset_types text/css text/html text/javascript text/plain;
    error_page 404 405 = @servers;
}}
location @servers {{
{passed}
}}
"""
"""Files are sent by nginx; what is none, and what is no GET, is the app's to answer."""
CACHED = """\
location /noted/ {{
    proxy_cache pages;
    proxy_cache_valid 200 {seconds}s;
    {locked}
    add_header X-Cache $upstream_cache_status;
{passed}
}}
"""
LOCKED = "proxy_cache_lock on; proxy_cache_use_stale updating;"
COMPRESSED = """\
gzip on;
gzip_proxied any;
gzip_vary on;
gzip_min_length 256;
gzip_types application/json text/css text/javascript text/plain image/svg+xml;
"""
UNBUFFERED = """\
proxy_buffering off;
proxy_request_buffering off;
"""
SCRIPT = """\
fastcgi_param SCRIPT_FILENAME {script};
fastcgi_param SCRIPT_NAME "";
fastcgi_param GATEWAY_INTERFACE CGI/1.1;
fastcgi_buffering off;
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
        workers=launch.workers,
        connections=CONNECTIONS,
        kept="" if default else f"keepalive_timeout {launch.keep_alive_s}s; keepalive_requests 1000000000;",
        bodies="" if default else f"client_body_buffer_size {BODY};",
        without="" if launch.reuse else "close",
        zone="zone servers 256k;" if len(launch.backends) > 1 and launch.workers > 1 else "",
        balance=BALANCE[launch.balance or "round robin"],
        servers="\n".join(f"        server {address_of(launch, one)};" for one in launch.backends),
        idle=f"keepalive {IDLE}; keepalive_requests 1000000000;" if launch.reuse else "",
        host=launch.host,
        port=launch.port,
        listen=listening(launch),
        secured=f"ssl_certificate {launch.certificate.name}; ssl_certificate_key {launch.key.name};"
        if launch.tls
        else "",
        shared=shared(launch),
        locations=indented("".join(locations(launch)), 8),
    )


def shared(launch: FrontLaunch) -> str:
    """What stands outside the server: where answers are cached."""
    if "cache" not in launch.options:
        return ""
    return f"proxy_cache_path cache keys_zone=pages:4m max_size={CACHE} inactive=1m use_temp_path=off;"


def locations(launch: FrontLaunch) -> Iterator[str]:
    """Which requests are handed on, and which are not, or not each time."""
    options, handed = launch.options, passed(launch)
    if "compress" in options:
        yield COMPRESSED
    if "static" in options:
        yield STATIC.format(root=plain(launch.static.parent), passed=indented(handed, 4))
    if "cache" in options:
        locked = LOCKED if options["cache"] == "one at a time" else ""
        yield CACHED.format(seconds=CACHED_S, locked=locked, passed=indented(handed, 4))
    yield f"location / {{\n{indented(handed, 4)}\n}}\n"


def address_of(launch: FrontLaunch, address: str) -> str:
    """One server; of several, one that refuses is left out for a second."""
    several = " max_fails=1 fail_timeout=1s" if len(launch.backends) > 1 else ""
    return f"{quoted(f'unix:{address}')}{several}" if launch.link == "unix" else f"{address}{several}"


def listening(launch: FrontLaunch) -> str:
    """What stands behind the address that clients ask."""
    return LISTENS[launch.protocol] + ("" if launch.configuration == "default" else f" backlog={launch.backlog}")


def passed(launch: FrontLaunch) -> str:
    """How a request is handed on."""
    if launch.speech == "http":
        return HTTP + (UNBUFFERED if launch.options.get("buffers") == "off" else "")
    parameters = "".join(f"{launch.speech}_param {name} {value};\n" for name, value in PARAMETERS.items())
    script = SCRIPT.format(script=plain(launch.script)) if launch.script else ""
    return f"{launch.speech}_pass servers;\n{launch.speech}_read_timeout 75s;\n{parameters}{script}"


def plain(path: object) -> str:
    """Write a path as one word where nginx looks for variables; it knows no other way to write `$`."""
    return quoted(path).replace("$", "${dollar}")


def quoted(path: object) -> str:
    """Write a path as one word, whatever stands in it."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def indented(text: str, by: int) -> str:
    """Set a block's lines under its head."""
    return "\n".join(f"{' ' * by}{line}" for line in text.splitlines())


def command(launch: FrontLaunch) -> list[str]:
    """In the foreground, errors to the log that the server behind it has, too."""
    return [launch.program, "-p", str(launch.scratch), "-e", "stderr", "-c", str(launch.scratch / "nginx.conf")]


def expect(launch: FrontLaunch) -> Expected:
    """A master and its workers, a thread each; a cache has a manager, and for a minute a loader."""
    return Expected(
        connections=CLIENTS * launch.workers,
        backlog=DEFAULT_BACKLOG if launch.configuration == "default" else launch.backlog,
        nodelay=True,
        processes=None if "cache" in launch.options else 1 + launch.workers,
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
        *(
            FrontVariant(
                id=f"nginx-{short}{count}",
                backends=count,
                one="nginx",
                balance=balance,
                speaks=SPEAKS,
                summary=f"Before {count} servers, {balance}.",
            )
            for short, balance in (("rr", "round robin"), ("lc", "least connections"))
            for count in (2, 4)
        ),
        FrontVariant(
            id="nginx-static",
            options={"static": "front"},
            speaks=SPEAKS,
            summary="It sends the files under /static/ itself.",
        ),
        FrontVariant(
            id="nginx-gzip",
            options={"compress": "front"},
            speaks=SPEAKS,
            summary="It compresses answers for clients that accept it.",
        ),
        FrontVariant(
            id="nginx-cache",
            options={"cache": "free"},
            passing=PASSING,
            speaks=SPEAKS,
            summary="It keeps answers of /noted/ for one to two seconds; when they expire, all who ask are handed on.",
        ),
        FrontVariant(
            id="nginx-cache-lock",
            options={"cache": "one at a time"},
            passing=PASSING,
            speaks=SPEAKS,
            summary="The same, but one request at a time fetches anew; the others get the old answer, or wait.",
        ),
        FrontVariant(
            id="nginx-unbuffered",
            options={"buffers": "off"},
            speaks=SPEAKS,
            summary="It buffers neither requests nor answers.",
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
        FrontVariant(
            id="nginx-cgi",
            link="unix",
            speech="fastcgi",
            alone=True,
            speaks=SPEAKS,
            summary="FastCGI to a wrapper that starts a program for each request.",
        ),
    ),
    notes=(
        "It ends TLS and HTTP/2 for servers that speak neither; the servers behind it are asked in clear text.",
        "Before nginx 1.25 a port on which HTTP/2 is spoken in clear text (`--protocol h2c`) takes no HTTP/1.1.",
        "An answer is buffered whole before a slow client has read it, a request before the server sees any of it.",
        "As installed it puts bodies from 16 KiB on into files; up to 64 KiB they reach a server 40 ms late over TCP.",
        "It sends a request's body with its length, also where the client sent it in chunks.",
    ),
)
