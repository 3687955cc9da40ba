"""Download: 1 MiB with a length."""

from __future__ import annotations

from sgibench.load.bodies import MIB, download, moving
from sgibench.load.user import BenchUser


class Download1M(BenchUser):
    """Download: 1 MiB with a length."""

    terms = moving("download 1 MiB")
    timeout_s = 10.0
    requests = (download(MIB),)
