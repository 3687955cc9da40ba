"""Locust's own web UI with our choices in its start form and our tabs beside its own, for this machine's user only.

The UI lives in the load process and owns no server: it asks the engine, over the same JSON lines, to serve what was
chosen, to judge what was counted, and to stop it. It shows what it is told and counts what it sees; it decides neither
what a number is worth nor which process lives.
"""
