"""Upload: 1 MiB with a length, read and counted by the app piece by piece."""

from __future__ import annotations

from zlib import crc32

from sgibench.load.user import BenchUser, Terms, post

BODY = bytes(range(256)) * 4096  # 1 MiB
COUNTED = b'{"bytes":%d,"crc32":"%08x"}' % (len(BODY), crc32(BODY))


class Upload1M(BenchUser):
    """Upload: 1 MiB with a length, read and counted by the app piece by piece."""

    terms = Terms(
        family="upload 1 MiB", connections=4, protocols=("http", "https"), at_rate=False, calibrated=False, peak=True
    )
    timeout_s = 10.0
    requests = (post("/sink", body=BODY, expect=COUNTED),)
