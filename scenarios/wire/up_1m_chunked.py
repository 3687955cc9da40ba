"""Upload: 1 MiB in chunks of 64 KiB, read and counted by the app piece by piece."""

from __future__ import annotations

from sgibench.load.bodies import HTTP1, MIB, PIECE, moving, upload
from sgibench.load.user import BenchUser


class Upload1MChunked(BenchUser):
    """Upload: 1 MiB in chunks of 64 KiB, read and counted by the app piece by piece."""

    terms = moving("upload 1 MiB", HTTP1)
    timeout_s = 10.0
    requests = (upload(MIB, chunk_bytes=PIECE),)
