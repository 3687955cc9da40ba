"""HAProxy: a load balancer; passes requests and answers through as they come, and queues what a server can't take."""

from sgibench.model import Expected, Front, FrontLaunch, FrontVariant, Need, Protocol

CONNECTIONS = 6000
"""Clients that are served side by side."""
SPEAKS: tuple[Protocol, ...] = ("http", "https", "h2c", "h2")
AGREES: dict[Protocol, str] = {"https": "http/1.1", "h2": "h2,http/1.1"}
"""What it agrees to over TLS; in clear text it knows HTTP/2 by its first bytes."""
PROMPT = "option http-no-delay"
"""Without it HAProxy has the kernel hold pieces of an answer back for up to 200 ms: four events that an app sent 50 ms
apart came together."""
SPECIAL = " #\\'\""
"""What would end a word or a line."""
BALANCE = {"round robin": "roundrobin", "least connections": "leastconn"}

CONFIGURATION = """\
global
    nbthread {workers}
    maxconn {connections}
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 75s
    timeout http-keep-alive {keep_alive_s}s
    timeout tunnel 1h
    option redispatch
    http-reuse {reuse}
frontend clients
    bind {host}:{port}{listen}
    default_backend servers
backend servers
    balance {balance}
    option {closing}
    option forwardfor
    {prompt}
{servers}
"""


def files(launch: FrontLaunch) -> dict[str, str]:
    """Write the one file that HAProxy reads."""
    return {"haproxy.cfg": configuration(launch)}


def configuration(launch: FrontLaunch) -> str:
    """No log, clients and servers kept alive, a queue before a server that serves only so many connections."""
    return CONFIGURATION.format(
        workers=launch.workers,
        connections=CONNECTIONS,
        keep_alive_s=launch.keep_alive_s,
        reuse="always" if launch.reuse else "never",
        host=launch.host,
        port=launch.port,
        listen=listening(launch),
        balance=BALANCE[launch.balance or "round robin"],
        prompt="" if launch.configuration == "default" else PROMPT,
        closing="http-keep-alive" if launch.reuse else "http-server-close",
        servers="\n".join(server(launch, number, one) for number, one in enumerate(launch.backends, 1)),
    )


def listening(launch: FrontLaunch) -> str:
    """What stands behind the address that clients ask."""
    backlog = "" if launch.configuration == "default" else f" backlog {launch.backlog}"
    return backlog + (f" ssl crt {word(launch.certificate)} alpn {AGREES[launch.protocol]}" if launch.tls else "")


def server(launch: FrontLaunch, number: int, address: str) -> str:
    """One server; of several, each is looked at twice a second and left out while it refuses."""
    where = f"unix@{word(address)}" if launch.link == "unix" else address
    limit = "" if launch.limit is None else f" maxconn {launch.limit}"
    several = " check inter 500ms fall 1 rise 1" if len(launch.backends) > 1 else ""
    return f"    server server{number} {where}{limit}{several}"


def word(path: object) -> str:
    """Write a path as one word, whatever stands in it."""
    return "".join(f"\\{letter}" if letter in SPECIAL else letter for letter in str(path))


def command(launch: FrontLaunch) -> list[str]:
    """In the foreground; quiet (`-q`), it would not say why it does not start either."""
    return [launch.program, "-db", "-f", str(launch.scratch / "haproxy.cfg")]


def expect(launch: FrontLaunch) -> Expected:
    """One process, a thread for each worker of the servers."""
    return Expected(
        connections=CONNECTIONS,
        backlog=CONNECTIONS if launch.configuration == "default" else launch.backlog,
        nodelay=True,
        processes=1,
        threads=(launch.workers, launch.workers),
    )


FRONT = Front(
    need=Need(name="haproxy", how="apt-get install haproxy"),
    files=files,
    command=command,
    expect=expect,
    homepage="https://www.haproxy.org",
    verified="2026-11-26, HAProxy 2.6.12, Debian 12",
    variants=(
        FrontVariant(
            id="haproxy",
            speaks=SPEAKS,
            summary="Over loopback TCP, connections to the server kept alive.",
        ),
        FrontVariant(
            id="haproxy-unix",
            link="unix",
            speaks=SPEAKS,
            summary="The same over a Unix socket.",
        ),
        *(
            FrontVariant(
                id=f"haproxy-{short}{count}",
                backends=count,
                one="haproxy",
                balance=balance,
                speaks=SPEAKS,
                summary=f"Before {count} servers, {balance}.",
            )
            for short, balance in (("rr", "round robin"), ("lc", "least connections"))
            for count in (2, 4)
        ),
    ),
    notes=(
        "It ends TLS and HTTP/2 for servers that speak neither; the servers behind it are asked in clear text.",
        "As installed it holds back pieces of an answer for up to 200 ms, events of a stream, too (`http-no-delay`).",
        "It reads no request's body before it hands it on: a slow client holds the server for as long as it takes.",
    ),
)
