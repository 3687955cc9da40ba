"""Rules about what load tools do: their clients' ports, their users, their failures, their sums.

They ask of any row what readers of other tools' files found out; for rows that do not say it, they are silent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from sgibench.audit.figures import CLIENT_LIMITS, Figures, doubt, ms
from sgibench.audit.rules import generator
from sgibench.model import Doubt
from sgibench.units import count, percent, significant

SHORTFALL = 0.05
ENOUGH_OPENED = 1000
"""Of fewer requests, the first connections may take most of the time; no client runs out of ports by them."""
USERS_OVER = 1.02
DROPPED = 0.01
BACKLOG = 2.0
"""A short stall lets some requests wait for a connection, too; half of them wait only where the rate is not kept."""
GROWN = 0.01
"""Of the run. wrk2 sends in ticks of about a millisecond: at 25,000/s many requests wait so long, and no longer."""
HIDES = 2.0
"""So many times as slow must right answers be by themselves before failures are said to hide them."""
HIDDEN_FAILURES = 0.01


def client_limits(row: Figures) -> Iterator[Doubt]:
    """Find a client that ran out of descriptors or ports although nobody says that each request opened a connection.

    Its errors name it, or connecting took longer than asking, or the requests that went through before errors or
    silence are as many as it has ports. Failures that were answered had a port each, and say nothing.
    """
    said = row.error_text.lower()
    sign = next((each for each in CLIENT_LIMITS if each in said), None)
    if sign is not None:
        yield doubt("ClientPorts", f"the client's own limit is among its errors: {sign}")
    elif row.opening_ms and row.mean_ms and row.opening_ms > row.mean_ms and (row.samples or 0.0) >= ENOUGH_OPENED:
        yield doubt(
            "ClientPorts", f"{ms(row.opening_ms)} a request to open connections, {ms(row.mean_ms)} to be answered"
        )
    elif not row.new_connections and ((row.errors or 0.0) > (row.answered_wrong or 0.0) or _at_work_short(row)):
        ports = generator.ports_used_up(row.samples or 0.0, row.duration_s)
        if ports:
            yield doubt("ClientPorts", ports)


def _at_work_short(row: Figures) -> bool:
    if row.load != "closed" or not row.connections or not row.rps or row.mean_ms is None:
        return False
    return row.rps * row.mean_ms / 1e3 < (1 - SHORTFALL) * row.connections


def more_users_than_there_were(row: Figures) -> Iterator[Doubt]:
    """Iterations/s x time of an iteration is the number of users at work (Little): a clock that stepped breaks it."""
    if row.users and row.users_at_work is not None and row.users_at_work > USERS_OVER * row.users:
        most = f"{significant(row.users_at_work)} users at work, of at most {count(row.users)}"
        yield doubt(
            "Impossible", f"{row.users_at_work_how or 'the iterations'} keep {most}: the clock stepped, or it is false"
        )


def never_begun(row: Figures) -> Iterator[Doubt]:
    """Find a schedule that the tool did not keep: what it did not send has no latency."""
    if row.dropped and row.iterations_due and row.dropped > DROPPED * row.iterations_due:
        due = f"{count(row.iterations_due)} iterations that were due"
        yield doubt("RateNotKept", f"{count(row.dropped)} of {due} never began")


def more_waiting_than_connections(row: Figures) -> Iterator[Doubt]:
    """Find an open loop whose requests wait for a connection: its latency is a queue that grows with the run (wrk2).

    Our own trials know what was due, and say it better.
    """
    typical_ms = row.p50_ms if row.p50_ms is not None else row.mean_ms
    if row.load != "open" or row.due is not None or not row.connections or not row.rps or typical_ms is None:
        return
    waiting = row.rps * typical_ms / 1e3
    if waiting > BACKLOG * row.connections and typical_ms / 1e3 > GROWN * (row.duration_s or math.inf):
        at_once = (
            f"{significant(row.rps)}/s × {ms(typical_ms)} = {significant(waiting)} requests were due and unanswered"
        )
        yield doubt("RateNotKept", f"{at_once} at a time, and only {count(row.connections)} can be under way")


def failures_hide_latency(row: Figures) -> Iterator[Doubt]:
    """Find percentiles over all requests that quick failures pull down below those of right answers."""
    wrong, right = row.errors or 0.0, dict(row.right_quantiles_ms)
    if not row.requests_ok or wrong <= HIDDEN_FAILURES * (row.requests_ok + wrong):
        return
    for q, shown in row.quantiles_ms:
        alone = right.get(q)
        if alone is not None and alone > HIDES * shown:
            name, share = f"p{q * 100:g}", percent(wrong / (row.requests_ok + wrong))
            detail = f"{name} {ms(shown)} is over all requests, {share} of them failures"
            yield doubt("WrongCount", f"{detail}; right answers alone have {ms(alone)}")
            return


def unlike_things_added(row: Figures) -> Iterator[Doubt]:
    """Find a sum over requests and what is none (a transaction of several requests, a task, a wait)."""
    if row.unlike_kinds:
        yield doubt("Mixture", f"the sum adds {row.unlike_kinds} to HTTP requests")
