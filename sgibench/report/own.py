"""Where the time of a request goes when the app is the user's own: the app's CPU, and what each server adds, in words.

No two servers can differ by more than the larger one's share, so the sentence gives the upper end of its interval. The
table below it may tell two servers apart by more (connections and threads that contend cost CPU, too); then that
difference is what is said, so that no verdict contradicts the sentence. Without an interval no bound is said at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sgibench import units
from sgibench.model import OwnInfo
from sgibench.model.own import LEAST_WAIT_US
from sgibench.report import words
from sgibench.report.deployments import deployment_of
from sgibench.report.panels import Panel, Row, View
from sgibench.report.share import ELSEWHERE, at_most, percent, rounded, said, told
from sgibench.report.shares import RequestCost, ServerShare, Shares, requests_apart, shares_of

SMALL_SHARE = 0.1
"""A server that is less of the request is not worth changing for its CPU."""
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
    app_us: float | None
    """CPU of the app per request, in proportion to the requests' weights; None where it can't be told."""
    requests: tuple[RequestCost, ...]
    servers: tuple[ServerShare, ...]
    """Smallest share first."""
    fronts: Mapping[str, float]
    """Server -> of its whole CPU, the share of the front before it; without those that are asked directly."""
    win: float | None
    """So much of the CPU changing the server can win at most; None when a share is not known, or has no interval."""
    inside: bool
    """Whether the app without a server was called inside the servers' own processes."""
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
    if app in own.busy and rows:
        return _of_busy(own, app, panel)
    found = shares_of(own, app, rows)
    if found is None or not found.servers:
        return None
    apart, fronts = _most_apart(panel, rows), _fronts(rows)
    win = None if found.unknown else _win(found.servers, apart.share)
    return OwnShare(
        app=app,
        panel=panel.key,
        app_us=found.app_us,
        requests=found.requests,
        servers=found.servers,
        fronts=fronts,
        win=win,
        inside=found.inside,
        text=_sentence(found, win, apart, fronts),
        beside=_beside(panel, rows, max(one.share.most or one.share.value for one in found.servers)),
    )


def _of_busy(own: OwnInfo, app: str, panel: Panel) -> OwnShare:
    """Say that nothing can be said: what an app does by itself would be taken for the server's."""
    return OwnShare(
        app=app,
        panel=panel.key,
        app_us=None,
        requests=requests_apart(own, app),
        servers=(),
        fronts={},
        win=None,
        inside=False,
        text=(
            f"How much of the CPU of your request is the server's can't be told: your app uses "
            f"{units.percent(own.busy[app])} of a CPU while nothing is asked of it, and that is in every figure below. "
            "Turn off the thread or task that does it, and measure again."
        ),
        beside="",
    )


def _win(servers: Sequence[ServerShare], apart: float) -> float | None:
    """Give the upper end of the largest share, or the difference that the table tells, where that is more.

    Where many at once cost more than a few, so does the server that lets them contend.
    """
    most = [None if one.share.most is None else 1 - (1 - one.share.most) / _crowded(one)[1] for one in servers]
    known = [one for one in most if one is not None]
    return min(1.0, max(*known, apart)) if len(known) == len(most) else None


def _fronts(rows: Sequence[Row]) -> dict[str, float]:
    deployed = {row.label: found for row in rows if (found := deployment_of(row.entry))}
    return {label: one.share.value for label, one in deployed.items() if one.share is not None}


@dataclass(frozen=True, kw_only=True)
class Apart:
    """Two servers that the table tells apart by their CPU."""

    share: float = 0.0
    """Of the dearer one's CPU; 0 when no two are told apart."""
    dearer: str = ""
    cheaper: str = ""


def _most_apart(panel: Panel, rows: Sequence[Row]) -> Apart:
    """Give the two that differ most of those that the table tells apart."""
    known = [(row.entry.cell, row.label, row.entry.cpu_us.value) for row in rows if row.entry.cpu_us is not None]
    found = [
        Apart(share=1 - cheaper[2] / dearer[2], dearer=dearer[1], cheaper=cheaper[1])
        for cheaper in known
        for dearer in known
        if cheaper[2] < dearer[2] and panel.main.cost.apart(cheaper[0], dearer[0])
    ]
    return max(found, key=lambda one: one.share, default=Apart())


# --- words ----------------------------------------------------------------------------------------------------------


Rows = Sequence[Sequence[str]]


def own_tables(share: OwnShare) -> list[tuple[str, Rows]]:
    """Give title and rows of a table for each request: the app without a server, then each server; and of all."""
    if not share.servers:
        return []
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


def _sentence(found: Shares, win: float | None, apart: Apart, fronts: Mapping[str, float]) -> str:
    """Say how much of the request is the server's, and so what changing it can win at most."""
    text = _opening(found.servers, win, fronts)
    if fronts:
        apart_us = [f"{percent(share)} ({label})" for label, share in fronts.items()]
        text += f" Of all CPU, the front alone is {words.listed(apart_us)}."
    text += f" Your app itself needs {units.microseconds(found.app_us)} of CPU."
    if apart.share > max(one.share.most or 0.0 for one in found.servers):
        text += (
            f" Under the full load {apart.dearer} needs more than {apart.cheaper} ({percent(apart.share)}): "
            f"{_reason(found, apart)}."
        )
    if found.unknown:
        text += f" Of {words.listed(found.unknown)} the share is not known."
    text += _exact(found)
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


def _reason(found: Shares, apart: Apart) -> str:
    """Say why two servers differ by more than their shares: the app itself costs more there, or many at once do."""
    by_label = {one.label: one for one in found.servers}
    dearer, cheaper = by_label.get(apart.dearer), by_label.get(apart.cheaper)
    if found.inside and dearer and cheaper and dearer.app_us - cheaper.app_us > apart.share * dearer.total_us / 2:
        return (
            "your app itself takes longer in that server's process, because of the thread or loop that it runs in, or "
            "where its memory lies there"
        )
    return "threads and connections that contend cost CPU"


def _opening(servers: Sequence[ServerShare], win: float | None, fronts: Mapping[str, float]) -> str:
    """Say the shares, and what follows; a bound only where there are intervals."""
    subject, changing = _subject(servers, fronts)
    if all(one.share.is_guess for one in servers):
        return (
            "How much of the CPU of your request is the server's is not known: what was seen is too little to be told "
            "from nothing without an interval."
        )
    text = f"{subject} {_whose(servers)}"
    if win is None:
        return f"{text}; what {changing} can win at most is not known."
    return f"{text}; {changing} can win {at_most(win)}."


def _exact(found: Shares) -> str:
    """Say how exact the shares are, where that is not at once clear."""
    shares = [one.share for one in found.servers]
    beyond = [
        max(one.high - one.value, one.value - max(one.low, 0.0))
        for one in shares
        if one.low is not None and one.high is not None and not one.is_bound
    ]
    text = ""
    if max(beyond, default=0.0) > NOISY_SHARE:
        text += f" These shares are known to within {percent(max(beyond))} of the whole."
    if not any(one.is_known for one in shares):
        text += (
            " How exact these shares are is not known: that takes two or more blocks in which both were measured in "
            "turn."
        )
    elif found.in_turn and not found.inside:
        text += (
            " Your app was called in a process of its own, where the same code may cost up to "
            f"{percent(ELSEWHERE.of_app)} more or less; that is taken into account."
        )
    return text


def _crowded(one: ServerShare) -> tuple[float, float]:
    """By what factor many requests at once cost more than a few, and at most; 1 where that can't be told."""
    found = one.crowding
    if found is None or found.low is None or found.high is None or found.low <= 1 or found.value <= CROWDED:
        return 1.0, 1.0
    return found.value, found.high


def _crowds(servers: Sequence[ServerShare]) -> str:
    """Say where many long requests at once cost more CPU than a few, as far as that can be told."""
    more = [f"{rounded(_crowded(one)[0] - 1)} under {one.label}" for one in servers if _crowded(one)[0] > 1]
    if not more:
        return ""
    return (
        f" Besides, many requests at once cost more than a few: {words.listed(more)}. That comes on top of "
        "these shares and is in what can be won: threads that take turns cost CPU. Fewer --threads, more --workers or "
        "a server without threads change it."
    )


def _whose(servers: Sequence[ServerShare]) -> str:
    """Say the shares that are known, those that are bounds, and the others, and whose they are."""
    groups = [
        [one for one in servers if one.share.is_known and not one.share.is_bound],
        [one for one in servers if one.share.is_bound],
        [one for one in servers if not one.share.is_known and not one.share.is_guess],
        [one for one in servers if one.share.is_guess],
    ]
    first, *others = [group for group in groups if group]
    figure, whose = _figure(first)
    if not others:
        whose = f" ({first[0].label})" if len(servers) == 1 else ", whichever it is" if first[0].share.is_bound else ""
        return f"{figure} of the CPU of your request{whose}"
    rest = [f"{figure}{whose}" for figure, whose in map(_figure, others)]
    return f"{figure} of the CPU of your request{whose}, and {words.listed(rest)}"


def _figure(group: Sequence[ServerShare]) -> tuple[str, str]:
    """Give what is known of the shares of a group, and whose they are; the latter is empty where the former says it."""
    labels = words.listed([one.label for one in group])
    bounds = [one.share.most for one in group if one.share.is_bound and one.share.most is not None]
    if bounds:
        return at_most(max(bounds)), f" under {labels}"
    least, most = (pick(group, key=lambda one: one.share.value) for pick in (min, max))
    if said(least.share) == said(most.share):
        return said(most.share), f" under {labels}"
    return f"{said(least.share)} ({least.label}) to {said(most.share)} ({most.label})", ""


def _beside(panel: Panel, rows: Sequence[Row], most: float) -> str:
    """Say what differs where the CPU does not: memory, start-up, latency at the fixed rate."""
    if len(rows) < 2 or (most > SMALL_SHARE and _most_apart(panel, rows).share):  # noqa: PLR2004 - a comparison
        return ""
    memory = {row.label: one.value for row in rows if (one := row.entry.pss_bytes or row.entry.uss_bytes)}
    startup = {row.label: row.entry.startup_s.value for row in rows if row.entry.startup_s}
    p99 = {row.label: tail for row in rows if (tail := _p99(row)) is not None}
    at = panel.fixed.key.load.rate_per_s if panel.fixed is not None else None
    ranges = [_range("memory", memory, units.size), _range("start-up", startup, units.seconds)]
    if at is not None:
        ranges.append(_range(f"p99 at {units.asked_rate(at)}", p99, units.microseconds))
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
