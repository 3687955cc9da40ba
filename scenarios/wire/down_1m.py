"""Download: 1 MiB with a length."""

from __future__ import annotations

from sgibench.load.user import BenchUser, Terms, get


class Download1M(BenchUser):
    """Download: 1 MiB with a length."""

    terms = Terms(
        family="download 1 MiB", connections=4, protocols=("http", "https"), at_rate=False, calibrated=False, peak=True
    )
    timeout_s = 10.0
    requests = (get("/bytes/1048576", expect=b"0123456789abcdef" * 65536),)
