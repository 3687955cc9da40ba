"""Asks an app that is called without a server, from a CPU of its own: many at once, and the next as soon as one ended.

A plain script of the standard library. What it sends is a number and about as many bytes as the request would have;
what comes back is about as long as the answer. What the app says in it is not looked at here. It ends with its lines.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
from pathlib import Path
from typing import Any

HEAD = struct.Struct("!HI")
"""Number of the request, and the length of the whole message."""
HOST = "127.0.0.1"
ROOM = 1 << 16


def main() -> None:
    """Carry out the order in the file that the first argument names."""
    order: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if order["cpus"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, order["cpus"])
    messages = [message_of(number, size) for number, size in enumerate(order["sizes"])]
    lines = [socket.create_connection((HOST, order["port"])) for _ in range(order["at_once"])]
    try:
        ask(lines, messages, order["answers"], order["deck"])
    except OSError:
        return  # the lines were closed: it is over


def message_of(number: int, size: int) -> bytes:
    """Write what asks for one request."""
    size = max(size, HEAD.size)
    return HEAD.pack(number, size) + bytes(size - HEAD.size)


def ask(lines: list[socket.socket], messages: list[bytes], answers: list[int], deck: list[int]) -> None:
    """Go through the deck on every line, each from a place of its own, for as long as the lines are open."""
    waiting = select.poll()
    by_file = {line.fileno(): line for line in lines}
    places = {line.fileno(): number * len(deck) // len(lines) for number, line in enumerate(lines)}
    missing = dict.fromkeys(by_file, 0)
    for file, line in by_file.items():
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        waiting.register(file, select.POLLIN)
        missing[file] = answers[deck[places[file]]]
        line.sendall(messages[deck[places[file]]])
    while True:
        for file, _ in waiting.poll():
            line = by_file[file]
            heard = len(line.recv(ROOM))
            if not heard:
                return
            missing[file] -= heard
            if missing[file] <= 0:
                places[file] = place = (places[file] + 1) % len(deck)
                missing[file] = answers[deck[place]]
                line.sendall(messages[deck[place]])


if __name__ == "__main__":
    main()
