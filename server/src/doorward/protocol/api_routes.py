"""The routes of an api, as `/v1/apis` takes and shows them: which of its requests a gateway lets through.

"routes": [{"path": "/invoices/{id}", "methods": ["GET"], "scope": "invoices:read"}]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from doorward.protocol import route_limit, route_policy
from doorward.protocol.admin import Strict, invalid
from doorward.protocol.entities import JSON, Api
from doorward.protocol.gateway_events import RoutesChanged
from doorward.protocol.refusal import Conflict, Unprocessable
from doorward.protocol.route_limit import RouteLimit
from doorward.protocol.route_policy import BadRoute, Route, Table


@dataclass(frozen=True, slots=True)
class RouteObject(Strict):
    """`service` is whom the assertion is for: the api itself, unless said otherwise. Without `transports` keys may
    come as the api takes them; `cost` is what one request takes of each limit."""

    path: str
    methods: list[str]
    scope: str = ""
    service: str = ""
    host: str = ""
    transports: list[str] = field(default_factory=list)
    environment: str = "live"
    public: bool = False
    preflight: bool = False
    limits: list[RouteLimit] = field(default_factory=list)
    cost: int = 1


def kept(given: Sequence[RouteObject], identifier: str, scopes: Iterable[str]) -> tuple[Mapping[str, JSON], ...]:
    """The routes in the one form in which they are kept. Raises Unprocessable by the name of what is wrong."""
    if len(given) > route_policy.LIMIT:
        raise invalid("routes", f"must be at most {route_policy.LIMIT}")
    made = [_route(index, one, identifier) for index, one in enumerate(given)]
    for index, route in enumerate(made):
        if not route.scope <= set(scopes):
            raise invalid(f"routes.{index}.scope", "must be scopes of this api")
    twice = route_policy.compiled(made).taken
    if twice:
        raise invalid("routes", f"must name each method of {twice[0].second.path} once")
    return tuple(route_policy.members(route) for route in made)


def _route(index: int, given: RouteObject, identifier: str) -> Route:
    try:
        return route_policy.route(asdict(given), api=identifier)
    except BadRoute as bad:
        name, text = f"routes.{index}.{bad.member}", f"{bad.member} of a route {bad.must}"
        raise Unprocessable(text, reason=bad.reason, fields=((name, bad.must),)) from None


def check_free(api: Api, others: Table) -> None:
    """Raises Conflict where two apis say something of the same pattern and method: which counts is nobody's guess."""
    own = route_policy.of_api(api.identifier, api.name, api.routes)
    taken = route_policy.compiled([*(one for one in others.routes if one.api != api.identifier), *own]).taken
    if taken:
        first, second = taken[0]
        raise Conflict(f"the api {first.origin} has a route for {second.path} already", reason="route_taken")


def check_arrivals(api: Api) -> None:
    """Raises Unprocessable where nothing could open a route: neither a token, nor a key as the api takes them."""
    for index, one in enumerate(shown(api)):
        if one.transports and not one.public and not {"bearer", *api.transports} & set(one.transports):
            name, must = f"routes.{index}.transports", "must have bearer, or one in which the api takes keys"
            raise Unprocessable(f"transports of a route {must}", reason="route_impossible", fields=((name, must),))


def changed(api: Api, before: Api | None = None) -> tuple[RoutesChanged, ...]:
    """What every worker has to hear of: the routes, or by which name they are told apart."""
    held = () if before is None else before.routes
    is_renamed = before is not None and before.name != api.name and bool(api.routes)
    return (RoutesChanged(api, held),) if is_renamed or held != api.routes else ()


def shown(api: Api) -> list[RouteObject]:
    return [_shown(one) for one in api.routes]


def _shown(kept: Mapping[str, Any]) -> RouteObject:
    return RouteObject(**{**kept, "limits": [*route_limit.made(kept.get("limits", ()))]})
