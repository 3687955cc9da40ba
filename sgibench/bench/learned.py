"""Answers of the user's app, learned from every server before any load; what can't be measured is refused here.

What is learned replaces what the app's answers without a server suggested. A server that answers otherwise than the
others is named before any number; under load it fails, because its answers are not the ones expected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sgibench import machine
from sgibench.answers.learning import Learned, learn
from sgibench.bench.own import Looked
from sgibench.catalogue import Catalogue
from sgibench.engine.learning import ask_all
from sgibench.engine.workshop import Listener
from sgibench.errors import UsageError
from sgibench.model import Cell, OwnInfo
from sgibench.serve.envs import Environment

SAID_MOST = 12
"""Requests of which one line each is said."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What was learned."""

    looked: Looked
    """With the expectations that were learned."""
    checks: Mapping[str, str]
    """Request -> how its answers are checked."""
    findings: tuple[str, ...]
    """How a server answers otherwise than the others."""


def learn_answers(
    looked: Looked,
    cells: Sequence[Cell],
    listener: Listener,
    *,
    found: Catalogue,
    environments: Mapping[str, Environment],
    cpus: machine.CpuPlan,
    scratch: Path,
) -> Lesson:
    """Ask every server each request several times, and say what came; raises UsageError when one can't be measured."""
    each = list({(cell.server, cell.app): _with_most_workers(cell, cells) for cell in cells}.values())
    asked = looked.scenario.requests
    answers = ask_all(each, asked, listener, found=found, environments=environments, cpus=cpus, scratch=scratch)
    if not any(answers):
        raise UsageError("no server gave an answer, so there is nothing to measure; the lines above say why")
    workers = max(cell.settings.workers for cell in each)
    lessons = [learn(one, came, workers=workers) for one, came in zip(asked, answers, strict=True)]
    for lesson in lessons:
        if lesson.refused is not None:
            raise UsageError(f"--request '{lesson.asked.name}': {lesson.refused}")
    _say(lessons, listener)
    findings = tuple(dict.fromkeys(sentence for lesson in lessons for _, sentence in lesson.findings))
    for finding in findings:
        listener.say(f"found: {finding}")
    return Lesson(
        looked=replace(looked, scenario=replace(looked.scenario, requests=tuple(lesson.asked for lesson in lessons))),
        checks={lesson.asked.name: lesson.said for lesson in lessons},
        findings=findings,
    )


def learned_info(info: OwnInfo, lesson: Lesson | None) -> OwnInfo:
    """Add to a run's record what was learned."""
    return info if lesson is None else replace(info, checks=lesson.checks, findings=lesson.findings)


def _with_most_workers(cell: Cell, cells: Sequence[Cell]) -> Cell:
    """Give the cell of the same server and app that has the most processes: what is kept in memory shows there."""
    same = [one for one in cells if (one.server, one.app) == (cell.server, cell.app)]
    return max(same, key=lambda one: one.settings.workers)


def _say(lessons: Sequence[Learned], listener: Listener) -> None:
    for lesson in lessons[:SAID_MOST]:
        listener.say(f"{lesson.asked.name}: {lesson.said}")
    if len(lessons) > SAID_MOST:
        loose = sum(1 for each in lessons if each.asked.expectation is None or each.asked.expectation.pieces is None)
        listener.say(f"and {len(lessons) - SAID_MOST} more; {loose} of all are checked by status, type and size")
