"""What several formats share: numbers with units, and JSON values that may be missing or of the wrong type."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_TIMES_MS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
_TIME = re.compile(r"\s*([0-9.]+)\s*(ns|us|µs|ms|s|m|h)\s*")


def time_ms(text: str | None) -> float | None:
    """Read `12.34ms`, `865us`, `1.02s`, `2.00m` as milliseconds; None when there is nothing to read."""
    match = _TIME.fullmatch(text or "")
    return float(match[1]) * _TIMES_MS[match[2]] if match else None


def number(value: object, what: str) -> float | None:
    """Read a JSON number or a CSV field; empty is None, anything else is a ValueError that names the field."""
    if value is None or (isinstance(value, str) and value.strip() in ("", "N/A")):
        return None
    try:
        found = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"{what} is {value!r}, not a number")
    return found


def scaled(value: float | None, factor: float) -> float | None:
    """Multiply what was measured."""
    return None if value is None else value * factor


def json_object(text: str) -> dict[str, Any] | None:
    """Parse a JSON object, or None when the text is something else."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def part(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Look up a member that is an object; an empty one when it is missing or something else."""
    found = parent.get(key)
    return found if isinstance(found, dict) else {}
