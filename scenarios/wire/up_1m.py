"""Upload: 1 MiB with a length, read and counted by the app piece by piece."""

from __future__ import annotations

from sgibench.load.bodies import MIB, moving, upload
from sgibench.load.user import BenchUser


class Upload1M(BenchUser):
    """Upload: 1 MiB with a length, read and counted by the app piece by piece."""

    terms = moving("upload 1 MiB")
    timeout_s = 10.0
    requests = (upload(MIB),)
