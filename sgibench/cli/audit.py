"""`sgibench audit`: what arithmetic says about numbers, ours or anybody's."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from sgibench import audit as auditing
from sgibench.audit import Audited
from sgibench.cli.subjects import json_option, results_option
from sgibench.errors import SgibenchError, UsageError, in_line, one_line, plain
from sgibench.model import Doubt
from sgibench.paths import exists, is_folder
from sgibench.results import store

_NAMED = 5
"""Rows that a notice names."""


@click.command(epilog="Example: sgibench audit rows.csv --json")
@click.argument("targets", nargs=-1, required=True)
@results_option
@json_option
def audit(targets: tuple[str, ...], results: Path, *, as_json: bool) -> None:
    """Audit TARGETS: our runs (name, folder, or "latest") or other tools' results.

    Read are CSV rows as in docs/audit.md and what wrk, wrk2, oha, hey, k6, Locust, ab, vegeta, bombardier, h2load,
    autocannon and HttpArena write, as text, JSON or CSV; found by looking into the file. Exit 1 when a row is refuted,
    so that its figures can't all be true, or when a trial of ours failed or is missing; 2 when a target can't be read,
    after all others were audited.
    """
    audited: list[Audited] = []
    unread = []
    for target in targets:
        try:
            audited.extend(_audit_one(target, results))
        except SgibenchError as error:
            unread.append(error)
    if unread and len(targets) == 1:
        raise UsageError(str(unread[0]))
    for refused in unread:
        click.echo(plain(one_line(f"sgibench: {refused}")), err=True)
    unasked = [row.id for row in audited if not row.asked and not row.doubts]
    if unasked:
        named = ", ".join(unasked[:_NAMED]) + (f" and {len(unasked) - _NAMED} more" if len(unasked) > _NAMED else "")
        click.echo(in_line(f"Notice: nothing could be asked of {named}: too few figures to compare"), err=True)
    if as_json:
        click.echo(json.dumps([_for_machines(row) for row in audited], indent=1))
    else:
        _show(audited, Console())
    sys.exit(UsageError.exit_code if unread else 1 if any(row.refuted or row.failed for row in audited) else 0)


def _audit_one(target: str, results: Path) -> Sequence[Audited]:
    path = Path(target)
    if exists(target) and not is_folder(target):
        rows, notices = auditing.read_noting(path)
        for notice in notices:
            click.echo(in_line(f"Notice: {path.name}: {notice}"), err=True)
        return auditing.audit_rows(rows)
    if not exists(target) and (os.sep in target or path.suffix):
        raise UsageError(
            f"{target}: expected a file, the name of a run in {results}, or its folder; there is no such file"
        )
    run = store.read_run(store.find_run(results, target))
    for notice in run.notices:
        click.echo(in_line(f"Notice: {run.path.name}: {notice}"), err=True)
    return auditing.audit_run(run).rows


def _for_machines(row: Audited) -> Mapping[str, object]:
    return {
        "id": row.id,
        "refuted": row.refuted,
        "failed": row.failed,
        "doubts": [{"kind": one.kind, "detail": one.detail, "advice": one.advice} for one in row.doubts],
    }


def _show(audited: Sequence[Audited], console: Console) -> None:
    clean = sum(not row.doubts and row.asked for row in audited)
    unasked = sum(not row.doubts and not row.asked for row in audited)
    refuted, failed = sum(row.refuted for row in audited), sum(row.failed for row in audited)
    for line in (line for row in audited if row.doubts for line in _lines(row)):
        if console.color_system is None:  # a pipe; rich takes much longer to write the same
            click.echo(line.plain)
        else:
            console.print(line, soft_wrap=True)
    broken = f", {failed} failed, missing or thinned" if failed else ""
    blank = f", {unasked} of which nothing could be asked" if unasked else ""
    console.print(f"{len(audited)} rows: {clean} without a doubt, {refuted} refuted{broken}{blank}", highlight=False)


def _lines(row: Audited) -> Iterator[Text]:
    yield Text(in_line(row.id), style="bold")
    yield from map(_line, row.doubts)


def _line(doubt: Doubt) -> Text:
    style = "bold red" if doubt.kind in auditing.REFUTING | auditing.FAILING else "yellow"
    return Text.assemble("  ", (doubt.kind, style), in_line(f": {doubt.detail}. {doubt.advice}"))
