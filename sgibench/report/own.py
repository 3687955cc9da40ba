"""Where the time of a request goes when the app is the user's own: the app's CPU, and what each server adds, in words.

No two servers can differ by more than the larger one's share, so the sentence gives the upper end of its interval. The
table below it may tell two servers apart by more (connections and threads that contend cost CPU, too); then that
difference is what is said, so that no verdict contradicts the sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sgibench import units
from sgibench.model import OwnInfo
from sgibench.report import words
from sgibench.report.deployments import deployment_of
from sgibench.report.panels import Panel, Row, View
from sgibench.report.shares import RequestCost, ServerShare, Shares, percent, said, shares_of, told

SMALL_SHARE = 0.1
"""A server that is less of the request is not worth changing for its CPU."""
LEAST_WAIT_US = 1000.0
"""A request that waits for less, or for less than it computes, is not said to wait."""
NOISY_SHARE = 0.03
"""Shares that are known less exactly are said to."""
CROWDED = 1.02
"""By so much more at least, to be told."""
DIFFERS = 1.25
"""What differs by less between the extremes is not told."""


@dataclass(frozen=True, kw_only=True)
class OwnShare:
    """Where the time goes, for one app in one comparison."""

    app: str
    panel: str
    """Key of the comparison."""
    app_us: float
    """CPU of the app per request, in proportion to the requests' weights."""
    requests: tuple[RequestCost, ...]
    servers: tuple[ServerShare, ...]
    """Smallest share first."""
    fronts: Mapping[str, float]
    """Server -> of its whole CPU, the share of the front before it; without those that are asked directly."""
    win: float
    """So much of the CPU changing the server can win at most."""
    text: str
    """The sentence that the report opens with."""
    beside: str
    """What does differ between the servers, or nothing."""


def own_shares(view: View) -> tuple[OwnShare, ...]:
    """Say it for each app of the user's, in each comparison of their own requests at saturation."""
    own = view.run.info.own
    if own is None:
        return ()
    panels = [panel for panel in view.panels if panel.saturated and panel.scenario == own.scenario]
    found = [_own_share(own, app, panel) for panel in panels for app in own.apps]
    return tuple(one for one in found if one is not None)


def _own_share(own: OwnInfo, app: str, panel: Panel) -> OwnShare | None:
    rows = [row for row in panel.rows if row.entry.app == app and row.entry.cpu_us is not None]
    found = shares_of(own, app, rows)
    if found is None or not found.servers:
        return None
    most = max(one.share.most for one in found.servers)
    apart, fronts = _most_apart(panel, rows), _fronts(rows)
    return OwnShare(
        app=app,
        panel=panel.key,
        app_us=found.app_us,
        requests=found.requests,
        servers=found.servers,
        fronts=fronts,
        win=min(1.0, max(most, apart[0])),
        text=_sentence(found, most, apart, fronts),
        beside=_beside(panel, rows, most),
    )


def _fronts(rows: Sequence[Row]) -> dict[str, float]:
    deployed = {row.label: found for row in rows if (found := deployment_of(row.entry))}
    return {label: one.share.value for label, one in deployed.items() if one.share is not None}


def _most_apart(panel: Panel, rows: Sequence[Row]) -> tuple[float, str]:
    """Give the largest difference between two servers that the table tells apart by their CPU, and which they are."""
    known = [(row.entry.cell, row.label, row.entry.cpu_us.value) for row in rows if row.entry.cpu_us is not None]
    found = [
        (1 - cheaper[2] / dearer[2], f"{dearer[1]} needs more than {cheaper[1]}")
        for cheaper in known
        for dearer in known
        if cheaper[2] < dearer[2] and panel.main.cost.apart(cheaper[0], dearer[0])
    ]
    return max(found, default=(0.0, ""))


# --- words ----------------------------------------------------------------------------------------------------------


Rows = Sequence[Sequence[str]]


def own_tables(share: OwnShare) -> list[tuple[str, Rows]]:
    """Give title and rows of a table for each request: the app without a server, then each server; and of all."""
    found: list[tuple[str, Rows]] = [
        (
            one.request,
            [
                ("without a server", units.microseconds(one.cpu_us.value), ""),
                *((each.label, units.microseconds(each.cpu_us.value), told(each.share)) for each in one.under),
            ],
        )
        for one in share.requests
    ]
    if len(share.requests) == 1 and share.requests[0].under:
        return found
    mix = [(one.label, units.microseconds(one.total_us), told(one.share)) for one in share.servers]
    alone = ("without a server", units.microseconds(share.app_us), "")
    return [*found, ("all requests, each as often as it is asked", [alone, *mix])]


def _subject(servers: Sequence[ServerShare], fronts: Mapping[str, float]) -> tuple[str, str]:
    """Name what the shares are of, and what would be changed: the server, or server and front together."""
    if not fronts:
        return "The server is", "changing it"
    if all(one.label in fronts for one in servers):
        return "Server and front are", "changing both"
    return "The server, with its front where it has one, is", "changing it"


def _sentence(found: Shares, most: float, apart: tuple[float, str], fronts: Mapping[str, float]) -> str:
    """Say how much of the request is the server's, and so what changing it can win at most."""
    win = percent(max(most, apart[0]))
    subject, changing = _subject(found.servers, fronts)
    text = f"{subject} {_whose(found.servers)}; {changing} can win {_at_most(win)}."
    if fronts:
        apart_us = [f"{percent(share)} ({label})" for label, share in fronts.items()]
        text += f" Of all CPU, the front alone is {words.listed(apart_us)}."
    text += f" Your app itself needs {units.microseconds(found.app_us)} of CPU."
    if apart[0] > most:
        text += f" Under the full load {apart[1]} ({percent(apart[0])}): threads and connections that contend cost CPU."
    halves = [
        (min(one.share.high, 1) - max(one.share.low, 0)) / 2
        for one in found.servers
        if one.share.low is not None and one.share.high is not None and not one.share.is_bound
    ]
    if max(halves, default=0.0) > NOISY_SHARE:
        text += f" These shares are known to within {percent(max(halves))} of the whole."
    if all(one.share.high is None for one in found.servers):
        text += " How exact these shares are is not known: that takes blocks in which both were measured in turn."
    text += _crowds(found.servers)
    if found.missing:
        text += (
            f" This is about the {units.many(len(found.requests), 'request')} that take most of the CPU; "
            f"{len(found.missing)} others were not asked by themselves."
        )
    if found.wait_us > max(LEAST_WAIT_US, found.app_us):
        text += (
            f" It waits {units.microseconds(found.wait_us)} besides: how many requests wait at the same time (workers, "
            "threads, an event loop) decides about requests per second, not the CPU of the server."
        )
    return text


def _crowds(servers: Sequence[ServerShare]) -> str:
    """Say where many long requests at once cost more CPU than a few, as far as that can be told."""
    more = [
        f"{percent(one.crowding.value - 1)} under {one.label}"
        for one in servers
        if one.crowding and one.crowding.low is not None and one.crowding.low > 1 and one.crowding.value > CROWDED
    ]
    if not more:
        return ""
    return (
        f" Besides, many requests at once cost more than a few: {words.listed(more)}. Threads that take turns cost "
        "CPU; fewer --threads, more --workers or a server without threads change that."
    )


def _at_most(win: str) -> str:
    return win if win.startswith("less") else f"at most {win}"


def _whose(servers: Sequence[ServerShare]) -> str:
    """Say the smallest and the largest share, and whose they are."""
    bounds = [one for one in servers if one.share.is_bound]
    if len(servers) == 1:
        return f"{said(servers[0].share)} of the CPU of your request ({servers[0].label})"
    if len(bounds) == len(servers):
        return f"{_at_most(percent(max(one.share.most for one in bounds)))} of the CPU of your request, whichever it is"
    ordered = sorted(servers, key=lambda one: one.share.most if one.share.is_bound else one.share.value)
    least, most = ordered[0], next(one for one in reversed(ordered) if not one.share.is_bound)
    if said(least.share) == said(most.share):
        return f"{said(most.share)} of the CPU of your request"
    return f"{said(least.share)} ({least.label}) to {said(most.share)} ({most.label}) of the CPU of your request"


def _beside(panel: Panel, rows: Sequence[Row], most: float) -> str:
    """Say what differs where the CPU does not: memory, start-up, latency at the fixed rate."""
    if len(rows) < 2 or (most > SMALL_SHARE and _most_apart(panel, rows)[0]):  # noqa: PLR2004 - a comparison
        return ""
    memory = {row.label: one.value for row in rows if (one := row.entry.pss_bytes or row.entry.uss_bytes)}
    startup = {row.label: row.entry.startup_s.value for row in rows if row.entry.startup_s}
    p99 = {row.label: tail for row in rows if (tail := _p99(row)) is not None}
    at = panel.fixed.key.load.rate_per_s if panel.fixed is not None else None
    ranges = [_range("memory", memory, units.size), _range("start-up", startup, units.seconds)]
    if at is not None:
        ranges.append(_range(f"p99 at {at:g}/s", p99, units.microseconds))
    differing = [one for one in ranges if one is not None]
    if not differing:
        return "Memory, start-up and latency are about the same, too: keep the server that you have."
    return f"What does differ: {words.listed(differing)}."


def _p99(row: Row) -> float | None:
    found = row.fixed.figures.get("p99_us") if row.fixed is not None else None
    return None if found is None else found.value


def _range(what: str, values: Mapping[str, float], show: Callable[[float | None], str]) -> str | None:
    """Write a figure from its least to its most, with whose they are; None when they are alike."""
    if len(values) < 2:  # noqa: PLR2004 - a range has two ends
        return None
    low, high = min(values, key=lambda name: values[name]), max(values, key=lambda name: values[name])
    if values[low] <= 0 or values[high] < DIFFERS * values[low]:
        return None
    return f"{what} {show(values[low])} ({low}) to {show(values[high])} ({high})"
