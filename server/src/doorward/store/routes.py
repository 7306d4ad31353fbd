"""The routes that apis have, compiled once for every worker and anew when one of them changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from sqlalchemy import Connection, select

from doorward.protocol import route_policy
from doorward.protocol.gateway_events import OfGateways, RoutesChanged
from doorward.store.memory import Reader
from doorward.store.tables import apis


@dataclass(frozen=True, slots=True)
class Compiled:
    table: route_policy.Table
    refs: tuple[str, ...] = ("route/all",)


def compiled(connection: Connection, _: str = "all") -> Compiled:
    columns = select(apis.c.identifier, apis.c.name, apis.c.routes).order_by(apis.c.created_at, apis.c.id)
    found = connection.execute(columns)
    return Compiled(route_policy.compiled(one for row in found for one in route_policy.of_api(*row)))


def of_apis(read: Reader) -> route_policy.Table:
    """From memory as a rule."""
    found = read(compiled, "all")
    return route_policy.NONE if found is None else found.table


def apply(connection: Connection, event: OfGateways) -> None:  # noqa: ARG001
    match event:
        case RoutesChanged():
            pass  # the api's own event wrote them; by this one every worker hears that all are to be read anew
        case _:
            assert_never(event)
