"""Upload: 64 KiB of gzip that the app must get as it was sent: unpacking is not the server's."""

from __future__ import annotations

from gzip import compress
from random import Random

from sgibench.load.user import BenchUser, Terms, post

PACKED = compress(Random(16).randbytes(65536), mtime=0)


class UploadGzip(BenchUser):
    """Upload: 64 KiB of gzip that the app must get as it was sent: unpacking is not the server's."""

    terms = Terms(
        family="upload 64 KiB", connections=4, protocols=("http", "https"), at_rate=False, calibrated=False, peak=True
    )
    timeout_s = 10.0
    requests = (post("/echo", body=PACKED, headers=(("Content-Encoding", "gzip"),), expect=PACKED),)
