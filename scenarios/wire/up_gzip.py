"""Upload: 64 KiB of gzip that the app must get as it was sent: unpacking is not the server's."""

from __future__ import annotations

from gzip import compress
from random import Random

from sgibench.load.bodies import moving
from sgibench.load.user import BenchUser, post

PACKED = compress(Random(16).randbytes(65536), mtime=0)


class UploadGzip(BenchUser):
    """Upload: 64 KiB of gzip that the app must get as it was sent: unpacking is not the server's."""

    terms = moving("upload 64 KiB")
    timeout_s = 10.0
    requests = (post("/echo", body=PACKED, headers=(("Content-Encoding", "gzip"),), expect=PACKED),)
