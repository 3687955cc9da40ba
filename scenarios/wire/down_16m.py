"""Download: 16 MiB with a length."""

from __future__ import annotations

from sgibench.load.bodies import MIB, download, moving
from sgibench.load.user import BenchUser


class Download16M(BenchUser):
    """Download: 16 MiB with a length."""

    terms = moving("download 16 MiB")
    timeout_s = 10.0
    requests = (download(16 * MIB),)
