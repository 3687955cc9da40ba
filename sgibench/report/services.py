"""What servers used of services: the database's CPU beside their own, connections, pools, and who had to wait for one.

Nothing is judged here. The CPU of a service is counted over exactly the windows of each server; its memory is the whole
instance's, which all servers share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sgibench import stats, units
from sgibench.audit.trials import inside_refuted
from sgibench.model import Estimate, RunInfo, ServiceInfo, Trial
from sgibench.report.charts.bars import Bar, draw_bars
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.inside import inside_words
from sgibench.report.panels import Panel, Row
from sgibench.report.standings import Entry, printable

ANEW = 2
"""Who opened more than so many times the connections of its pool closes them again: a broken one alone is replaced."""


@dataclass(frozen=True, kw_only=True)
class ServiceFigures:
    """One row's use of one service, over its blocks."""

    service: str
    version: str | None
    cpu_us: Estimate | None
    """Of the service, for each request; None for one that existed, as its processes are not ours to read."""
    opened: int | None
    """Most connections that were ever opened in a block."""
    at_once: int | None
    """Most at once."""
    pool: int | None
    """Connections to it that each process of the server may hold; None where an app keeps no pool of them."""
    pss_bytes: float | None
    """Most that the whole instance held."""


def uses_of(entry: Entry) -> list[ServiceFigures]:
    """Say what a row used, service by service."""
    names = dict.fromkeys(one.service for trial in entry.good for one in trial.services)
    return [_figures(entry.good, name) for name in names]


def _figures(trials: Sequence[Trial], name: str) -> ServiceFigures:
    uses = [one for trial in trials for one in trial.services if one.service == name]
    memories = [one.memory.pss_bytes for one in uses if one.memory is not None]
    return ServiceFigures(
        service=name,
        version=next((one.version for one in uses if one.version), None),
        cpu_us=stats.estimate([one.cpu_us_per_request for one in uses if one.cpu_us_per_request]),
        opened=_most(one.connections_opened for one in uses),
        at_once=_most(one.connections_most for one in uses),
        pool=_most(one.pool for one in uses),
        pss_bytes=_most(memories),
    )


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def pool_words(entry: Entry) -> str | None:
    """Say that more requests wanted a connection at once than its pool has; None when none had to wait.

    Nothing is said of a count that the load refutes: the audit doubts it.
    """
    pool = _most(trial.pool for trial in entry.good)
    asking = _most(max(trial.asking) for trial in entry.good if trial.asking and not inside_refuted(trial))
    if pool is None or asking is None or asking <= pool:
        return None
    who = "its threads exceed the pool" if entry.concurrency in {"threads", "greenlets"} else "its requests wait"
    return f"{asking} requests at once wanted one of {units.many(pool, 'connection')}: {who}"


def exceeding(entry: Entry) -> str | None:
    """Say that a server held more connections than the pool that all have, or kept none; None when it did neither."""
    for one in uses_of(entry):
        processes = max((trial.workers for trial in entry.good), default=1)
        if one.pool is None:
            continue
        if one.at_once is not None and one.at_once > one.pool * processes:
            return f"it held {one.at_once} connections, where a pool of {one.pool} was given to all"
        if one.opened is not None and one.opened > ANEW * one.pool * processes:
            given = f"where a pool of {one.pool} was given to all"
            return f"it opened {one.opened:,} connections, {given}: it does not keep them"
    return None


def _rows_with_services(panel: Panel) -> list[tuple[Row, ServiceFigures]]:
    return [(row, one) for row in panel.rows for one in uses_of(row.entry)]


def services_chart(panel: Panel) -> Chart | None:
    """Draw what the services of each row cost; the table has connections, pools and memory."""
    found = _rows_with_services(panel)
    if not found:
        return None
    bars = [
        Bar(
            row=row.key,
            label=_label(row, one, found),
            look=row.look,
            value=None if one.cpu_us is None else one.cpu_us.value,
            low=None if one.cpu_us is None else one.cpu_us.low,
            high=None if one.cpu_us is None else one.cpu_us.high,
            tip=f"{one.service} {units.microseconds(one.cpu_us.value) if one.cpu_us else units.NOT_MEASURED}",
            failure="not measured",
        )
        for row, one in sorted(found, key=lambda pair: pair[1].cpu_us.value if pair[1].cpu_us else 0.0)
    ]
    names = " and ".join(dict.fromkeys(printable(one.version or one.service) for _, one in found))
    title = f"CPU of {names} per request"
    return Chart(
        title=title,
        hint="Shorter is better. It comes on top of the server's own CPU. Memory is that of the whole instance, which "
        "all servers share; a pool is of each process.",
        drawing=draw_bars(
            bars,
            form=units.microseconds,
            prefix=f"{panel.key}v",
            label=alternative(title, [(bar.label, bar.tip) for bar in bars]),
        ),
        table=Table(headers=HEADERS, rows=tuple(_line(row, one) for row, one in found)),
    )


HEADERS = (
    *("server", "service", "its CPU per request", "connections opened", "at once", "pool", "at once inside the app"),
    *("memory of the service", "note"),
)


def _label(row: Row, one: ServiceFigures, found: Sequence[tuple[Row, ServiceFigures]]) -> str:
    several = sum(other is row for other, _ in found) > 1
    return f"{row.label}, {one.service}" if several else row.label


def _line(row: Row, one: ServiceFigures) -> tuple[str, ...]:
    return (
        row.label,
        printable(one.service),
        _cpu(one),
        _count(one.opened),
        _count(one.at_once),
        _count(one.pool),
        inside_words(row.entry) or units.NOT_MEASURED,
        units.size(one.pss_bytes),
        exceeding(row.entry) or pool_words(row.entry) or "",
    )


def _cpu(one: ServiceFigures) -> str:
    return units.NOT_MEASURED if one.cpu_us is None else units.microseconds(one.cpu_us.value)


def _count(value: int | None) -> str:
    return units.NOT_MEASURED if value is None else units.count(value)


def in_short(panel: Panel) -> Table | None:
    """For a terminal: what the services of each row cost, and how many connections there were."""
    lines = [
        (
            row.label,
            printable(one.service),
            _cpu(one),
            f"{_count(one.opened)} / {_count(one.at_once)}",
            _count(one.pool),
        )
        for row, one in _rows_with_services(panel)
    ]
    headers = ("server", "service", "its CPU/request", "opened / at once", "pool")
    return Table(headers=headers, rows=tuple(lines)) if lines else None


def notes_of(panel: Panel) -> list[str]:
    """Sentences about pools that not everybody could do with, the same one once for all whom it concerns."""
    found: dict[str, list[str]] = {}
    for row in panel.rows:
        if told := exceeding(row.entry) or pool_words(row.entry):
            found.setdefault(told, []).append(row.label)
    return [f"{', '.join(labels)}: {told}" for told, labels in found.items()]


def told(info: RunInfo) -> Mapping[str, str]:
    """Say of each service of a run what it is and where it ran."""
    return {name: _told(one) for name, one in info.services.items()}


def _told(one: ServiceInfo) -> str:
    version = one.version or "version not known"
    if not one.private:
        return f"{version}, one that existed: its CPU and memory are not measured"
    source = "" if one.source in {"", "system"} else f" from {one.source}"
    where = f"on CPU {', '.join(map(str, one.cpus))}" if one.cpus else "on any CPU"
    shared = ", which servers run on, too: compare CPU per request rather than requests/s" if one.shared_cpus else ""
    return f"{version}{source}, a private instance {where}{shared}"
