"""Rules that hold for every server: floors, Little's law, and the timers of the network."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sgibench.audit.figures import Figures, doubt, ms
from sgibench.audit.rules.machine import pressed
from sgibench.model import Doubt
from sgibench.units import count, percent, significant

LITTLE_TOLERANCE = 0.05
"""Honest closed-loop rows lie within 3 % of Little's law. What the edges of a window lose comes on top: up to one
answer of each connection, which is mean / duration."""
SAME_COUNT = 0.01
"""Of the connections. The load's count and rate x mean are sums of the same times."""
MOST_STALLED = 0.25
"""Of a run, that a stall at its end may have taken before its figures are those of no load at all."""
RECONNECT_S = 0.2
"""No connection takes longer to open, unless its first packet was lost: retransmits come after 1 s."""
CLIENT_OWN_MS = 0.002
"""What a client does between an answer and its next request is in no latency; it shows beside answers of 20 µs."""
FLOOR_TOLERANCE = 0.01
"""Timers of event loops may fire a little early."""
IDLE_SHARE = 0.5
"""A server under half of its CPUs is not what limits the rate."""
TIMER_BANDS_MS = ((40.0, 48.0), (200.0, 210.0), (1000.0, 1050.0), (3000.0, 3150.0))
"""Linux: delayed ACK 40 ms, least retransmission time-out 200 ms, lost SYN 1 s and then 3 s.

A kernel of 250 ticks a second lets the first timer run for up to two ticks of 4 ms longer.
"""
QUEUE_TOLERANCE = 0.05
"""A queue's turns last a little longer than the floor each."""


def under_the_floor(row: Figures) -> Iterator[Doubt]:
    """Find answers faster than the scenario's floor, or more of them than the floor leaves time for."""
    if not row.floor_ms:
        return
    least = row.floor_ms * (1 - FLOOR_TOLERANCE)
    named = (("p50", row.p50_ms), ("mean", row.mean_ms), ("p99", row.p99_ms), ("maximum", row.max_ms))
    for name, value in named:
        if value is not None and value < least:
            yield doubt("Impossible", f"{name} {ms(value)} where no answer can take less than {ms(row.floor_ms)}")
            break
    limits = (("connections", row.connections if row.load == "closed" else None), ("served at once", row.at_once))
    for name, many in limits:
        if many and row.rps is not None and row.rps > many / least * 1e3:
            most = significant(many / row.floor_ms * 1e3)
            detail = f"{count(many)} {name} / {ms(row.floor_ms)} = {most}/s at most"
            yield doubt("Impossible", f"{significant(row.rps)}/s, but {detail}")


def longer_than_the_run(row: Figures) -> Iterator[Doubt]:
    """Find a latency that is longer than the whole run: a clock that stepped, or a duration that is none."""
    slowest = max((value for value in (row.max_ms, row.p99_ms, row.p50_ms, row.mean_ms) if value), default=0.0)
    if row.run_s and slowest > row.run_s * 1e3 * (1 + LITTLE_TOLERANCE + row.resolution) + row.resolution_ms:
        yield doubt("Impossible", f"an answer took {ms(slowest)} in a run of {ms(row.run_s * 1e3)}")


def littles_law(row: Figures) -> Iterator[Doubt]:
    """In a closed loop, rate x mean latency is the number of connections that were being served (Little, 1961).

    Users between two requests are none of them, where their number is known; where it is not, and where a mean was
    raised afterwards, the law refutes in one direction only. Where the row itself tells why others were at work than
    should, its figures may all be true, and are not those of a saturation (LoadUneven).
    """
    if row.load != "closed" or not row.connections or not row.rps or not row.mean_ms:
        return
    opening_ms = row.connect_ms or 0.0
    taken_s = (row.mean_ms + opening_ms) / 1e3
    busy = row.in_flight if row.errors and row.in_flight is not None else row.rps * taken_s
    idle = row.idle or 0.0
    off = (busy + idle) / row.connections - 1
    if off < 0:
        off = min(off + at_work_unseen(row) / row.connections, 0.0)
    rounded = (row.resolution_ms + CLIENT_OWN_MS) / row.mean_ms
    if abs(off) <= LITTLE_TOLERANCE + lost_at_edges(row, taken_s) + rounded:
        return
    if (off < 0 and row.thinks and row.idle is None) or (off > 0 and row.mean_raised):
        return
    each = f"({ms(row.mean_ms)} + {ms(opening_ms)} to connect)" if opening_ms else ms(row.mean_ms)
    detail = f"{significant(row.rps)}/s × {each} = {significant(busy)} connections at work"
    thinking = f" and {significant(idle)} users thinking" if idle else ""
    said, why = f"{detail}{thinking}, of {count(row.connections)}", uneven_because(row, off, busy, taken_s)
    yield doubt("LoadUneven", f"{said}: {why}") if why else doubt("LittleMismatch", said)


def uneven_because(row: Figures, off: float, busy: float, taken_s: float) -> str:
    """Say what the row itself tells about a load that was not what it was meant to be; empty when nothing in it does.

    `off` is the share of the connections by which Little's law is missed. A load that counted as many at work as the
    figures say contradicts none of them: fewer when it could not ask in time, more when answers outlasted the window.
    What a busy machine took is no more than it was busy.
    """
    if not row.connections:
        return ""
    # With errors, `busy` is the load's own count and holds no time to connect.
    opening = 0.0 if row.errors else (row.rps or 0.0) * (row.connect_ms or 0.0) / 1e3
    if row.in_flight is not None and abs(busy - opening - row.in_flight) <= SAME_COUNT * row.connections:
        outlasting = row.pieces * (row.max_ms or 0.0) / 1e3 / (row.duration_s or math.inf)
        if off <= LITTLE_TOLERANCE + outlasting:
            return "the load itself counted so many"
    if row.lived is not None and 0 < -off <= 1 - row.lived + LITTLE_TOLERANCE + lost_at_edges(row, taken_s):
        return f"the connections lived for {percent(row.lived)} of the run, on average, and were not opened again"
    if row.untold_open_ms and row.rps and off < 0:
        each_ms = -off * row.connections / row.rps * 1e3
        if each_ms <= row.untold_open_ms:
            return f"{ms(each_ms)} to open a connection for each of them, which is told nowhere, would explain that"
    taken = max(row.pressure or 0.0, row.foreign_cpu or 0.0) if any(pressed(row)) else row.steal or 0.0
    if 0 < -off <= taken:
        return f"others held the machine for {percent(taken)} of the time"
    return stalled_at_the_end(row, off, taken_s)


def stalled_at_the_end(row: Figures, off: float, taken_s: float) -> str:
    """Say whether one stall that another tool's run cut off would explain that fewer were at work: it is in no latency.

    It may have been as long as the longest answer, or, where the tool tells that requests of all connections were under
    way at the end, as it liked, but not for most of the run.
    """
    if off >= 0 or not row.connections or row.in_flight is not None or not row.max_ms or not row.duration_s:
        return ""
    all_waited = (row.cut_off or 0.0) >= row.connections
    stalled = MOST_STALLED if all_waited else min(row.max_ms / 1e3 / row.duration_s, MOST_STALLED)
    if -off > LITTLE_TOLERANCE + stalled or not lost_at_edges(row, taken_s):
        return ""
    known = f"{count(row.cut_off or 0.0)} requests" if all_waited else f"answers as long as {ms(row.max_ms)}"
    return f"a stall at the end of the run, which cut off {known}, would explain that"


def lost_at_edges(row: Figures, taken_s: float) -> float:
    """Share of the connections' time that a window's edges may lose: an answer of each connection and visit.

    Nothing is granted to a row whose rate and count are not of one duration: which one would it be?
    """
    if not row.duration_s:
        return 0.0
    once_s = row.edge_ms / 1e3 if row.edge_ms is not None else taken_s
    lost_s = once_s * math.sqrt(max(row.pieces, 1))  # the edges of each visit, independent of one another
    claimed = None if row.rps is None else row.rps * row.duration_s
    if claimed and row.samples is not None and abs(row.samples / claimed - 1) > 2 * lost_s / row.duration_s:
        return 0.0
    return lost_s / row.duration_s


def at_work_unseen(row: Figures) -> float:
    """Connections, at most, that were at work on what is in no latency: opened anew, or waiting for late answers."""
    spent_s = (row.reconnects or 0.0) * RECONNECT_S + (row.unseen_s or 0.0)
    return spent_s / row.duration_s if row.duration_s else 0.0


def timer_plateau(row: Figures) -> Iterator[Doubt]:
    """Find latencies at a timer of the network while the server is idle.

    In a histogram, a bump; in a row of figures, a distribution that sits inside a timer's band: the centre (p50, else
    mean) with p99 within a tenth above it. A declared floor near the band is the better explanation, or how long an app
    waits by itself, and so are the turns of a queue before a server that serves fewer at once than it has connections.
    """
    if row.server_cpu_share is None or row.used_of_left is None or row.used_of_left >= IDLE_SHARE:
        return
    idle = f"with the server at {percent(row.server_cpu_share)} of its CPUs"
    for low, high in TIMER_BANDS_MS:
        if waits_into(row, low, high):
            continue
        for mode in row.modes:
            if low <= mode.centre_ms <= high:
                yield doubt("Plateau", f"{percent(mode.share)} of the answers at {ms(mode.centre_ms)} {idle}")
        centre = row.p50_ms if row.p50_ms is not None else row.mean_ms
        tight = row.p99_ms is not None and centre is not None and row.p99_ms <= centre * 1.1
        if not row.modes and centre is not None and low <= centre <= high and tight:
            yield doubt("Plateau", f"answers at {ms(centre)}, p99 {ms(row.p99_ms or 0.0)}, {idle}")


def waits_into(row: Figures, low_ms: float, high_ms: float) -> bool:
    """Whether a declared floor, or what an app waits by itself, explains answers in that band, alone or by turns."""
    known = [wait_ms for wait_ms in (row.floor_ms, *row.waits_ms) if wait_ms]
    return any(low_ms * 0.5 <= each <= high_ms or _queues_into(row, each, low_ms, high_ms) for each in known)


def _queues_into(row: Figures, wait_ms: float, low_ms: float, high_ms: float) -> bool:
    """Whether some turn of the queue ends in that band: the k-th waits k times, up to connections / at once."""
    if not row.at_once or not row.connections or row.connections <= row.at_once:
        return False
    turns = math.ceil(row.connections / row.at_once)
    first = max(1, math.ceil(low_ms / (1 + QUEUE_TOLERANCE) / wait_ms))
    return first <= turns and first * wait_ms <= high_ms
