"""docs/your-app.md is true: its examples, real apps from the package index, work in an empty folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parent.parent / "docs" / "your-app.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- app: (\w+) -->\n```sh\n(.*?)```", PAGE, re.DOTALL))
SERVERS = {
    "httpbin": ("waitress", "granian-wsgi"),
    "pypiserver": ("gunicorn-gthread",),
    "datasette": ("uvicorn-httptools", "daphne"),
    "django": ("waitress", "gunicorn-gthread"),
    "fastapi": ("uvicorn-h11", "hypercorn-uvloop"),
}
QUICKLY = "--blocks 1 --window 0.3s --connections 4 --rate none --no-control --json"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_the_page_works_in_an_empty_folder(name: str, tmp_path: Path) -> None:
    first, second = EXAMPLES[name].strip().splitlines()
    made = subprocess.run(["/bin/sh", "-c", first], cwd=tmp_path, capture_output=True, check=False, text=True)
    assert made.returncode == 0, made.stderr
    servers = " ".join(f"--server {server}" for server in SERVERS[name])
    command = second.replace("sgibench", f"'{sys.executable}' -m sgibench.cli", 1) + f" {QUICKLY} {servers}"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {row["server"] for group in told["summary"]["groups"] for row in group["rows"]} == set(SERVERS[name])
    assert all(row["status"] == "ok" for group in told["summary"]["groups"] for row in group["rows"]), done.stderr
    (share,) = told["summary"]["own"]
    assert "of the CPU of your request" in share["text"]
    assert share["win"] is None, "one block gives no interval, and without one no bound is said"
    assert not re.search(r"can win (at most|less than) \d", share["text"])
    assert {one["label"] for one in share["servers"]} == set(SERVERS[name])
    run = json.loads((tmp_path / told["run"] / "run.json").read_text(encoding="utf-8"))
    assert run["own"]["costs"]


def test_every_example_is_tried() -> None:
    assert set(EXAMPLES) == set(SERVERS)
