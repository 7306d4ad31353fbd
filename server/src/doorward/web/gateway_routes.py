"""Which requests gateways let through, for administrators: all routes, and the one that decides on a request."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from doorward.protocol import gateway_routes
from doorward.protocol.gateway_routes import GatewayRouteObject
from doorward.protocol.route_policy import Table
from doorward.store import routes
from doorward.store.memory import Reader
from doorward.web import cursor as cursors
from doorward.web.lists import Cursor, Limit, answer
from doorward.web.replies import compact
from doorward.web.responses import rendered, respond
from doorward.web.runtime import CURSORS, Runtime

Method = Annotated[str, Query(max_length=32, pattern="^[A-Z]+$", description="Of the request.")]
Target = Annotated[str, Query(max_length=8192, description="Its path as it is sent, with or without a query.")]
Host = Annotated[str, Query(max_length=253, description="Its host, without a port.")]


@dataclass(frozen=True, slots=True)
class GatewayRoutesPage:
    items: list[GatewayRouteObject]
    next_cursor: str | None


async def _tables(runtime: Runtime) -> tuple[Table, Table]:
    def gather(read: Reader, _: None) -> Table:
        return routes.of_apis(read)

    return runtime.policy.routes, (await runtime.store.gather(gather, None)).facts


async def page(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
    runtime = request.incoming.runtime  # type: ignore[attr-defined]
    begin = 0
    if cursor is not None:
        (begin,) = await cursors.heard(runtime, PLACE, cursor)
    every = [route for table in await _tables(runtime) for route in table.routes]
    end = begin + limit
    shown = [asdict(gateway_routes.show(route)) for route in every[begin:end]]
    last = cursors.make(runtime.keyring.key(CURSORS), PLACE, [end]) if end < len(every) else None
    return answer(request, compact({"items": shown, "next_cursor": last}))


async def match(request: Request, method: Method, target: Target, host: Host = "") -> Response:
    incoming = request.incoming  # type: ignore[attr-defined]
    settings, apis = await _tables(incoming.runtime)
    return respond(rendered(gateway_routes.match(settings, apis, method, host, target), 200), incoming)


PLACE = "/gateway-routes"
page.__name__, match.__name__ = "list_gateway_routes", "match_gateway_routes"
