"""The load process: everything that imports Locust or gevent lives in this package and nowhere else.

Locust names a locustfile's module after its file, so `scenarios/json.py` would replace the standard library's json
for everybody else. Importing this package, and declaring a BenchUser, undo that: see `module_names`.

What a scenario says: `user`, `websocket`, `request/`, `beside`, `slow`, `loading`, `asked`. Who decides what is asked
next: `paces/`, `arriving`, `bursts`, `broadcast`, `steps`, `sessions`, `client`. What moves bytes, and pays for every
request: `target`, `multiplexed`, `lines`, `wire/`. What is counted: `count`, `tally`, `books`, `outcome`. Who carries
orders out: `driver`, `measure/`, `visitor/`, `singly`, `calibrate`, `webui/`. Several processes in step: `together`,
`crew`, `member`.
"""

from __future__ import annotations

from sgibench.load.module_names import give_back

give_back()
