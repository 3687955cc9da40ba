"""An OpenAPI document (3.x) or its elder (Swagger 2.0): the operations that can be called without inventing data.

Values come from examples, defaults, constants and enumerations of the document, or the operation is left out by name of
what is missing. JSON, and YAML by its library.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import yaml

from sgibench.bench.asking import KEPT
from sgibench.bench.sources.source import Source, parse_json, read_source, refuse_none
from sgibench.errors import UsageError
from sgibench.model import Asked

FLAG = "--openapi"
METHODS = ("get", "head", "post", "put", "patch")
"""DELETE can be asked once only."""
WITH_BODY = frozenset({"post", "put", "patch"})
MOST_DEPTH = 30
_NOTHING = object()


def read_openapi(path: Path, *, authorised: bool = False) -> Source:
    """Read a document; `authorised`: the user gives headers, so that operations that need a login may be asked."""
    return operations_of(read_source(FLAG, path), path, authorised=authorised)


def operations_of(data: bytes, named: object, *, authorised: bool = False) -> Source:
    """Find the operations of a document, of which there must be some; raises UsageError."""
    return refuse_none(FLAG, named, described_in(data, named, authorised=authorised))


def described_in(data: bytes, named: object, *, authorised: bool = False) -> Source:
    """Find the operations of a document, and count what is left out; raises UsageError for what is none."""
    document = _parsed(data, named)
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise UsageError(f"{FLAG} {named}: expected an OpenAPI document, an object with paths in it")
    left_out: Counter[str] = Counter()
    asked = []
    for path, method, operation in _operations(document):
        if method == "delete":
            left_out["DELETE, which can be asked once only"] += 1
            continue
        try:
            asked.append(_asked(document, path, method, operation, authorised=authorised))
        except LeftOutError as error:
            left_out[str(error)] += 1
        except (AttributeError, TypeError, ValueError, KeyError, RecursionError):
            left_out["that can't be read"] += 1
    return Source(asked=tuple(dict.fromkeys(asked)), left_out=left_out)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give path, method and description of each operation; what stands beside the methods is for all of them."""
    for path, described in document["paths"].items():
        item = described if isinstance(described, dict) else {}
        for method, operation in item.items():
            if method in {*METHODS, "delete"} and isinstance(operation, dict):
                parameters = [*_list(item.get("parameters")), *_list(operation.get("parameters"))]
                yield f"{_base(document)}{path}", method, {**operation, "parameters": parameters}


class LeftOutError(Exception):
    """Why an operation is not asked."""


def _parsed(data: bytes, named: object) -> Any:
    if data.lstrip()[:1] == b"{":
        return parse_json(FLAG, named, data)
    try:
        document = yaml.safe_load(data)
        if _pieces(document, {}) > MOST_PIECES:
            raise ValueError(f"written out it has more than {MOST_PIECES:,} values")  # noqa: TRY301
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        told = " ".join(str(error).split())[:200]
        raise UsageError(f"{FLAG} {named}: expected JSON or YAML, but {told}") from None
    return document


MOST_PIECES = 1_000_000


def _pieces(value: Any, known: dict[int, int]) -> int:
    """Count the values of a document as it would be written out: a few aliases of YAML can stand for billions.

    One that holds itself never ends, and is refused by the depth that Python allows.
    """
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in known:
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_pieces(each, known) for each in inner)
    return known[id(value)]


def _base(document: dict[str, Any]) -> str:
    """Give the path before all paths."""
    servers = document.get("servers")
    if isinstance(servers, list) and servers and isinstance(servers[0], dict):
        with suppress(ValueError):  # an address that is none has no path
            return urlsplit(str(servers[0].get("url", ""))).path.rstrip("/")
        return ""
    return str(document.get("basePath", "")).rstrip("/")


@dataclass(kw_only=True)
class _Parts:
    """Where the values of an operation's parameters go."""

    path: str
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    kind: str = ""

    def put(self, place: str, name: str, value: Any) -> None:
        """Put one where it belongs."""
        if place == "path":
            self.path = self.path.replace("{" + name + "}", quote(_text(value), safe=""))
        elif place == "query":
            self.query += [(name, _text(each)) for each in (value if isinstance(value, list) else [value])]
        elif place == "header":
            self.headers.append((name, _text(value)))
        elif place == "body":
            self.body, self.kind = json.dumps(value).encode(), "application/json"


def _asked(document: dict[str, Any], path: str, method: str, operation: dict[str, Any], *, authorised: bool) -> Asked:
    """Make the request of one operation; raises LeftOutError."""
    security = operation.get("security", document.get("security"))
    if security and {} not in security and not authorised:
        raise LeftOutError("that need a login (--header 'Authorization: …' brings them in)")
    parts = _Parts(path=path)
    for parameter in (_resolved(each, document) for each in operation["parameters"]):
        name, place, value = str(parameter["name"]), parameter["in"], _value(parameter, document)
        if value is not _NOTHING:
            parts.put(place, name, value)
        elif parameter.get("required"):
            raise LeftOutError(f"whose {place} parameter {name!r} has no example")
    if "{" in parts.path:
        raise LeftOutError("whose path has a parameter that is not described")
    if method in WITH_BODY and not parts.body:
        parts.body, parts.kind = _body(operation, document)
    return Asked(
        method=method.upper(),
        path=quote(parts.path, safe=KEPT) + (f"?{urlencode(parts.query)}" if parts.query else ""),
        headers=(*parts.headers, *((("Content-Type", parts.kind),) if parts.kind else ())),
        body=parts.body,
        status=_status(operation),
    )


def _status(operation: dict[str, Any]) -> int | None:
    """Give the one success that is described, when there is one."""
    codes = [str(code) for code in operation.get("responses", {})]
    good = [int(code) for code in codes if code.isdigit() and code.startswith("2")]
    return good[0] if len(good) == 1 and not any(code[:1] == "3" for code in codes) else None


def _body(operation: dict[str, Any], document: dict[str, Any]) -> tuple[bytes, str]:
    described = _resolved(operation.get("requestBody"), document)
    if not described:
        return b"", ""
    for kind, media in described.get("content", {}).items():
        value = _value(media, document)
        if value is _NOTHING:
            continue
        if kind == "application/x-www-form-urlencoded" and isinstance(value, dict):
            return urlencode({name: _text(each) for name, each in value.items()}).encode(), kind
        if "json" in kind or isinstance(value, str):
            return value.encode() if isinstance(value, str) and "json" not in kind else json.dumps(value).encode(), kind
    if described.get("required") or operation.get("requestBody"):
        raise LeftOutError("whose body has no example")
    return b"", ""


def _value(described: dict[str, Any], document: dict[str, Any], depth: int = 0) -> Any:
    """Find a value that the document gives: an example, a default, a constant, the first of an enumeration."""
    if depth > MOST_DEPTH:
        return _NOTHING
    described = _resolved(described, document)
    for key in ("example", "x-example", "const", "default"):
        if key in described:
            return described[key]
    examples = described.get("examples")
    if isinstance(examples, dict) and examples:
        first = _resolved(next(iter(examples.values())), document)
        return first.get("value", _NOTHING) if isinstance(first, dict) else first
    if isinstance(examples, list) and examples:
        return examples[0]
    if isinstance(described.get("enum"), list) and described["enum"]:
        return described["enum"][0]
    if "schema" in described:
        return _value(described["schema"], document, depth + 1)
    return _object(described, document, depth)


def _object(described: dict[str, Any], document: dict[str, Any], depth: int) -> Any:
    """Put an object together when each property that it must have has a value."""
    properties = described.get("properties")
    if not isinstance(properties, dict):
        return _NOTHING
    found = {name: _value(each, document, depth + 1) for name, each in properties.items()}
    required = described.get("required", [])
    if not required or any(found.get(name, _NOTHING) is _NOTHING for name in required):
        return _NOTHING
    return {name: value for name, value in found.items() if value is not _NOTHING}


def _resolved(value: Any, document: dict[str, Any]) -> Any:
    """Follow references inside the document."""
    for _ in range(MOST_DEPTH):
        if not isinstance(value, dict) or "$ref" not in value:
            return value
        value = _at(str(value["$ref"]), document)
    raise LeftOutError("with references in a circle")


def _at(reference: str, document: dict[str, Any]) -> Any:
    if not reference.startswith("#/"):
        raise LeftOutError("that are described in another file")
    found: Any = document
    for part in reference[2:].split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
