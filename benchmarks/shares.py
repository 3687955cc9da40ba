"""Whether the interval of a server's share holds the truth: apps that only compute, beside requests that do nothing.

What a server needs for a request that does nothing is what it needs for a long one, too, so the truth about the long
one is known from the same run: nearly all of the CPU is the app's. Each case is a run of `sgibench run` of its own.

    python benchmarks/shares.py                        # all cases, about two minutes each
    python benchmarks/shares.py --only 20ms-wsgi --blocks 6
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sgibench.report.own import OwnShare, own_shares
from sgibench.report.panels import view_of
from sgibench.results import store

WSGI = """
def work(rounds):
    total = 0
    for n in range(rounds):
        total += n * n % 7
    return total

def app(environ, start_response):
    body = str(work({rounds} if environ["PATH_INFO"] == "/long" else 1)).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
ASGI = """
def work(rounds):
    total = 0
    for n in range(rounds):
        total += n * n % 7
    return total

async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = str(work({rounds} if scope["path"] == "/long" else 1)).encode()
    head = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({{"type": "http.response.start", "status": 200, "headers": head}})
    await send({{"type": "http.response.body", "body": body}})
"""
ROUNDS_PER_MS = 20_000
"""About."""
THREADS = ("waitress", "gunicorn-gthread", "granian-wsgi")
LOOPS = ("uvicorn-httptools", "hypercorn-uvloop", "granian-asgi")


@dataclass(frozen=True, kw_only=True)
class Case:
    """An app, and how it is served."""

    source: str
    ms: float
    servers: tuple[str, ...]
    options: tuple[str, ...] = ()


CASES = {
    **{f"{ms}ms-wsgi": Case(source=WSGI, ms=ms, servers=THREADS) for ms in (1, 6, 20)},
    **{f"{ms}ms-asgi": Case(source=ASGI, ms=ms, servers=LOOPS) for ms in (1, 6, 20)},
    "6ms-wsgi-64": Case(source=WSGI, ms=6, servers=THREADS, options=("--connections", "64")),
    "6ms-wsgi-1-thread": Case(source=WSGI, ms=6, servers=THREADS, options=("--threads", "1")),
    "6ms-wsgi-2-workers": Case(source=WSGI, ms=6, servers=THREADS[1:], options=("--workers", "2")),
    "6ms-asgi-2-workers": Case(source=ASGI, ms=6, servers=LOOPS[:1], options=("--workers", "2")),
}


def measured(case: Case, blocks: int, folder: Path) -> OwnShare:
    """Run it."""
    (folder / "busy.py").write_text(case.source.format(rounds=round(case.ms * ROUNDS_PER_MS)), encoding="utf-8")
    words = ["run", "--app", "busy:app", "--request", "GET /long", "--request", "GET /short", "--rate", "none"]
    words += ["--no-control", "--json", "--blocks", str(blocks), *case.options]
    words += [word for server in case.servers for word in ("--server", server)]
    command = [sys.executable, "-m", "sgibench.cli", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    (share,) = own_shares(view_of(store.read_run(folder / json.loads(done.stdout)["run"])))
    return share


def main() -> None:
    """Run the cases and say of each server what was claimed and what is true."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=CASES, help="this case; may be repeated")
    parser.add_argument("--blocks", type=int, default=3)
    options = parser.parse_args()
    held = claims = 0
    for name in options.only or CASES:
        with tempfile.TemporaryDirectory() as folder:
            share = measured(CASES[name], options.blocks, Path(folder))
        costs = {one.request: {each.label: each for each in one.under} for one in share.requests}
        for label, under in costs["GET /long"].items():
            low, high = under.share.low or 0.0, under.share.high or 1.0
            truth = costs["GET /short"][label].cpu_us.value / under.cpu_us.value
            claims, held = claims + 1, held + (low <= truth <= high)
            print(
                f"{name:20} {label:20} long {under.cpu_us.value / 1e3:7.2f} ms, true share {truth:6.2%}, claimed "
                f"{low:7.2%} to {high:6.2%}: {'holds' if low <= truth <= high else 'DOES NOT HOLD'}",
                flush=True,
            )
        print(f"{name:20} {share.text}", flush=True)
    print(f"{held} of {claims} intervals hold the truth")


if __name__ == "__main__":
    main()
