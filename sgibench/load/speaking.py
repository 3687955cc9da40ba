"""Which target speaks a protocol: everything else asks for a target and does not know what goes over the wire."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol as Interface

from sgibench.load.request import Program
from sgibench.load.target import Target
from sgibench.model.terms import MULTIPLEXED, TLS, Protocol

ALPN: dict[Protocol, str] = {"https": "http/1.1", "h2": "h2"}


class Maker(Interface):
    """What makes a target whose places share connections."""

    def __call__(self, host: str, port: int, program: Program, *, streams: int, timeout_s: float) -> Target:
        """Make it."""


def target_for(
    protocol: Protocol, address: tuple[str, int], program: Program, *, streams: int, timeout_s: float
) -> Target:
    """Make the target that speaks a protocol; raises ValueError for a program that it can't carry."""
    if protocol in MULTIPLEXED:
        if program.handshake is not None:
            raise ValueError(f"{protocol} carries no WebSocket")
        if not program.keep_alive and streams != 1:
            raise ValueError(f"{protocol} with one connection per request has one stream on each, not {streams}")
        # Only those who speak it load HTTP/2.
        made = import_module("sgibench.load.multiplexed")
        program.write = made.block_writer(program.host, "https" if protocol in TLS else "http")
        maker: Maker = made.Multiplexed
        target = maker(*address, program, streams=streams, timeout_s=timeout_s)
    else:
        target = Target(*address, program, timeout_s=timeout_s)
    target.alpn = ALPN.get(protocol)
    return target
