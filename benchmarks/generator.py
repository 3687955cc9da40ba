"""How fast is the load generator itself? Every client against the same server, in one run, interleaved.

    python benchmarks/generator.py              # a table
    python benchmarks/generator.py --json       # a list of {client, rps, cpu_us_per_request, ratio_to_wrk}
    python benchmarks/generator.py --protocol h2c   # h2load and sgibench over HTTP/2, against nginx
    python benchmarks/generator.py --scenario json --scenario site   # scenarios beside one another

One core each: the server on one CPU, the client on another. Clients take turns in random order, round after round, so
that what drifts drifts under all of them. `ratio_to_wrk` compares requests per second *and CPU-second of the client*,
that is per core of the generator, as the median of the rounds; on a machine where the server is slower than the
client, requests per second alone would compare the server with itself. wrk checks nothing but the status; the two
paths of sgibench check every byte of every answer.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

CONNECTIONS = 32
FEW = 4
"""Connections over HTTP/2, with as many streams in all as there are connections over HTTP/1.1."""
LOADS: dict[str, dict[str, Any]] = {
    "http": {"kind": "closed", "connections": CONNECTIONS},
    "h2c": {"kind": "closed", "connections": FEW, "protocol": "h2c", "streams": CONNECTIONS // FEW},
}
OURS = {"tasks": "sgibench task path", "declared": "sgibench declared path"}
HELLO = b'{"message":"Hello, World!"}'
PATTERN = b"0123456789abcdef"
PATH = "/json"

DECLARED = """
from pathlib import Path
from sgibench.load.user import BenchUser, get
class Declared(BenchUser):
    requests = (get("/json", expect=Path(__file__).with_name("body").read_bytes()),)
"""
TASKS = """
from pathlib import Path
from locust import task
from sgibench.load.user import BenchUser
BODY = Path(__file__).with_name("body").read_bytes()
class Tasks(BenchUser):
    @task
    def ask(self):
        self.client.get("/json", expect=BODY)
"""
STOCK = """
import json, sys, time
from pathlib import Path
import gevent
from locust import FastHttpUser, HttpUser, constant, task
from locust.env import Environment
body = Path(__file__).with_name("body").read_bytes()
base = {"HttpUser": HttpUser, "FastHttpUser": FastHttpUser}[sys.argv[1]]
class Stock(base):
    wait_time = constant(0)
    @task
    def ask(self):
        with self.client.get("/json", catch_response=True) as answer:
            if answer.content != body:
                answer.failure("wrong body")
environment = Environment(user_classes=[Stock], host=sys.argv[2])
runner = environment.create_local_runner()
runner.start(int(sys.argv[3]), spawn_rate=1000)
gevent.sleep(1.0)
requests, cpu, at = runner.stats.num_requests, time.process_time(), time.monotonic()
gevent.sleep(float(sys.argv[4]))
requests = runner.stats.num_requests - requests
print(json.dumps({"requests": requests, "cpu_s": time.process_time() - cpu, "window_s": time.monotonic() - at,
                  "errors": runner.stats.num_failures}), flush=True)
import os
os._exit(0)
"""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One turn of one client."""

    requests: float
    window_s: float
    cpu_s: float
    errors: int = 0

    @property
    def rps(self) -> float:
        """Requests per second."""
        return self.requests / self.window_s

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of the client per request."""
        return self.cpu_s / self.requests * 1e6


Client = Callable[[str, int, float], Ran]
"""Takes host, port and the length of its turn in seconds."""


def pinned(argv: list[str], cpu: int | None) -> list[str]:
    """Put a command on one CPU, where that is possible."""
    return argv if cpu is None or not shutil.which("taskset") else ["taskset", "-c", str(cpu), *argv]


class Turns:
    """The clients of this machine."""

    def __init__(self, cpu: int | None, scratch: Path, body: bytes, protocol: str = "http") -> None:
        self.cpu = cpu
        self.protocol = protocol
        (scratch / "body").write_bytes(body)
        self.scratch = scratch
        self._load: subprocess.Popen[str] | None = None
        for name, text in (("declared", DECLARED), ("tasks", TASKS), ("stock", STOCK)):
            (scratch / f"{name}.py").write_text(text)

    def clients(self) -> dict[str, Client]:
        """Name -> client, those that are installed."""
        found: dict[str, Client] = {}
        if self.protocol == "h2c":
            if shutil.which("h2load"):
                found["h2load"] = self.h2load
            for name in ("tasks", "declared"):
                found[OURS[name]] = partial(self.ours, name)
            return found
        if shutil.which("wrk"):
            found["wrk"] = self.wrk
        if shutil.which("h2load"):
            found["h2load"] = self.h2load
        if shutil.which("hey"):
            found["hey"] = self.hey
        found["Locust HttpUser"] = lambda *turn: self.stock("HttpUser", *turn)
        found["Locust FastHttpUser"] = lambda *turn: self.stock("FastHttpUser", *turn)
        for name in ("tasks", "declared"):
            found[OURS[name]] = partial(self.ours, name)
        return found

    def _timed(self, argv: list[str]) -> tuple[str, float]:
        """Run a program that does nothing but load; its output and CPU seconds."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(pinned(argv, self.cpu), capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def wrk(self, host: str, port: int, turn_s: float) -> Ran:
        """wrk, one thread."""
        seconds = max(1, round(turn_s))
        out, cpu_s = self._timed(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", f"http://{host}:{port}{PATH}"])
        match = re.search(r"(\d+) requests in ([\d.]+)s", out)
        errors = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        if match is None:
            raise SystemExit(f"wrk said something unexpected: {out}")
        return Ran(
            requests=int(match[1]), window_s=float(match[2]), cpu_s=cpu_s, errors=int(errors[1]) if errors else 0
        )

    def h2load(self, host: str, port: int, turn_s: float) -> Ran:
        """h2load, one thread; it can't warm up for less than a second, so it does not."""
        seconds = max(1, round(turn_s))
        how = ["--h1", f"-c{CONNECTIONS}"] if self.protocol == "http" else [f"-c{FEW}", f"-m{CONNECTIONS // FEW}"]
        out, cpu_s = self._timed(["h2load", *how, "-t1", f"-D{seconds}", f"http://{host}:{port}{PATH}"])
        match = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded", out)
        if match is None:
            raise SystemExit(f"h2load said something unexpected: {out}")
        return Ran(requests=int(match[2]), window_s=seconds, cpu_s=cpu_s, errors=int(match[1]) - int(match[2]))

    def hey(self, host: str, port: int, turn_s: float) -> Ran:
        """Hey on one CPU."""
        out, cpu_s = self._timed(
            [
                "hey",
                "-cpus",
                "1",
                "-c",
                f"{CONNECTIONS}",
                "-z",
                f"{turn_s:g}s",
                "-o",
                "csv",
                f"http://{host}:{port}{PATH}",
            ]
        )
        return Ran(requests=max(1, out.count("\n") - 1), window_s=turn_s, cpu_s=cpu_s)

    def stock(self, user: str, host: str, port: int, turn_s: float) -> Ran:
        """One of Locust's own users, Locust used as a library; CPU is read after its start."""
        argv = [sys.executable, str(self.scratch / "stock.py"), user, f"http://{host}:{port}"]
        out, _ = self._timed([*argv, str(CONNECTIONS), str(turn_s)])
        return Ran(**json.loads(out.splitlines()[-1]))

    def ours(self, scenario: str, host: str, port: int, turn_s: float) -> Ran:
        """One of sgibench's two paths, in the load process that benchmarks use."""
        answer = self._ask(
            {
                "do": "measure",
                "scenario": str(self.scratch / f"{scenario}.py"),
                "targets": [{"id": "target", "host": host, "port": port, "pids": []}],
                "load": LOADS[self.protocol],
                "slice_s": None,
                "window_s": turn_s,
                "warmup_s": 1.0,
                "identify": False,
            }
        )
        if answer["did"] != "measure":
            raise SystemExit(f"the load process failed: {answer}")
        target = answer["targets"][0]
        return Ran(
            requests=target["requests"],
            window_s=target["window_s"],
            cpu_s=target["generator_cpu_s"],
            errors=sum(target["errors"].values()),
        )

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._load is None:
            argv = pinned([sys.executable, "-m", "sgibench.load"], self.cpu)
            self._load = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        if self._load.stdin is None or self._load.stdout is None:
            raise AssertionError("both are pipes")
        self._load.stdin.write(json.dumps(order) + "\n")
        for line in self._load.stdout:
            answer: dict[str, Any] = json.loads(line)
            if "did" in answer:
                return answer
        raise SystemExit("the load process ended")

    def scenario(self, name: str, turn_s: float) -> Ran:
        """One scenario of the catalogue, as every run calibrates it: against prepared answers, each of them checked."""
        path = Path(__file__).parent.parent / "scenarios" / f"{name}.py"
        answer = self._ask({"do": "calibrate", "scenario": str(path), "window_s": turn_s})
        if answer["did"] != "calibrate":
            raise SystemExit(f"the load process failed: {answer}")
        return Ran(requests=answer["requests"], window_s=turn_s, cpu_s=answer["cpu_s"])

    def close(self) -> None:
        """End the load process."""
        if self._load is not None and self._load.stdin is not None:
            self._load.stdin.close()
            self._load.wait()


LARGEST_RETURN = 2048
"""nginx reads no longer words than 4 KiB in its configuration."""
NGINX = """
daemon off; worker_processes 1; pid {scratch}/nginx.pid; error_log {scratch}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 75s; default_type application/json;
  client_body_temp_path {scratch}; proxy_temp_path {scratch}; fastcgi_temp_path {scratch};
  uwsgi_temp_path {scratch}; scgi_temp_path {scratch};
  server {{ listen 127.0.0.1:{port} backlog=1024{speaking}; location / {{ {how} }} }}
}}
"""


@contextmanager
def nginx(scratch: Path, cpu: int | None, body: bytes, protocol: str = "http") -> Iterator[tuple[str, int]]:
    """Run nginx with one worker; host and port. Small bodies come from its memory, large ones from a file."""
    port = free_port()
    config = scratch / "nginx.conf"
    (scratch / "www").mkdir()
    (scratch / "www" / PATH.strip("/")).write_bytes(body)
    how = f"return 200 '{body.decode()}';" if len(body) < LARGEST_RETURN else f"root {scratch}/www; sendfile on;"
    speaking = " http2" if protocol == "h2c" else ""
    config.write_text(NGINX.format(scratch=scratch, port=port, how=how, speaking=speaking))
    process = subprocess.Popen(pinned(["nginx", "-p", str(scratch), "-c", str(config)], cpu))
    try:
        await_port(port)
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def null(scratch: Path, cpu: int | None, body: bytes, protocol: str = "http") -> Iterator[tuple[str, int]]:
    """Run the null server that `sgibench calibrate` uses; host and port."""
    del scratch
    if protocol != "http":
        raise SystemExit("the null server speaks HTTP/1.1 only: --server nginx")
    os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
    from sgibench.load.null_server import null_server, whole_answer  # noqa: PLC0415 - after the line above

    with null_server({f"GET {PATH}": [whole_answer(200, body)]}) as (host, port, pid):
        if cpu is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(pid, {cpu})
        yield host, port


def free_port() -> int:
    """Find a port that nobody uses."""
    import socket  # noqa: PLC0415 - only here

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def await_port(port: int) -> None:
    """Wait until somebody listens."""
    import socket  # noqa: PLC0415 - only here

    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise SystemExit(f"nothing listens on port {port}")


def cpus() -> tuple[int | None, int | None]:
    """A CPU for the server and another for the client; None where there is only one, or no pinning."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[-1]) if len(usable) > 1 else (None, None)


BASES = (("ratio_to_wrk", "wrk"), ("ratio_to_h2load", "h2load"), ("ratio_to_fasthttpuser", "Locust FastHttpUser"))


def summary(turns: dict[str, list[Ran]]) -> list[dict[str, Any]]:
    """One row per client."""
    rows: list[dict[str, Any]] = []
    for client, ran in turns.items():
        row: dict[str, Any] = {
            "client": client,
            "rps": statistics.median(each.rps for each in ran),
            "cpu_us_per_request": statistics.median(each.cpu_us for each in ran),
            "errors": sum(each.errors for each in ran),
            "rounds": len(ran),
        }
        for key, other in BASES:
            pairs = list(zip(turns.get(other, []), ran, strict=False))
            row[key] = statistics.median([theirs.cpu_us / own.cpu_us for theirs, own in pairs]) if pairs else None
        pairs = list(zip(turns.get("wrk", []), ran, strict=False))
        row["rps_ratio_to_wrk"] = statistics.median([own.rps / theirs.rps for theirs, own in pairs]) if pairs else None
        rows.append(row)
    return sorted(rows, key=lambda row: float(row["cpu_us_per_request"]))


def table(rows: list[dict[str, Any]], server: str, size: int, protocol: str) -> str:
    """The rows as text."""

    def ratio(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"

    each = f"{CONNECTIONS} connections" if protocol == "http" else f"{FEW} connections of {CONNECTIONS // FEW} streams"
    lines = [
        f"Server: {server}, {protocol}. One core each, {each}, {size:,} bytes of body.",
        "",
        "| client | requests/s | CPU µs per request | per core, against wrk | h2load | FastHttpUser | errors |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['client']} | {row['rps']:,.0f} | {row['cpu_us_per_request']:.2f} | {ratio(row['ratio_to_wrk'])} "
        f"| {ratio(row['ratio_to_h2load'])} | {ratio(row['ratio_to_fasthttpuser'])} | {row['errors']} |"
        for row in rows
    ]
    return "\n".join(lines)


def beside_one_another(turns: Turns, names: list[str], rounds: int, window_s: float) -> list[dict[str, Any]]:
    """Measure what the generator makes of scenarios in turns; the first is what the others are compared with."""
    ran: dict[str, list[Ran]] = {name: [] for name in names}
    order = random.Random(1)
    for number in range(rounds):
        for name in order.sample(names, len(names)):
            ran[name].append(turns.scenario(name, window_s))
            print(f"round {number + 1}/{rounds}: {name}: {ran[name][-1].cpu_us:.2f} µs", file=sys.stderr)
    first = ran[names[0]]
    return [
        {
            "client": f"sgibench, scenario {name}",
            "cpu_us_per_request": statistics.median(each.cpu_us for each in found),
            "rps_per_core": 1e6 / statistics.median(each.cpu_us for each in found),
            f"ratio_to_{names[0]}": statistics.median(
                [one.cpu_us / own.cpu_us for one, own in zip(first, found, strict=True)]
            ),
            "rounds": len(found),
        }
        for name, found in ran.items()
    ]


def scenario_table(rows: list[dict[str, Any]], first: str) -> str:
    """The rows as text."""
    lines = [f"| scenario | requests per CPU-second | CPU µs per request | against {first} |", "|---|---:|---:|---:|"]
    lines += [
        f"| {row['client'].rpartition(' ')[2]} | {row['rps_per_core']:,.0f} | {row['cpu_us_per_request']:.2f} "
        f"| {row[f'ratio_to_{first}']:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Run all clients in turns and print the result."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print a list of objects instead of a table")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=float, default=2.0, help="seconds of each turn (default: 2)")
    parser.add_argument("--server", choices=["nginx", "null"], default="nginx" if shutil.which("nginx") else "null")
    parser.add_argument("--protocol", choices=list(LOADS), default="http")
    parser.add_argument("--size", type=int, default=len(HELLO), help="bytes of body (default: as the json scenario)")
    parser.add_argument("--only", action="append", help="only clients whose name contains this (repeatable)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--scenario", action="append", help="scenarios of the catalogue instead, each against the first (repeatable)"
    )
    options = parser.parse_args()
    server_cpu, client_cpu = cpus()
    if options.scenario:
        with tempfile.TemporaryDirectory() as folder:
            turns = Turns(client_cpu, Path(folder), HELLO)
            found = beside_one_another(turns, options.scenario, options.rounds, options.window)
            turns.close()
        print(json.dumps(found, indent=2) if options.json else scenario_table(found, options.scenario[0]))
        return
    body = HELLO if options.size == len(HELLO) else (PATTERN * (options.size // 16 + 1))[: options.size]
    order = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        turns = Turns(client_cpu, scratch, body, options.protocol)
        wanted = {
            name: client
            for name, client in turns.clients().items()
            if not options.only or any(part in name for part in options.only)
        }
        ran: dict[str, list[Ran]] = {name: [] for name in wanted}
        served = nginx if options.server == "nginx" else null
        with served(scratch, server_cpu, body, options.protocol) as (host, port):
            for number in range(options.rounds):
                names = list(wanted)
                order.shuffle(names)
                for name in names:
                    ran[name].append(wanted[name](host, port, options.window))
                    print(f"round {number + 1}/{options.rounds}: {name}: {ran[name][-1].rps:,.0f}/s", file=sys.stderr)
        turns.close()
    rows = summary(ran)
    print(json.dumps(rows, indent=2) if options.json else table(rows, options.server, len(body), options.protocol))


if __name__ == "__main__":
    main()
