"""Deployments as what they are, client → front → servers, and what the front's share of them is: nothing judged here.

A front's share is a ratio inside one trial, so it needs no comparison; its figures are means over blocks like others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sgibench import stats, units
from sgibench.model import Estimate, FrontShare, Run, Trial
from sgibench.model.terms import Protocol
from sgibench.report import words
from sgibench.report.charts.bars import Bar, draw_bars
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.panels import Panel, Row
from sgibench.report.standings import Entry, printable

LINKS = {"tcp": "loopback TCP", "unix": "a Unix socket"}
ASKED: Mapping[Protocol, str] = {
    "http": "",
    "https": "HTTP/1.1 over TLS",
    "h2c": "HTTP/2 in clear text",
    "h2": "HTTP/2 over TLS",
}
"""What clients ask a front in, where that is another thing than it hands on."""
SPEECH = {"http": "HTTP", "uwsgi": "the uwsgi protocol", "fastcgi": "FastCGI"}


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What a row stands for, when it is more than one server."""

    stations: tuple[str, ...]
    """From the client to the servers, e.g. `client`, `nginx 1.22.1`, `2 × waitress`."""
    servers: int
    """How many stand behind the front."""
    balance: str | None
    """How it spreads requests over several."""
    between: str
    """How clients reach the front, where that is not plain HTTP, and how it reaches the servers."""
    front_us: Estimate | None
    """CPU of the front per request."""
    share: Estimate | None
    """Of the whole deployment's CPU."""
    pss_bytes: Estimate | None
    """Memory of the front."""

    @property
    def chain(self) -> str:
        """In one line."""
        return " → ".join(self.stations)


def deployment_of(entry: Entry) -> Deployment | None:
    """Say what a row stands for; None for a server that is asked directly."""
    fronts = [trial.front for trial in entry.trials if trial.front is not None]
    if not fronts:
        return None
    front = next((one for one in fronts if one.version), fronts[0])
    count = f"{front.backends} × " if front.backends > 1 else ""
    return Deployment(
        stations=("client", f"{front.program} {front.version or ''}".strip(), f"{count}{front.behind}"),
        servers=front.backends,
        balance=front.balance,
        between=_between(front, entry.trials[0].load.protocol),
        front_us=_over(entry.good, _front_us),
        share=_over(entry.good, _share),
        pss_bytes=_over(entry.good, _pss_bytes),
    )


def _between(front: FrontShare, protocol: Protocol) -> str:
    """Say what goes over the wire before and behind a front, and how it spreads it."""
    asked = f"{ASKED[protocol]} up to {front.program}, then " if ASKED[protocol] else ""
    spread = f", {front.balance}" if front.balance else ""
    return printable(f"{asked}{SPEECH[front.speech]} over {LINKS[front.link]}{spread}")


def versions_of(run: Run) -> Mapping[str, tuple[str, ...]]:
    """Program -> its versions, for all fronts of a run."""
    found: dict[str, dict[str, None]] = {}
    for trial in run.trials:
        if trial.front is not None and trial.front.version:
            found.setdefault(trial.front.program, {})[trial.front.version] = None
    return {program: tuple(versions) for program, versions in found.items()}


def _pss_bytes(trial: Trial) -> float | None:
    return trial.front.memory.pss_bytes if trial.front is not None and trial.front.memory is not None else None


def _front_us(trial: Trial) -> float | None:
    share = _share(trial)
    return None if share is None or trial.cpu_us_per_request is None else share * trial.cpu_us_per_request


def _share(trial: Trial) -> float | None:
    if trial.front is None or trial.front.cpu_s is None or not trial.cpu_s:
        return None
    return trial.front.cpu_s / trial.cpu_s


def _over(trials: Iterable[Trial], figure: Callable[[Trial], float | None]) -> Estimate | None:
    values = [value for trial in trials if (value := figure(trial))]
    return stats.estimate(values)


def fronts_chart(panel: Panel) -> Chart | None:
    """Draw CPU per request with the front's part of it; nothing where no server stands behind one."""
    found = {row.key: deployment_of(row.entry) for row in panel.rows}
    rows = [row for row in panel.rows if row.entry.cpu_us is not None]
    if not any(found[row.key] for row in rows):
        return None
    rows.sort(key=lambda row: row.entry.cpu_us.value if row.entry.cpu_us else 0.0)
    bars = [_bar(row, found[row.key]) for row in rows]
    title = words.counted("CPU per request: the front, and the servers behind it", panel.unit)
    headers = ("server", "deployment", "CPU per request", "of it the front", "share", "memory of the front")
    return Chart(
        title=title,
        hint="Strong part: the front’s. A server that is asked directly has none.",
        drawing=draw_bars(
            bars,
            form=units.microseconds,
            prefix=f"{panel.key}f",
            label=alternative(title, [(bar.label, bar.tip) for bar in bars]),
        ),
        table=Table(
            headers=tuple(words.counted(head, panel.unit) for head in headers),
            rows=tuple(_line(row, found[row.key]) for row in rows),
        ),
    )


def _bar(row: Row, deployment: Deployment | None) -> Bar:
    whole = row.entry.cpu_us
    front = deployment.front_us if deployment else None
    tip = units.microseconds(whole.value if whole else None)
    if deployment is not None and front is not None:
        tip += f", of it {units.microseconds(front.value)} in {deployment.stations[1]}"
    value = whole.value if whole else None
    return Bar(row=row.key, label=row.label, look=row.look, value=value, part=front.value if front else None, tip=tip)


def _line(row: Row, deployment: Deployment | None) -> tuple[str, ...]:
    whole = units.microseconds(row.entry.cpu_us.value if row.entry.cpu_us else None)
    if deployment is None:
        return (row.label, "client → " + row.entry.server, whole, "–", "–", "–")
    front, share, memory = deployment.front_us, deployment.share, deployment.pss_bytes
    return (
        row.label,
        deployment.chain,
        whole,
        units.microseconds(front.value if front else None),
        units.percent(share.value if share else None),
        units.size(memory.value if memory else None),
    )
