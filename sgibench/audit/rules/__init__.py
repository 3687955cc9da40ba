"""The rules about one row (method, section 6): arithmetic first, then load, machine and spread.

Each rule is a small function from figures to doubts; `RULES` is the list. A threshold stands beside its rule with the
reason for its value, and none of them knows whose row it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sgibench.audit.figures import Figures, doubt
from sgibench.audit.rules import counts, generator, laws, machine, timers, tools
from sgibench.audit.rules.counts import NOISY
from sgibench.audit.rules.generator import LAG_SHARE
from sgibench.audit.rules.laws import IDLE_SHARE, TIMER_BANDS_MS
from sgibench.audit.rules.nonsense import without_nonsense
from sgibench.model import Doubt

__all__ = ["IDLE_SHARE", "LAG_SHARE", "NOISY", "RULES", "TIMER_BANDS_MS", "Rule", "doubts_of"]

Rule = Callable[[Figures], Iterator[Doubt]]

RULES: tuple[Rule, ...] = (
    laws.under_the_floor,
    laws.longer_than_the_run,
    counts.failed_rounds_averaged,
    counts.rounds_unlike,
    counts.rate_of_zero,
    counts.rate_against_count,
    counts.parts_disagree,
    counts.percentiles_in_order,
    counts.p99_below_mean,
    counts.copied_columns,
    counts.more_inside_than_asked,
    laws.littles_law,
    laws.timer_plateau,
    timers.percentiles_at_a_timer,
    timers.timer_lattice,
    generator.generator_bound,
    generator.ceiling_unknown,
    generator.generator_lag,
    generator.rate_not_kept,
    generator.client_ports,
    generator.starvation,
    generator.server_idle,
    counts.errors_seen,
    machine.machine,
    machine.outside_its_cpus,
    machine.growing,
    machine.unsteady,
    counts.noisy_rounds,
    counts.too_few_samples,
    tools.client_limits,
    tools.more_users_than_there_were,
    tools.never_begun,
    tools.more_waiting_than_connections,
    tools.failures_hide_latency,
    tools.unlike_things_added,
)


def doubts_of(row: Figures, rules: Sequence[Rule] = RULES) -> tuple[Doubt, ...]:
    """All doubts that one row raises by itself, each kind once with all that raised it."""
    row, nonsense = without_nonsense(row)
    found = {raised.kind: [raised.detail] for raised in nonsense}
    for rule in rules:
        for raised in rule(row):
            found.setdefault(raised.kind, []).append(raised.detail)
    return tuple(doubt(kind, "; ".join(details)) for kind, details in found.items())
