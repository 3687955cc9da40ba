"""Upload: 1 MiB that is sent only when the server has said 100 Continue."""

from __future__ import annotations

from sgibench.load.bodies import HTTP1, MIB, moving, upload
from sgibench.load.user import BenchUser


class UploadExpect(BenchUser):
    """Upload: 1 MiB that is sent only when the server has said 100 Continue."""

    terms = moving("upload 1 MiB", HTTP1)
    timeout_s = 10.0
    requests = (upload(MIB, expects_continue=True),)
