"""The load process: everything that imports Locust or gevent lives in this package and nowhere else.

Locust names a locustfile's module after its file, so `scenarios/json.py` would replace the standard library's json
for everybody else. Importing this package, and declaring a BenchUser, undo that: see `module_names`.
"""

from __future__ import annotations

from sgibench.load.module_names import give_back

give_back()
