"""HttpArena's site/data JSON: one file a profile (a list of rows), or a round (profile -> list of rows).

`threads` are the generator's. `cpu` is in per cent of one CPU, and the file does not say how many CPUs the server had:
the busiest row of the file shows at least how many, which makes nobody look more idle than it was. Profiles of HTTP/2,
HTTP/3, gRPC and WebSocket have many requests under way on a connection, so their connections are left out; those that
stream count messages in the rate and calls by status. Its `reconnects` take time that is in no latency. A p99 that is
the average comes from a profile measured with wrk, which raises its mean afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sgibench.audit.figures import Figures
from sgibench.audit.readers.fields import measured_ms, number, time_ms
from sgibench.audit.readers.material import Material

_OPENING_S = 3.0
"""The longest that one reconnect is believed to take: thousands of connections are opened at once, and a first packet
that is lost comes again after 1 s and then after 2 s more."""
_STREAMS = re.compile(r"(^|-)stream(-|$)")
_MULTIPLEXED = re.compile(r"(^|-)(h2c?|h3|grpc|ws|gateway|production)(-|$)")


def read(material: Material) -> list[Figures]:
    """Read all rows of all profiles; the file's name without its ending is the profile of a plain list."""
    tables = tables_of(material)
    return [row for profile, rows in tables.items() for row in _profile(profile, rows)]


def tables_of(material: Material) -> dict[str, list[Mapping[str, Any]]]:
    """Find rows with a framework and an average latency, by profile."""
    name = material.name.rsplit("/", 1)[-1].removesuffix(".json")
    found = material.documents[0] if material.documents else None
    tables = found if isinstance(found, dict) else {name: found}
    rows: dict[str, list[Mapping[str, Any]]] = {
        str(profile): [row for row in rows if isinstance(row, dict) and "framework" in row and "avg_latency" in row]
        for profile, rows in tables.items()
        if isinstance(rows, list)
    }
    return {profile: found for profile, found in rows.items() if found}


def _profile(profile: str, rows: list[Mapping[str, Any]]) -> list[Figures]:
    busiest = max((_cpus(row) or 0.0 for row in rows), default=0.0)
    return [_row(profile, row, busiest) for row in rows]


def _cpus(row: Mapping[str, Any]) -> float | None:
    found = number(str(row.get("cpu") or "").rstrip("%"), f"{row['framework']}: cpu")
    return None if found is None else found / 100


def _row(profile: str, row: Mapping[str, Any], busiest: float) -> Figures:
    def get(key: str) -> float | None:
        return number(row.get(key), f"{row['framework']}: {key}")

    right = [get("status_2xx"), get("status_3xx")]
    wrong = [get("status_4xx"), get("status_5xx")]
    connections, cpus = get("connections"), _cpus(row)
    duration_ms = time_ms(str(row.get("duration") or ""))
    one_each = connections is not None and not _MULTIPLEXED.search(profile)
    calls = bool(_STREAMS.search(profile))
    mean_ms, p99_ms = measured_ms(str(row.get("avg_latency") or "")), measured_ms(str(row.get("p99_latency") or ""))
    return Figures(
        id=f"{profile}/{row['framework']}",
        label=str(row["framework"]),
        group=profile,
        connections=(connections or 0.0) * (get("pipeline") or 1.0) if one_each else None,
        duration_s=None if duration_ms is None else duration_ms / 1e3,
        mean_raised=mean_ms is not None and mean_ms == p99_ms,
        unseen_s=(get("reconnects") or 0.0) * _OPENING_S,
        requests_ok=None if right == [None, None] or calls else sum(value or 0.0 for value in right),
        errors=None if wrong == [None, None] else sum(value or 0.0 for value in wrong),
        error_text="answers of 4xx and 5xx",
        rps=get("rps"),
        mean_ms=mean_ms,
        p99_ms=p99_ms,
        server_cpu_share=None if cpus is None or not busiest else cpus / busiest,
    )
