"""Asks servers of the user's app for answers before any load: over time, over processes, of every server in turn.

One server lives at a time, started as in the run; what came of it is judged by `answers`, not here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sgibench import machine
from sgibench.answers.learning import Answer, still_grows
from sgibench.catalogue import Catalogue
from sgibench.engine.workshop import Listener, environment_key, folder_name
from sgibench.errors import ServerError
from sgibench.model import Asked, Cell
from sgibench.paths import remove
from sgibench.serve.envs import Environment
from sgibench.serve.process import HOST, ServerProcess, ServerSpec
from sgibench.verify.client import Client, Question

ROUNDS = 4
"""How often each request is asked of each process; between the second and the third more than a second passes."""
APART_S = 1.1
MOST_ROUNDS = 250
"""So often the first server is asked whose answers grow each time, until they don't: many lists end at 100 ..."""
GROWING_S = 15.0
"""... and so long at most."""


def ask_all(
    cells: Sequence[Cell],
    asked: Sequence[Asked],
    listener: Listener,
    *,
    found: Catalogue,
    environments: Mapping[str, Environment],
    cpus: machine.CpuPlan,
    scratch: Path,
) -> list[list[Answer]]:
    """Ask every request of each cell's server; gives the answers of each request, a server after the other.

    One server alone is started twice, so that what differs from process to process is seen.
    """
    answers: list[list[Answer]] = [[] for _ in asked]
    for start, cell in enumerate([*cells, *cells]) if len(cells) == 1 else ((0, cell) for cell in cells):
        listener.say(f"asking {cell.server} for answers" + (" once more, in another process" if start else ""))
        folder = scratch / folder_name(f"learn-{cell.server}-{cell.app}")
        environment = environments[environment_key(cell)]
        spec = ServerSpec(
            entry=found.server(cell.server),
            app=found.app(cell.app),
            settings=cell.settings,
            bin=environment.bin,
            versions=environment.versions,
            python=environment.info.python,
            cpus=cpus.servers,
            scratch=folder,
        )
        try:
            with ServerProcess(spec) as process:
                process.wait_ready()
                first = not any(any(one.status for one in each) for each in answers)
                _ask_one(cell, asked, process, answers, start=start, patient=first)
                process.stop()
        except ServerError as error:
            # Whether it starts and stops as it should is the run's business; here only answers are of interest.
            listener.say(f"{cell.server}: {error.reason}: {error.detail}")
        finally:
            remove(folder)
    return answers


def _ask_one(
    cell: Cell,
    asked: Sequence[Asked],
    process: ServerProcess,
    answers: list[list[Answer]],
    *,
    start: int,
    patient: bool,
) -> None:
    """Ask all requests in turn, round by round; with several processes, on as many new connections as may reach all.

    What is only read is asked before anything is written, too: under load it may come first. The `patient` go on for as
    long as answers grow.
    """
    began_s = time.monotonic()
    reading = [pair for pair in zip(asked, answers, strict=True) if not pair[0].writes]
    first = reading if len(reading) < len(asked) else []
    connections = 1 if cell.settings.workers == 1 else 2 * cell.settings.workers
    number = 0
    while number < ROUNDS or (
        patient and number < MOST_ROUNDS and time.monotonic() < began_s + GROWING_S and _growing(cell, answers)
    ):
        if number == ROUNDS // 2:
            time.sleep(max(0.0, began_s + APART_S - time.monotonic()))
        turns = [*zip(asked, answers, strict=True)]
        if number == 0:
            turns = [*first, *turns]
        clients = [Client(HOST, process.port) for _ in range(connections)]
        try:
            for one, known in turns:
                came = [_answer(one, client) for client in clients]
                known += [
                    replace(answer, server=cell.server, start=start, round=number, port=process.port) for answer in came
                ]
        finally:
            for client in clients:
                client.close()
        number += 1


def _growing(cell: Cell, answers: Sequence[Sequence[Answer]]) -> bool:
    """Whether some answer of this server grows each time."""
    return any(still_grows([one for one in each if one.server == cell.server]) for each in answers)


def _answer(asked: Asked, client: Client) -> Answer:
    """Ask once; a connection that the server ended is opened anew for the next question."""
    question = Question(method=asked.method, path=asked.path, body=asked.body, headers=asked.headers)
    try:
        reply = client.ask(question)
    except ServerError as error:
        client.close()
        return Answer(server="", round=0, error=error.detail.removeprefix(f"{question}: "))
    if not reply.reusable:
        client.close()
    content_type = next(iter(reply.all("content-type")), None)
    return Answer(server="", round=0, status=reply.status, content_type=content_type, body=reply.body)
