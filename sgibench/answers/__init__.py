"""Answers of an app that nobody here wrote: learned by asking, then held against what was learned. Pure.

What stays the same over time, processes and servers is expected of every answer; what varies is blanked out and named.
An answer that can't be asked for many times (it fails the second time, grows, depends on the process) is refused by
name, never averaged over.
"""
