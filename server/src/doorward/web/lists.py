"""Lists and single looks of /v1: plain reads, oldest first, in pages that do not move under their reader.

GET /v1/keys?account=acme&limit=50&cursor=...     ->  {"items": [...], "next_cursor": "..."}
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import asdict, make_dataclass
from typing import Annotated, Any

from fastapi import Query
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from doorward.app import Resource
from doorward.protocol.admin import found
from doorward.protocol.policy import Policy
from doorward.store import lists
from doorward.web import cursor
from doorward.web.replies import JSON, NO_STORE, Reply, compact
from doorward.web.responses import rendered, respond
from doorward.web.runtime import CURSORS, Runtime

LIMIT = 200
Limit = Annotated[int, Query(ge=1, le=LIMIT, description="Entries a page.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]
Filter = Annotated[str | None, Query(max_length=500)]
Endpoint = Callable[..., Coroutine[Any, Any, Response]]


def page_model(resource: Resource) -> type:
    """The type of a page, for the OpenAPI document."""
    name = resource.reply.__name__.removesuffix("Object") + "Page"
    return make_dataclass(name, [("items", list[resource.reply]), ("next_cursor", str | None)])  # type: ignore[name-defined]


def page(resource: Resource) -> Endpoint:
    async def endpoint(request: Any, limit: int = 50, cursor: str | None = None, **filters: str | None) -> Response:
        given = {name: value for name, value in filters.items() if value is not None}
        runtime = request.incoming.runtime
        bound_to = repr((resource.path, sorted(given.items())))
        after = await _after(runtime, bound_to, cursor)
        conditions = _conditions(resource, given, runtime.store.now())
        shown, last = await runtime.store.read(
            lambda connection: _page(connection, resource, given, conditions, after, limit, runtime.policy)
        )
        next_cursor = _next(runtime.keyring.key(CURSORS), bound_to, last)
        return answer(request, compact({"items": shown, "next_cursor": next_cursor}))

    endpoint.__name__ = f"list_{resource.path[1:]}".replace("-", "_")
    endpoint.__signature__ = _signature(resource)  # type: ignore[attr-defined]
    return endpoint


def _signature(resource: Resource) -> inspect.Signature:
    kind, names = inspect.Parameter.KEYWORD_ONLY, (*resource.filters, *resource.conditions)
    return inspect.Signature(
        [
            inspect.Parameter("request", kind, annotation=Request),
            inspect.Parameter("limit", kind, default=50, annotation=Limit),
            inspect.Parameter("cursor", kind, default=None, annotation=Cursor),
            *(inspect.Parameter(name, kind, default=None, annotation=Filter) for name in names),
        ]
    )


def _conditions(resource: Resource, given: dict[str, str], now: int) -> list[Any]:
    """Raises Unprocessable for what is no span."""
    return [made(now, given[name]) for name, made in resource.conditions.items() if name in given]


async def _after(runtime: Runtime, bound_to: str, given: str | None) -> lists.After | None:
    if given is None:
        return None
    created_at, id_ = await cursor.heard(runtime, bound_to, given)
    return created_at, id_


def _next(key: bytes, bound_to: str, last: lists.After | None) -> str | None:
    return None if last is None else cursor.make(key, bound_to, list(last))


def _page(
    connection: Connection,
    resource: Resource,
    given: dict[str, str],
    conditions: list[Any],
    after: lists.After | None,
    limit: int,
    policy: Policy,
) -> tuple[list[dict[str, Any]], lists.After | None]:
    """The entries, and the place of the last of them when there are more."""
    where = {
        column: meaning(connection, given[name])
        for name, (column, meaning) in resource.filters.items()
        if name in given
    }
    places = lists.page(connection, resource.table, where, after, limit + 1, conditions)
    entities = (resource.find(connection, id_) for _, id_ in places[:limit])
    shown = [asdict(resource.show(entity, policy)) for entity in entities if entity is not None]
    return shown, places[limit - 1] if len(places) > limit else None


def one(resource: Resource) -> Endpoint:
    async def endpoint(request: Any, id: str) -> Response:  # noqa: A002  the path's own name
        runtime = request.incoming.runtime
        entity = found(await runtime.store.read(lambda connection: resource.find(connection, id)), "entity")
        return respond(rendered(resource.show(entity, runtime.policy), 200), request.incoming)

    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("request", kind, annotation=Request),
        inspect.Parameter("id", kind, annotation=str),
    ]
    endpoint.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    endpoint.__name__ = f"show_{resource.path[1:]}".replace("-", "_")
    return endpoint


def answer(request: Any, body: bytes) -> Response:
    return respond(Reply(200, body, [JSON, NO_STORE]), request.incoming)
