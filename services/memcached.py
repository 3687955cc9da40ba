"""memcached: a cache in memory; servers share it, each under a prefix of its own."""

from __future__ import annotations

import socket

from sgibench.model import Rows, Service, ServiceLaunch, ShareLook

TIMEOUT_S = 5.0
MEGABYTES = "64"
NO_ROOM = "Too many open connections"


def command(launch: ServiceLaunch) -> list[str]:
    """One thread: with more of them than CPUs it would be measured how they wait for one another."""
    return [launch.program(), "-l", launch.host, "-p", str(launch.port), "-U", "0", "-m", MEGABYTES, "-t", "1"]


class Client:
    """Speaks memcached's text protocol, a connection for each question."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)

    def version(self) -> str:
        """Say which version answers."""
        return f"memcached {self._ask('version')[0].split()[1]}"

    def share(self, name: str) -> str:
        """Give its address; the path is the prefix of all keys of this share."""
        host, port = self._address
        return f"memcached://{host}:{port}/{name}"

    def look(self, name: str) -> ShareLook:
        """Connections can't be told apart by prefix; that some were refused can be told."""
        del name
        try:
            told = dict(line.split()[1:3] for line in self._ask("stats") if line.startswith("STAT "))
        except ConnectionError as error:
            if NO_ROOM not in str(error):
                raise
            return ShareLook(refused=str(error))  # not even for who asks
        rejected = int(told.get("rejected_connections", "0"))
        return ShareLook(refused=f"{NO_ROOM}, {rejected} times" if rejected else None)

    def rows(self, name: str) -> Rows | None:
        """It holds no items."""
        del name
        return None

    def drop(self, name: str) -> None:
        """What was kept under a prefix is never asked for again; it is forgotten when room is needed."""

    def close(self) -> None:
        """No connection is kept."""

    def _ask(self, word: str) -> list[str]:
        with socket.create_connection(self._address, TIMEOUT_S) as link, link.makefile("rb") as answers:
            link.sendall(word.encode() + b"\r\n")
            lines = []
            while line := answers.readline().decode("utf-8", "replace").strip():
                if line.startswith("ERROR"):
                    raise ConnectionError(line)
                lines.append(line)
                if line == "END" or word == "version":
                    return lines
        raise ConnectionError("it hung up")


def client(launch: ServiceLaunch) -> Client:
    """Ask the private instance."""
    return Client(launch.host, launch.port)


SERVICE = Service(
    summary="A cache in memory.",
    homepage="https://memcached.org",
    programs=(("memcached",),),
    how="apt-get install memcached",
    command=command,
    client=client,
)
