"""Ten kibibytes of body: how a server moves a page-sized answer."""

from __future__ import annotations

from sgibench.load.user import BenchUser, get

SIZE = 10 * 1024


class Bytes(BenchUser):
    """Ten kibibytes of body: how a server moves a page-sized answer."""

    requests = (get(f"/bytes/{SIZE}", expect=b"0123456789abcdef" * (SIZE // 16)),)
