"""Upload: 16 MiB in chunks of 64 KiB, read and counted by the app piece by piece."""

from __future__ import annotations

from zlib import crc32

from sgibench.load.user import BenchUser, Terms, post

BODY = bytes(range(256)) * 65536  # 16 MiB
COUNTED = b'{"bytes":%d,"crc32":"%08x"}' % (len(BODY), crc32(BODY))


class Upload16MChunked(BenchUser):
    """Upload: 16 MiB in chunks of 64 KiB, read and counted by the app piece by piece."""

    terms = Terms(
        family="upload 16 MiB", connections=4, protocols=("http", "https"), at_rate=False, calibrated=False, peak=True
    )
    timeout_s = 10.0
    requests = (post("/sink", body=BODY, chunk_bytes=65536, expect=COUNTED),)
