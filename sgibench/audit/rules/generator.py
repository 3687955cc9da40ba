"""Rules about the load: whether the generator, its schedule or the client's system was the limit."""

from __future__ import annotations

from collections.abc import Iterator

from sgibench.audit.figures import Figures, doubt, ms
from sgibench.audit.rules.laws import IDLE_SHARE
from sgibench.audit.rules.machine import kept_from_its_cpus
from sgibench.model import Doubt
from sgibench.stats.rates import Offered, shortfall
from sgibench.units import count, percent

BUSY_GENERATOR = 0.85
CEILING = 0.80
LAG_SHARE = 0.10
CLIENT_PORTS = (16_384, 28_232)
"""Ports that a client can leave from at a time: 49152 to 65535 on macOS and Windows, 32768 to 60999 on Linux."""
PORTS_TOLERANCE = 0.01
"""Of the ports: the run is that near when they are gone."""
PORTS_ROUNDS = 5
PORT_RESTS_S = 55.0
"""A closed connection keeps its port for a minute (TIME_WAIT), on other systems for less; runs are rounded."""
FAIR_JAIN = 0.80
FAIR_SLOWEST = 0.10
FAIR_REQUESTS = 30
"""Requests per connection below which counts say nothing about fairness."""


def generator_bound(row: Figures) -> Iterator[Doubt]:
    """Find a load process that was busier than it may be, or near the ceiling it was calibrated at."""
    if row.generator_utilisation is not None and row.generator_utilisation > BUSY_GENERATOR:
        yield doubt("GeneratorBound", f"the load process used {percent(row.generator_utilisation)} of its CPU")
    elif row.ceiling_share is not None and row.ceiling_share > CEILING:
        yield doubt("GeneratorBound", f"the rate is {percent(row.ceiling_share)} of the generator's calibrated ceiling")


def ceiling_unknown(row: Figures) -> Iterator[Doubt]:
    """What the generator can do at most was to be found out and was not: that is no sign that it had room."""
    if row.no_ceiling and not any(True for _ in generator_bound(row)):
        yield doubt("CeilingUnknown", f"what the generator can do at most is not known: {row.no_ceiling}")


def generator_lag(row: Figures) -> Iterator[Doubt]:
    """Open loops: what passed before sending may not be a notable part of a quantile that is shown.

    Where requests had to wait for a connection, waiting is the server's doing; then only the lateness of those that
    found a free one is held against the generator.
    """
    for late in row.late if row.load == "open" else ():
        own_ms = late.due_ms - late.service_ms
        if row.queued:
            own_ms = min(own_ms, late.own_ms if late.own_ms is not None else row.lag_ms_p99 or 0.0)
        if own_ms > LAG_SHARE * late.due_ms:
            share = f"{ms(own_ms)} of {ms(late.due_ms)} ({percent(own_ms / late.due_ms)})"
            yield doubt("GeneratorLag", f"{late.name}: {share} passed before the request was sent")


def rate_not_kept(row: Figures) -> Iterator[Doubt]:
    """Open loops: with a rate that was not kept, there is no latency to rank."""
    if row.load != "open":
        return
    rate = None if not row.due or not row.duration_s else row.due / row.duration_s
    offered = Offered(
        due=row.due,
        answered=row.requests_ok,
        waiting_start=row.waiting_start,
        waiting_end=row.waiting_end,
        grown_most=row.grown_most,
        least_early=row.least_early,
        least_late=row.least_late,
        pieces=row.pieces,
        came_meanwhile=None if rate is None or row.p50_ms is None else row.p50_ms / 1e3 * rate,
    )
    found = shortfall(offered)
    if found == "unanswered":
        yield doubt("RateNotKept", f"{count(row.requests_ok)} right answers to {count(row.due)} requests")
    elif found == "growing":
        yield doubt("RateNotKept", f"of {count(row.due)} requests {count(offered.growth)} more waited at the end")
    elif found == "rising":
        grown = f"at first at least {count(row.least_early)} waited, in the end at least {count(row.least_late)}"
        yield doubt("RateNotKept", f"of {count(row.due)} requests {grown}")


def client_ports(row: Figures) -> Iterator[Doubt]:
    """One connection a request uses a port of the client each; when they are gone, the client was measured."""
    if not row.new_connections:
        return
    asked_ms = row.p50_ms if row.p50_ms is not None else row.mean_ms
    if row.connect_ms is not None and asked_ms is not None and row.connect_ms > asked_ms:
        yield doubt("ClientPorts", f"{ms(row.connect_ms)} to connect, {ms(asked_ms)} to be answered")
    ports = ports_used_up(row.requests_ok or 0.0, row.duration_s)
    if ports:
        yield doubt("ClientPorts", ports)


def ports_used_up(connections: float, duration_s: float | None = None) -> str:
    """Say of which client these are all the ports, once or a few times over; empty when they are of none.

    A port is free again after a minute: only longer runs use them several times.
    """
    most = PORTS_ROUNDS if duration_s is None else min(PORTS_ROUNDS, 1 + int(duration_s / PORT_RESTS_S))
    for ports in CLIENT_PORTS:
        rounds = round(connections / ports)
        if 1 <= rounds <= most and abs(connections - rounds * ports) <= PORTS_TOLERANCE * ports:
            times = "" if rounds == 1 else f"{rounds} × "
            return f"{count(connections)} connections, and a client has {times}{count(ports)} ports"
    return ""


def starvation(row: Figures) -> Iterator[Doubt]:
    """Some connections got hardly any service; needs enough requests per connection to say so.

    In an open loop a request takes whatever connection is idle, so nothing is meant to be even.
    """
    if (
        row.load != "closed"
        or not row.connections
        or not row.requests_ok
        or row.requests_ok < FAIR_REQUESTS * row.connections
    ):
        return
    if row.slowest_share is not None and row.slowest_share < FAIR_SLOWEST:
        share = percent(row.slowest_share)
        yield doubt("Starvation", f"the slowest connection got {share} of the median connection's requests")
    elif row.jain is not None and row.jain < FAIR_JAIN:
        yield doubt("Starvation", f"Jain's fairness index over connections is {row.jain:.2f}")


def server_idle(row: Figures) -> Iterator[Doubt]:
    """Saturation is claimed with an idle server; only where the generator is known to have had room.

    A row that says nothing about its generator is left alone, and so is a scenario that only waits. Users who think
    claim no saturation. Where others took of its CPUs and tasks waited for one, a window in which the server did little
    says nothing: what was left to it is known of the whole stage alone, and others may have had all of this window.
    """
    measured = row.generator_utilisation is not None and row.server_cpu_share is not None
    waits = row.floor_ms or row.waits_ms or row.thinks
    if row.load != "closed" or not measured or waits or any(True for _ in generator_bound(row)):
        return
    if kept_from_its_cpus(row):
        return
    if row.used_of_left is not None and row.used_of_left < IDLE_SHARE:
        yield doubt("ServerIdle", f"the server used {percent(row.server_cpu_share)} of its CPUs at saturation")
