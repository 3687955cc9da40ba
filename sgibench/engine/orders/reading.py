"""Answers of the load process, read: JSON words in, the engine's nouns out, and an error for what does not fit."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sgibench.engine.orders.told import Measured, Step
from sgibench.errors import CeilingError, DeclarationError, LoadError, LoadLostError, SgibenchError
from sgibench.model import Exchange, Interface, Scenario, Terms
from sgibench.model.behaviour import Watched
from sgibench.results.codec import decode


def error_of(line: Mapping[str, Any]) -> SgibenchError:
    """Give the error that the load process met: a declaration's where it is the user's, else the load's own."""
    kinds: dict[str, type[SgibenchError]] = {
        one.__name__: one for one in (DeclarationError, CeilingError, LoadLostError)
    }
    kind = kinds.get(str(line.get("kind")), LoadError)
    message = str(line.get("message", "no reason was given"))
    if line.get("traceback"):
        message = f"{message}\n{line['traceback']}"
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


def step_of(line: Mapping[str, Any]) -> Step:
    """Read how far an order is."""
    return Step(target=line["target"], phase=line["phase"], done=float(line["done"]), alone=bool(line["alone"]))


def scenario_of(data: Mapping[str, Any]) -> Scenario:
    """Read what was found in a scenario file."""
    interfaces: tuple[Interface, ...] = tuple(data["interfaces"])
    return Scenario(
        id=data["id"],
        summary=data["summary"],
        path=Path(data["path"]),
        exchanges=tuple(_exchange(exchange) for exchange in data["exchanges"]),
        floor_s=float(data["floor_s"]),
        interfaces=interfaces,
        timeout_s=data.get("timeout_s"),
        watched=decode(Watched, data.get("watched") or {}),
        jobs=bool(data.get("jobs")),
        services=tuple(data.get("services") or ()),
        rows={str(name): int(count) for name, count in (data.get("rows") or {}).items()},
        pieces=None if data.get("pieces") is None else {str(k): int(v) for k, v in data["pieces"].items()},
        terms=decode(Terms, data.get("terms") or {}),
    )


def _exchange(data: Mapping[str, Any]) -> Exchange:
    expected = data["expected_b64"]
    return Exchange(
        name=data["name"],
        method=data["method"],
        path=data["path"],
        headers=tuple((str(name), str(value)) for name, value in data["headers"]),
        body=base64.b64decode(data["body_b64"]),
        status=int(data["status"]),
        expected_body=None if expected is None else base64.b64decode(expected),
        weight=int(data["weight"]),
        gives=tuple(data["gives"]),
        least_s=float(data.get("least_s", 0.0)),
    )


def measured_of(data: Mapping[str, Any]) -> Measured:
    """Read what was seen of one target; raises LoadError."""
    gave_up = data.get("gave_up") or {}
    try:
        return decode(
            Measured, {**data, "gave_up_reason": gave_up.get("reason"), "gave_up_detail": gave_up.get("detail", "")}
        )
    except ValueError as error:
        raise LoadError(f"the load process answered outside its protocol: {error}") from None
