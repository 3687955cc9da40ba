"""The contract, asked of a live server before any load: a server that answers wrongly is never measured.

Two questions: does it keep the whole contract (`verify_contract`, for people who check a server), and does it answer
one scenario's requests as declared (`verify_scenario`, before each trial). Nothing here measures speed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from sgibench import catalogue
from sgibench.answers.expecting import misfit
from sgibench.answers.giving import Values, filled, filled_text, given
from sgibench.errors import ServerError, UsageError
from sgibench.model import Exchange, Scenario, Unit
from sgibench.model.terms import Protocol
from sgibench.units import seconds
from sgibench.verify.checks import CHECKS, Problem, Target, client_for, load_contract, run, shown
from sgibench.verify.client import Asker, Question, Reply
from sgibench.verify.kept import ROWS_DIFFER, verify_kept
from sgibench.verify.known import excuse

__all__ = ["CHECKS", "ROWS_DIFFER", "SOON", "Problem", "excuse", "verify_contract", "verify_kept", "verify_scenario"]

SOON = 0.8
"""An answer that comes before this share of its least time did not wait for it; clocks of milliseconds may be off."""
CLOSE_WITHIN_S = 1.0
"""A server that is declared to close connections must do so within this time after an answer."""

TASK_CHECKS = {"crud": "items"}
"""Scenarios of `@task` methods declare no exchanges: these checks of the contract stand for them."""


OF_UNITS: dict[Unit, str] = {"message": "websocket", "delivery": "broadcast"}
"""What is sent over WebSocket is no exchange either."""


def verify_contract(
    host: str,
    port: int,
    interface: str,
    contract_path: Path,
    only: Collection[str] | None = None,
    *,
    keep_alive: bool = True,
    protocol: Protocol = "http",
) -> list[Problem]:
    """Ask a server for the contract, or for those checks whose names are in `only`.

    `keep_alive` is what the server's variant declares. Raises UsageError for an unknown check; what the server does
    wrong comes back as problems, an answer that does not come within 5 s included.
    """
    unknown = sorted(set(only or ()) - set(CHECKS))
    if unknown:
        raise UsageError(f"unknown check {unknown[0]!r}: there are {', '.join(CHECKS)}")
    names = [name for name in CHECKS if only is None or name in only]
    target = Target(
        host=host,
        port=port,
        interface=interface,
        keep_alive=keep_alive,
        contract=load_contract(contract_path),
        protocol=protocol,
    )
    return list(run(names, target))


def verify_scenario(
    host: str,
    port: int,
    scenario: Scenario,
    keep_alive: bool,  # noqa: FBT001 - callers name it
    contract_path: Path | None = None,
    *,
    protocol: Protocol = "http",
) -> None:
    """Ask each request of a scenario once, and check the answers and whether the connection is kept as declared.

    A scenario without declared requests is checked by the part of the contract it works on, if there is one; the
    contract is the built-in one unless `contract_path` names another. Raises ServerError `wrong-answer`, `hung` or
    `crashed` with what was expected and what came.
    """
    if not scenario.exchanges:
        contract_path = contract_path or catalogue.home() / "apps" / "contract.py"
        _verify_tasks(host, port, scenario, keep_alive, contract_path, protocol)
        return
    with client_for(host, port, protocol) as client:
        values: dict[str, bytes] = {}
        for exchange in scenario.exchanges:
            values |= _ask(client, filled_exchange(exchange, values), keep_alive)
        if keep_alive:
            # Once more, so that even a scenario of one request proves that a second one is answered.
            _ask(client, scenario.exchanges[0], keep_alive)


def _verify_tasks(  # noqa: PLR0917 - as in verify_scenario
    host: str,
    port: int,
    scenario: Scenario,
    keep_alive: bool,  # noqa: FBT001
    contract_path: Path,
    protocol: Protocol,
) -> None:
    name = OF_UNITS.get(scenario.terms.unit) or TASK_CHECKS.get(scenario.id, scenario.id)
    if name not in CHECKS:
        return
    interface = scenario.interfaces[0] if len(scenario.interfaces) == 1 else "wsgi"
    checks = (name, "keep-alive")
    for problem in verify_contract(
        host, port, interface, contract_path, checks, keep_alive=keep_alive, protocol=protocol
    ):
        if problem.severity == "wrong":
            raise ServerError("wrong-answer", problem.detail)


def filled_exchange(exchange: Exchange, values: Values) -> Exchange:
    """Fill the blanks with what earlier answers gave."""
    if not values:
        return exchange
    expected = exchange.expected_body
    return replace(
        exchange,
        path=filled_text(exchange.path, values),
        headers=tuple((name, filled_text(value, values)) for name, value in exchange.headers),
        body=filled(exchange.body, values),
        expected_body=None if expected is None else filled(expected, values),
    )


def _ask(client: Asker, exchange: Exchange, keep_alive: bool) -> dict[str, bytes]:  # noqa: FBT001
    """Ask once; gives what later exchanges take from the answer."""
    question = Question(method=exchange.method, path=exchange.path, body=exchange.body, headers=exchange.headers)
    reply = client.ask(question)
    own = exchange.expectation is not None
    fault = _fault(exchange, reply) or (None if own else _connection_fault(client, exchange, reply, keep_alive))
    if fault:
        raise ServerError("wrong-answer", f"{question}: {fault}")
    # Whether a connection is kept after an answer of a user's app may follow from the app: one without a length.
    if not keep_alive or (own and not reply.reusable):
        client.close()
    try:
        return given(reply.body, exchange.gives) if exchange.gives else {}
    except ValueError as error:
        raise ServerError("wrong-answer", f"{question}: {error}") from None


def _fault(exchange: Exchange, reply: Reply) -> str | None:
    """What is wrong with an answer, as expected and came."""
    if exchange.expectation is not None:
        return misfit(exchange.expectation, reply.status, next(iter(reply.all("content-type")), None), reply.body)
    if reply.status != exchange.status:
        return f"expected status {exchange.status}, but {reply.status} came with {shown(reply.body)}"
    if reply.took_s < exchange.least_s * SOON:
        return f"expected an answer after {seconds(exchange.least_s)}, but it came after {seconds(reply.took_s)}"
    if exchange.expected_body is not None and reply.body != exchange.expected_body:
        return f"expected {shown(exchange.expected_body)}, but {shown(reply.body)} came"
    if reply.body and not reply.all("content-type"):
        return "expected a Content-Type, but none came"
    return None


def _connection_fault(client: Asker, exchange: Exchange, reply: Reply, keep_alive: bool) -> str | None:  # noqa: FBT001
    """Whether the connection was not kept or closed as declared; a request that asks for its end proves nothing."""
    if any(name.lower() == "connection" and value.lower() == "close" for name, value in exchange.headers):
        client.close()
        return None
    if keep_alive and not reply.reusable:
        return "expected the connection to be kept, but the server closes it"
    if not keep_alive and reply.reusable and not client.closed_by_server(CLOSE_WITHIN_S):
        return "expected the server to close the connection, but it keeps it"
    return None
