"""Download: 16 MiB with a length."""

from __future__ import annotations

from sgibench.load.user import BenchUser, Terms, get


class Download16M(BenchUser):
    """Download: 16 MiB with a length."""

    terms = Terms(
        family="download 16 MiB", connections=4, protocols=("http", "https"), at_rate=False, calibrated=False, peak=True
    )
    timeout_s = 10.0
    requests = (get("/bytes/16777216", expect=b"0123456789abcdef" * 1048576),)
