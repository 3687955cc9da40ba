"""What Falcon's two apps have in common: which resource stands at which address, and what is refused."""

# mypy: disable-error-code="import-not-found,misc"
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import contract
import falcon
from falcon.routing import BaseConverter

READ: dict[str, contract.Handler] = {
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
"""Resources that are only read."""
CONTRACTED: dict[str, dict[str, contract.Handler]] = {
    **{path: {"GET": handler} for path, handler in READ.items()},
    "/upload": {"POST": contract.post_upload},
    "/items": {"GET": contract.get_items, "POST": contract.post_item},
    "/items/{argument:some}": {
        "GET": contract.get_item,
        "PUT": contract.put_item,
        "PATCH": contract.patch_item,
        "DELETE": contract.delete_item,
    },
    "/raise/{argument:some}": {"POST": contract.post_raise},
}
"""Resources whose answers are handlers of the contract, one for each method."""
WITH_BODY = {"POST", "PUT", "PATCH"}


class Contracted:
    """A resource of handlers; HEAD is answered like GET, and Falcon leaves the body out."""

    def __init__(self, handlers: Mapping[str, contract.Handler], responder: Callable[..., object]) -> None:
        """`responder(handler, reads=…)` makes a method's responder, one that reads the body or not."""
        for method, handler in handlers.items():
            setattr(self, f"on_{method.lower()}", responder(handler, reads=method in WITH_BODY))
        if "GET" in handlers:
            self.on_head = self.on_get  # type: ignore[attr-defined]  # set just now


class Some(BaseConverter):
    """Matches a segment that is not empty, which Falcon's fields may be."""

    def convert(self, value: str) -> str | None:
        """Give it; None is no match."""
        return value or None


def route(app: Any, resources: Mapping[str, object], responder: Callable[..., object]) -> None:
    """Put resources at their addresses, and those that the contract answers at theirs."""
    app.router_options.converters["some"] = Some
    for path, resource in resources.items():
        app.add_route(path, resource)
    for path, handlers in CONTRACTED.items():
        app.add_route(path, Contracted(handlers, responder))


def refuse(app: Any, refused: Callable[..., object], unmatched: Callable[..., object]) -> None:
    """Have refusals, and what no resource is for, answered as the contract has it."""
    app.add_error_handler(contract.Refusal, refused)
    app.add_error_handler((falcon.HTTPRouteNotFound, falcon.HTTPMethodNotAllowed), unmatched)
