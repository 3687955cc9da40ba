"""Requests that the user asks of an app of their own, and what a right answer to each is."""

from __future__ import annotations

from dataclasses import dataclass

from sgibench.model.terms import Interface


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What every answer to a request must be; `sgibench.answers.expecting` holds an answer against it."""

    status: int
    content_type: str | None = None
    """Media type without its parameters, in lower case; None for any, or none at all."""
    pieces: tuple[bytes, ...] | None = None
    """None: any body. One: exactly this body. Several: the body begins with the first, ends with the last, and has the
    others between them in this order; what varies lies between the pieces."""
    least_bytes: int = 0
    """Of the body."""
    most_bytes: int | None = None


SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that don't change what an app keeps (RFC 9110, section 9.2.1)."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request of the user's."""

    method: str
    path: str
    """Path and query, percent-encoded, as it goes on the wire."""
    weight: int = 1
    """How often it is asked, in proportion to the others."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    status: int | None = None
    """The status that the user wants; None for any below 400."""
    expectation: Expectation | None = None
    """None as long as nobody has seen an answer."""
    example: bytes = b""
    """The body of an answer that fits, once one was seen."""
    twin: int = 0
    """Which of several with the same method and path it is, from the second on; 0 for the first."""

    @property
    def line(self) -> str:
        """As the user writes it."""
        return f"{self.method} {self.path}"

    @property
    def name(self) -> str:
        """Its name in statistics and sentences, which no other one has."""
        return f"{self.line} ({self.twin})" if self.twin else self.line

    @property
    def writes(self) -> bool:
        """Whether it may change what the app keeps."""
        return self.method not in SAFE


@dataclass(frozen=True, kw_only=True)
class AskedScenario:
    """All requests of the user's as one scenario: asked in proportion to their weights, in random order."""

    id: str
    summary: str
    interfaces: tuple[Interface, ...]
    requests: tuple[Asked, ...]
