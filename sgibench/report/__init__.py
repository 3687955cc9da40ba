"""Results as pages, tables and sentences. It reads runs and judges nothing itself: see `stats` and `audit`."""

from __future__ import annotations

from sgibench.report.page import render, write, write_index
from sgibench.report.summary import summary
from sgibench.report.versus import write_comparison

__all__ = ["render", "summary", "write", "write_comparison", "write_index"]
