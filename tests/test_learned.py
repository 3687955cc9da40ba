"""Answers are learned from real servers before any load: each kind of answer that real apps give, and writes undone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SHOP = """
import itertools, json, os, time, uuid

count, made, rows = itertools.count(), set(), []
KINDS = {
    "/self": lambda environ: json.dumps({"url": "http://%s/self" % environ["HTTP_HOST"], "always": "the same words"}),
    "/token": lambda environ: "<form><input name=csrf value=%s></form>" % uuid.uuid4().hex,
    "/time": lambda environ: "it is " + time.strftime("%Y-%m-%dT%H:%M:%S") + " by the clock on the wall",
    "/grow": lambda environ: rows.append("row") or json.dumps(rows),
    "/note": lambda environ: open("notes.txt", "a").write("x") and "noted",
    "/row": lambda environ: rows.append("row") or "added",
    "/process": lambda environ: "process %d of one of many" % os.getpid(),
    "/last": lambda environ: json.dumps(rows[-3:]),
    "/recent": lambda environ: rows.append("row %d" % len(rows)) or json.dumps(rows[-20:]),
    "/whose": lambda environ: "?" if "waitress" in environ.get("SERVER_SOFTWARE", "") else "the same, whoever asks",
    "/big": lambda environ: "big",
}

def app(environ, start_response):
    path, status = environ["PATH_INFO"], "200 OK"
    if path == "/once":
        body, status = ("made", "201 Created") if path not in made else ("there already", "409 Conflict")
        made.add(path)
    elif path == "/limited":
        body, status = ("fine", "200 OK") if next(count) < 3 else ("slow down", "429 Too Many Requests")
    elif path == "/private":
        body, status = "", "302 Found"
    else:
        body = KINDS[path](environ)
    data = body.encode()
    headers = [("Content-Type", "text/html"), ("Content-Length", str(len(data)))]
    start_response(status, headers + ([("Location", "/login?next=/private")] if path == "/private" else []))
    return [data]
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.py").write_text(SHOP)
    (folder / "requirements.txt").write_text("")
    (folder / "notes.txt").write_text("")
    return folder


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sgibench.cli", "run", "--app", "shop:app", "--blocks", "1", "--window", "0.3"]
    return subprocess.run(
        [*command, "--rate", "none", "--no-control", *words],
        cwd=folder, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        ("GET /once", "it can't be asked many times"),
        ("GET /limited", "limits how often it may be asked"),
        ("GET /grow", "its answer grows each time"),
        ("GET /private 200", "the app answers 302 (to /login): is a login missing?"),
    ],
)
def test_a_request_that_can_not_be_asked_many_times_is_refused_by_its_kind(
    request_: str, kind: str, shop: Path
) -> None:
    done = run(shop, "--server", "waitress", "--request", request_)
    assert done.returncode == 2
    assert kind in done.stderr.splitlines()[-1]
    assert not list(shop.glob("results/*/trials.jsonl"))


def test_what_varies_is_blanked_out_a_write_goes_to_a_copy_and_an_odd_server_is_named_before_any_number(
    shop: Path,
) -> None:
    asked = ("GET /self", "GET /token", "GET /time", "POST /note", "GET /recent")
    big = json.dumps({"request": "GET /big", "header": [f"X-Big: {'b' * 9000}"]})
    servers = ("waitress", "granian-wsgi", "gunicorn-gthread")
    words = [word for one in (*asked, big) for word in ("--request", one)]
    done = run(shop, *words, *(word for name in servers for word in ("--server", name)))
    assert done.returncode == 0, done.stderr
    (folder,) = (shop / "results").glob("2*")
    own = json.loads((folder / "run.json").read_text())["own"]
    assert own["copied"]
    assert (shop / "notes.txt").read_text() == ""
    assert "its port" in own["checks"]["GET /self"]
    assert "ids or tokens" in own["checks"]["GET /token"]
    assert "moments" in own["checks"]["GET /time"]
    assert "it grew 28 times and then no more" in own["checks"]["GET /recent"]
    assert own["checks"]["POST /note"] == "200, the whole body is checked"
    (finding,) = own["findings"]
    assert finding.startswith("gunicorn-gthread answers 431 to GET /big")
    assert done.stderr.index(finding) < done.stderr.index("block 1/1")
    trials = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    status = {trial["server"]: trial["status"] for trial in trials if "server" in trial}
    assert status == {"waitress": "ok", "granian-wsgi": "ok", "gunicorn-gthread": "failed"}


def test_a_server_whose_body_is_another_is_named_and_not_ranked_and_a_misspelt_one_is_refused_first(shop: Path) -> None:
    servers = ("waitress", "granian-wsgi", "gunicorn-gthread")
    done = run(shop, "--request", "GET /whose", *(word for name in servers for word in ("--server", name)))
    assert done.returncode == 0, done.stderr
    assert "found: waitress answers GET /whose with another body than the others: b'?'" in done.stderr
    trials = [
        json.loads(line) for path in shop.glob("results/2*/trials.jsonl") for line in path.read_text().splitlines()
    ]
    assert {trial["server"]: trial["status"] for trial in trials if "server" in trial} == {
        "waitress": "failed",
        "granian-wsgi": "ok",
        "gunicorn-gthread": "ok",
    }
    (shop / "shop.py").write_text("open('started', 'w')\n" + SHOP)
    misspelt = run(shop, "--request", "GET /whose", "--server", "watress")
    assert misspelt.returncode == 2
    assert "waitress" in misspelt.stderr
    assert not (shop / "started").exists()


def test_what_is_read_may_come_before_what_is_written(shop: Path) -> None:
    requests = ("--request", "POST /row", "--request", "9 GET /last", "--request", "GET /process")
    done = run(shop, "--server", "waitress", *requests)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"GET /process: 200, \d\d% of the body stays the same.*varies: numbers", done.stderr), done.stderr
    assert "GET /last: 200, checked by status, type and size" in done.stderr
