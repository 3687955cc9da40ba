"""Files from disk: two small ones, a picture, and now and then 200 kB; by the app, or by what stands before it."""

from __future__ import annotations

from pathlib import Path

from sgibench.load.user import BenchUser, Request, get

FILES = Path(__file__).parent.parent / "apps" / "static"


def file(name: str, weight: int) -> Request:
    """Ask for one file, which must come as it lies there."""
    return get(f"/static/{name}", weight=weight, expect=(FILES / name).read_bytes())


class Static(BenchUser):
    """Files from disk: two small ones, a picture, and now and then 200 kB; by the app, or by what stands before it."""

    requests = (file("style.css", 4), file("script.js", 3), file("logo.svg", 2), file("pattern.bin", 1))
