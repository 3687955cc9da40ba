"""What was measured, on disk: JSON only, append-only, read with types or refused in one line.

A run is a folder with `run.json` and `trials.jsonl`. Nothing here computes a figure, and nothing in a folder is ever
executed.
"""
