"""Results as pages, tables and sentences. It reads runs and judges nothing itself: see `stats` and `audit`."""

from __future__ import annotations

from sgibench.report.page import render, write, write_index
from sgibench.report.summary import summary

__all__ = ["render", "summary", "write", "write_index"]
