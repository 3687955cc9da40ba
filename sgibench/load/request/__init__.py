"""What a scenario declares, and what becomes of it: requests as data, asks ready for the wire, programs of them.

Everything is checked here, when it is declared, so that the hot loop may trust it.
"""

from __future__ import annotations

from sgibench.load.request.asks import BODILESS_METHODS, METHOD, Ask, Foretold, in_chunks, payload_of, spoken
from sgibench.load.request.declared import (
    Check,
    Request,
    Variant,
    delete,
    expand,
    get,
    head,
    patch,
    post,
    put,
)
from sgibench.load.request.program import Program, spread

__all__ = [
    "BODILESS_METHODS",
    "METHOD",
    "Ask",
    "Check",
    "Foretold",
    "Program",
    "Request",
    "Variant",
    "delete",
    "expand",
    "get",
    "head",
    "in_chunks",
    "patch",
    "payload_of",
    "post",
    "put",
    "spoken",
    "spread",
]
