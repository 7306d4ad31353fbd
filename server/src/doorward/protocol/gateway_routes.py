"""The routes of gateways as administrators read them, and which of them decides on a request.

GET /v1/gateway-routes
GET /v1/gateway-routes/match?method=GET&target=/invoices/7
"""

from __future__ import annotations

from dataclasses import dataclass

from doorward.protocol import request_path, route_policy
from doorward.protocol.request_path import AmbiguousPath
from doorward.protocol.route_limit import RouteLimit
from doorward.protocol.route_policy import Route, Table
from doorward_verify import scope as scopes


@dataclass(frozen=True, slots=True)
class GatewayRouteObject:
    """`origin` is who says it: the settings, or an api by its name. The settings come first.

    Where `transports` are empty, keys may come as the api takes them.
    """

    origin: str
    path: str
    methods: list[str]
    host: str
    api: str
    scope: str
    service: str
    transports: list[str]
    environment: str
    public: bool
    preflight: bool
    limits: list[RouteLimit]
    cost: int


@dataclass(frozen=True, slots=True)
class MatchObject:
    """`path` is the canonical one. Without a `route` the `reason` says why, and `flaw` what is wrong with the path."""

    path: str | None
    route: GatewayRouteObject | None
    reason: str | None = None
    flaw: str | None = None


def show(route: Route) -> GatewayRouteObject:
    return GatewayRouteObject(
        route.origin, route.path, list(route.methods), route.host, route.api, scopes.text(route.scope),
        "" if route.public else route.service, list(route.transports), route.environment, route.public, route.preflight,
        [*route.limits], route.cost,
    )  # fmt: skip


def match(settings: Table, apis: Table, method: str, host: str, target: str) -> MatchObject:
    try:
        path = request_path.read(target.encode()).path
    except AmbiguousPath as ambiguous:
        return MatchObject(None, None, "path_ambiguous", ambiguous.flaw)
    found = route_policy.find(settings, apis, method, host.lower(), path)
    if found.route is not None:
        return MatchObject(path, show(found.route))
    return MatchObject(path, None, "route_unknown" if found.by_method is None else "route_method")
