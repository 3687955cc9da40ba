"""Requests that others wrote down: nothing is invented, and what is left out is counted and named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench.bench.sources import read_access_log, read_har, read_openapi
from sgibench.errors import UsageError

HOST = "http://127.0.0.1:8000"


def entry(url: str, status: int = 200, kind: str = "text/html", method: str = "GET", **more: Any) -> dict[str, Any]:
    request = {"method": method, "url": url, "headers": more.pop("headers", []), **more.pop("request", {})}
    return {"request": request, "response": {"status": status, "content": {"mimeType": kind}}, **more}


def har(tmp_path: Path, *entries: dict[str, Any]) -> Path:
    path = tmp_path / "session.har"
    path.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}))
    return path


def test_a_har_gives_the_own_hosts_requests_weighted_and_counts_what_it_leaves_out(
    tmp_path: Path,
) -> None:
    found = read_har(har(
        tmp_path,
        entry(f"{HOST}/"), entry(f"{HOST}/api?page=2", kind="application/json"), entry(f"{HOST}/api?page=2"),
        entry("https://cdn.example.org/lib"), entry(f"{HOST}/app.js", kind="text/javascript"),
        entry(f"{HOST}/seen", _fromCache="disk"), entry(f"{HOST}/kept", _fetchType="Memory Cache"),
        entry(f"{HOST}/not-modified", 304), entry(f"{HOST}/broken", 0),
        entry(f"{HOST}/gone", 404), entry(f"{HOST}/old", 302), {"odd": 1},
    ))  # fmt: skip
    assert [(one.weight, one.name, one.status) for one in found.asked] == [
        (1, "GET /", 200), (2, "GET /api?page=2", 200), (1, "GET /old", 302),
    ]  # fmt: skip
    assert found.left_out == {
        "to other hosts than 127.0.0.1:8000": 1, "for static files": 1, "from the browser's cache": 3,
        "that were aborted or got no answer": 1, "that were answered 400 or more": 1, "that no browser writes": 1,
    }  # fmt: skip


def test_a_har_keeps_bodies_and_cookies_and_drops_what_belongs_to_connection_and_cache(tmp_path: Path) -> None:
    headers = [
        {"name": name, "value": value}
        for name, value in (
            ("Cookie", "a=1"), ("Content-Type", "application/json"), (":authority", "x"), ("Host", "x"),
            ("If-None-Match", "1"), ("Accept-Encoding", "br"), ("sec-fetch-mode", "cors"), ("Content-Length", "2"),
        )
    ]  # fmt: skip
    posted = {"postData": {"mimeType": "application/json", "text": "{}"}}
    form = {"postData": {"mimeType": "x", "params": [{"name": "a", "value": "b c"}]}}
    found = read_har(har(
        tmp_path,
        entry(f"{HOST}/items", 201, method="POST", headers=headers, request=posted),
        entry(f"{HOST}/form", method="POST", request=form),
    ))  # fmt: skip
    assert found.asked[0].headers == (("Cookie", "a=1"), ("Content-Type", "application/json"))
    assert [one.body for one in found.asked] == [b"{}", b"a=b+c"]


LINES = {
    "common": '127.0.0.1 - - [10/Oct/2026:13:55:36 +0000] "GET /items/{} HTTP/1.1" 200 2326',
    "combined": '::1 - bob [10/Oct/2026:13:55:36 +0000] "GET /items/{} HTTP/2.0" 200 2326 "http://e.org/" "X (Y)"',
    "with a time": '10.0.0.1 - - [10/Oct/2026:13:55:36 +0000] "GET /items/{} HTTP/1.1" 200 23 "-" "curl" 0.012',
    "with a virtual host": 'shop.org:443 10.0.0.1 - - [10/Oct/2026:13:55:36 +0000] "GET /items/{} HTTP/1.1" 200 23',
    "uvicorn": 'INFO:     127.0.0.1:51234 - "GET /items/{} HTTP/1.1" 200 OK',
    "in colours": 'INFO: 1.2.3.4:5 - "\x1b[1mGET /items/{} HTTP/1.1\x1b[0m"\x1b[32m 200 OK\x1b[0m',
    "absolute": '10.0.0.1 - - [10/Oct/2026:13:55:36 +0000] "GET http://shop.org/items/{} HTTP/1.1" 200 23',
}


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("packed", [False, True])
def test_an_access_log_groups_ids_and_weighs_by_how_often_each_occurs(kind: str, packed: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter of the test
    line = LINES[kind]
    lines = [line.format(number) for number in (1, 2, 2, 3)] + [line.replace("/items/{}", "/about")] * 2
    lines += [
        line.replace("GET", "POST").format(1), line.format("x.css"), line.replace(" 200", " 404").format(9),
        line.replace("/items/{}", "/users/0b5c7a3e-1111-4222-8333-944455566677/cart?b=1&a=2"),
    ]  # fmt: skip
    data = "\n".join(lines).encode()
    path = tmp_path / "access.log"
    path.write_bytes(gzip.compress(data) if packed else data)
    found = read_access_log(path)
    assert [(one.weight, one.name) for one in found.asked] == [
        (4, "GET /items/2"), (2, "GET /about"), (1, "GET /users/0b5c7a3e-1111-4222-8333-944455566677/cart?b=1&a=2"),
    ]  # fmt: skip
    assert found.left_out == {
        "POST requests, which may change something": 1, "for static files": 1, "that were answered 400 or more": 1,
    }  # fmt: skip


def test_only_the_most_frequent_requests_of_a_log_are_taken_and_the_rest_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("\n".join(LINES["common"].replace("items/{}", f"page-{n}") for n in "abcde" for _ in range(ord(n))))
    found = read_access_log(path, top=1)
    assert [one.name for one in found.asked] == ["GET /page-e"]
    assert sum(found.left_out.values()) == sum(map(ord, "abcd"))


DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "servers": [{"url": "https://shop.org/v1/"}],
    "paths": {
        "/items": {
            "get": {"parameters": [{"name": "q", "in": "query", "required": True, "schema": {"default": "a b"}}],
                    "responses": {"200": {}}},
            "post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/Item"}}}},
                     "responses": {"201": {}}},
        },
        "/items/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
            "get": {"responses": {"200": {}}},
            "delete": {"responses": {"204": {}}},
        },
        "/users/{name}": {
            "get": {"parameters": [{"name": "name", "in": "path", "required": True, "example": "a/b"}]},
        },
        "/me": {"get": {"security": [{"token": []}], "responses": {"200": {}}}},
        "/far": {"get": {"parameters": [{"$ref": "other.yaml#/x"}], "responses": {}}},
        "/round": {"get": {"parameters": [{"$ref": "#/loop"}], "responses": {}}},
    },
    "loop": {"$ref": "#/loop"},
    "components": {"Item": {"required": ["name"], "properties": {
        "name": {"type": "string", "examples": ["Pen"]}, "price": {"type": "number"}}}},
}  # fmt: skip


@pytest.mark.parametrize("as_yaml", [False, True])
def test_a_document_gives_the_operations_that_need_no_invented_data(as_yaml: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter of the test
    path = tmp_path / "api"
    path.write_text(("# a comment makes it YAML\n" if as_yaml else "") + json.dumps(DOCUMENT))
    found = read_openapi(path)
    assert [(one.name, one.status, one.body) for one in found.asked] == [
        ("GET /v1/items?q=a+b", 200, b""),
        ("POST /v1/items", 201, b'{"name": "Pen"}'),
        ("GET /v1/users/a%2Fb", None, b""),
    ]
    assert sum(found.left_out.values()) == 5
    assert found.left_out["whose path parameter 'id' has no example"] == 1
    assert "GET /v1/me" in {one.name for one in read_openapi(path, authorised=True).asked}


@pytest.mark.parametrize("read", [read_har, read_access_log, read_openapi])
@pytest.mark.parametrize(
    "data",
    [
        b"", b"   \n", b"{}", b"[]", b"null", b"\x00\xff\xfe", b"{" * 100_000, b'{"log": {"entries": []}}',
        b'{"log": {"entries": [1, null, {"request": 3}]}}', b'{"paths": {"/": 3, "/x": {"get": 3}}}',
        b"2026-01-01 something else entirely\n" * 20, b"\x1f\x8b broken", b"a: &a [*a, *a]", b"- : [",
    ],
)  # fmt: skip
def test_a_file_that_holds_no_requests_is_one_line(read: Any, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("read", [read_har, read_access_log, read_openapi])
def test_a_folder_and_a_missing_file_are_one_line(read: Any, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match=r"expected a file|No such file"):
            read(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["log", "entries", "request", "response", "url", "method", "headers", "name", "value", "status", "content",
         "paths", "/x", "get", "post", "parameters", "in", "schema", "$ref", "requestBody", "example", "security"],
    ), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(JSON)
def test_whatever_json_comes_is_requests_or_one_line(value: Any) -> None:
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - hypothesis calls this often; a fixture would be shared

    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for wrapped in (value, {"log": {"entries": [value]}}, {"paths": {"/x": {"get": value}}}):
            path.write_text(json.dumps(wrapped))
            for read in (read_har, read_openapi):
                try:
                    assert read(path).asked
                except UsageError:
                    continue


def test_a_few_aliases_that_stand_for_billions_and_an_address_that_is_none_are_told(tmp_path: Path) -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 10))
    path = tmp_path / "bomb.yaml"
    body = "{content: {application/json: {example: *l9}}}"
    path.write_text(f"l0: &l0 [x]\n{levels}paths: {{/x: {{post: {{requestBody: {body}}}}}}}\n")
    with pytest.raises(UsageError, match="written out it has more than"):
        read_openapi(path)
    path.write_text('{"servers": [{"url": "http://[::1"}], "paths": {"/x": {"get": {}}}}')
    assert [one.path for one in read_openapi(path).asked] == ["/x"]
