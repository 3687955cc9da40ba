"""When it is of no use to visit a target any more, and what is said of it then.

A target is given up once and for one reason; what it counted so far stays. It is given up where no connection stands,
where nothing comes right, where every connection waits in vain, and where the figures would be of something else than
what was asked for.
"""

from __future__ import annotations

from time import monotonic_ns

from sgibench.load.target import Target
from sgibench.load.visitor.heard import Heard
from sgibench.model.kinds import kind_named
from sgibench.units import seconds

STANDING_S = 2.0
"""A target on which no connection stands, or nothing is right, for so long is given up."""
FULL_SHARE = 0.001
"""Of the handshakes that are to take up a session. Each connection offers the ticket that the one before it was given,
so every one of them can; a full one costs up to ten times as much, and one in a thousand shifts the mean by under half
of the least difference that counts (2 %)."""


class Patience:
    """What is left of it with one target."""

    def __init__(self, target: Target, heard: Heard, *, places: int) -> None:
        """`places`: how many connections this process is to have there."""
        self._target = target
        self._heard = heard
        self._places = places
        self._keep_alive = target.program.keep_alive
        self.gave_up: dict[str, str] | None = None
        self.cut_short = False
        """Whether the visit under way, and every other, ends at once."""
        self._before_visit = (0, 0)
        self._fruitless_s = 0.0
        self._stood_ns = monotonic_ns()

    def give_up(self, reason: str, detail: str) -> None:
        """Visit this target no more; what it counted so far stays in the result."""
        if self.gave_up is None:
            self.gave_up = {"reason": reason, "detail": detail}
        self.cut_short = True

    # --- connections that stand ----------------------------------------------------------------------------------

    def begin_anew(self) -> None:
        """Connections are about to be opened: nothing has fallen yet."""
        self._stood_ns = monotonic_ns()

    @property
    def fallen_s(self) -> float:
        """For how long no connection has been standing, though somebody wanted one; 0 without a share of them."""
        target = self._target
        missed = self._keep_alive or (self._heard.errors and target.wanting)
        if not self._places or target.standing or not missed or target.in_flight:
            self._stood_ns = monotonic_ns()
        return (monotonic_ns() - self._stood_ns) / 1e9

    def judge_standing(self) -> None:
        """Give up when no connection has been standing for too long."""
        fallen_s = self.fallen_s
        if fallen_s >= STANDING_S:
            kind, sample = self._heard.gravest()
            self.give_up(kind_named(kind).given_up, f"no connection stood for {fallen_s:.1f} s; {kind}: {sample}")

    # --- answers that come ---------------------------------------------------------------------------------------

    def begin_visit(self) -> None:
        """What is right or in vain from here on is this visit's."""
        self._before_visit = (self._heard.answered, self._heard.timeouts)

    def judge_visit(self, length_s: float, timeout_s: float) -> None:
        """Give up when nothing came right, and something timed out or this has been going on for too long."""
        answered, timeouts = self._before_visit
        if not self.cut_short and self._target.fell_silent:
            self.give_up("hung", f"in the end no connection had an answer within {seconds(timeout_s)}")
        if self.cut_short or self._heard.answered > answered:
            self._fruitless_s = 0.0
            return
        self._fruitless_s += length_s
        if self._heard.timeouts > timeouts:
            self.give_up("hung", f"a whole visit brought no right answer within {seconds(timeout_s)}")
        self.judge_standing()
        if self._fruitless_s >= STANDING_S:
            self.give_up_fruitless(f"{self._fruitless_s:.1f} s of visits")

    def give_up_fruitless(self, what: str) -> None:
        """Give up because of the gravest error, if there was any, that came in place of answers."""
        kind, sample = self._heard.gravest()
        if sample:
            row = kind_named(kind)
            reason = "no-right-answer" if row.weight == "lost" else row.given_up
            self.give_up(reason, f"{what} brought no right answer; {kind}: {sample}")

    def judge_handshakes(self) -> None:
        """Give up where sessions were to be taken up and were not: then full handshakes were measured."""
        made = self._target.handshakes_counted()
        if made is None:
            return
        every, full = made["full"] + made["resumed"], made["full"]
        # Whoever failed was given no ticket, so the connection after it has none to offer.
        if full > FULL_SHARE * every + self._heard.errors.total():
            refused = f"the server refused {made['refused']} of the sessions that it had given"
            without = f"and had given none before {full - made['refused']} others"
            self.give_up("not-resumed", f"{full} of {every} TLS handshakes were full: {refused}, {without}")
