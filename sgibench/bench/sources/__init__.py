"""Requests that others have written down: a browser's HAR, an access log, an OpenAPI document (pure but for reading).

Nothing is invented. What is left out is counted and named, so that nobody takes a part for the whole.
"""

from __future__ import annotations

from sgibench.bench.sources.access_log import read_access_log
from sgibench.bench.sources.har import read_har
from sgibench.bench.sources.openapi import read_openapi
from sgibench.bench.sources.source import Source, read_source

__all__ = ["Source", "read_access_log", "read_har", "read_openapi", "read_source"]
