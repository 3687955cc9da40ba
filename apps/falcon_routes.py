"""What Falcon's two apps have in common: which resource stands at which address, and what is refused."""

# mypy: disable-error-code="import-not-found,misc"
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import contract
import falcon
from falcon.routing import BaseConverter

CONTRACTED: dict[str, contract.Handler] = {
    "/json": contract.get_json,
    "/bytes/{argument:some}": contract.get_bytes,
    "/wait/{argument:some}": contract.get_wait,
    "/block/{argument:some}": contract.get_block,
    "/cpu/{argument:some}": contract.get_cpu,
    "/page": contract.get_page,
    "/cached/{argument:some}": contract.get_cached,
    "/static/{argument:some}": contract.get_static,
    "/stream/{argument:some}": contract.get_stream,
    "/jobs/{argument:some}": contract.get_job,
    "/pid": contract.get_pid,
    "/error": contract.get_error,
    "/query/{argument:some}": contract.get_query,
}
"""Resources that are only read, and whose answer is a handler of the contract."""


class Some(BaseConverter):
    """Matches a segment that is not empty, which Falcon's fields may be."""

    def convert(self, value: str) -> str | None:
        """Give it; None is no match."""
        return value or None


def route(app: Any, resources: Mapping[str, object], contracted: Callable[[contract.Handler], object]) -> None:
    """Put resources at their addresses, and those that the contract answers at theirs."""
    app.router_options.converters["some"] = Some
    for path, resource in resources.items():
        app.add_route(path, resource)
    for path, handler in CONTRACTED.items():
        app.add_route(path, contracted(handler))


def refuse(app: Any, refused: Callable[..., object], unmatched: Callable[..., object]) -> None:
    """Have refusals, and what no resource is for, answered as the contract has it."""
    app.add_error_handler(contract.Refusal, refused)
    app.add_error_handler((falcon.HTTPRouteNotFound, falcon.HTTPMethodNotAllowed), unmatched)
