"""The user's requests as a file: what the engine writes and the load process reads, like a scenario of the catalogue.

Its folder's name follows from its contents, so that one path never means two scenarios; its own is the scenario's.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sgibench.errors import ResultsError
from sgibench.model import Asked, AskedScenario, Expectation

SUFFIX = ".asked"


def write_asked(folder: Path, scenario: AskedScenario) -> Path:
    """Write a scenario into a folder; returns its path."""
    data = {
        "id": scenario.id,
        "summary": scenario.summary,
        "interfaces": list(scenario.interfaces),
        "requests": [_encode(asked) for asked in scenario.requests],
    }
    text = json.dumps(data, indent=1)
    path = folder / hashlib.sha256(text.encode()).hexdigest()[:12] / f"{scenario.id}{SUFFIX}"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def read_asked(path: Path) -> AskedScenario:
    """Read a scenario; raises ResultsError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return AskedScenario(
            id=str(data["id"]),
            summary=str(data["summary"]),
            interfaces=tuple(data["interfaces"]),
            requests=tuple(_decode(each) for each in data["requests"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path}: no file of requests: {error}") from None


def is_asked(path: Path) -> bool:
    """Whether a path names such a file."""
    return path.name.endswith(SUFFIX)


def _encode(asked: Asked) -> dict[str, Any]:
    expected = asked.expectation
    return {
        "method": asked.method,
        "path": asked.path,
        "weight": asked.weight,
        "headers": [list(pair) for pair in asked.headers],
        "body": _text(asked.body),
        "status": asked.status,
        "example": _text(asked.example),
        "twin": asked.twin,
        "expectation": None
        if expected is None
        else {
            "status": expected.status,
            "content_type": expected.content_type,
            "pieces": None if expected.pieces is None else [_text(piece) for piece in expected.pieces],
            "least_bytes": expected.least_bytes,
            "most_bytes": expected.most_bytes,
        },
    }


def _decode(data: Mapping[str, Any]) -> Asked:
    expected = data["expectation"]
    return Asked(
        method=data["method"],
        path=data["path"],
        weight=data["weight"],
        headers=tuple((name, value) for name, value in data["headers"]),
        body=_bytes(data["body"]),
        status=data["status"],
        example=_bytes(data["example"]),
        twin=data["twin"],
        expectation=None
        if expected is None
        else Expectation(
            status=expected["status"],
            content_type=expected["content_type"],
            pieces=None if expected["pieces"] is None else tuple(_bytes(piece) for piece in expected["pieces"]),
            least_bytes=expected["least_bytes"],
            most_bytes=expected["most_bytes"],
        ),
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
