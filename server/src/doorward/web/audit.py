"""The audit log: the journal as an administrator reads it.

GET /v1/audit?order=desc&limit=50&type=ApiKeyRevoked      GET /v1/audit?after=1042    (what is new)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from doorward.store import audit
from doorward.web import cursor as cursors
from doorward.web.lists import Cursor, answer
from doorward.web.replies import compact
from doorward.web.runtime import CURSORS

# Whoever exports all of it asks for more at once than lists of other things answer.
AuditLimit = Annotated[int, Query(ge=1, le=1000, description="Entries a page.")]
Kind = Annotated[str | None, Query(alias="type", max_length=100, description="Only events of this type.")]
Entity = Annotated[str | None, Query(max_length=200, description="Only what touched the entity with this id.")]
After = Annotated[int | None, Query(ge=0, lt=2**63, description="Only entries behind this `seq`.")]
Since = Annotated[int | None, Query(ge=0, lt=2**63, description="Only what happened from this time on, in seconds.")]
Until = Annotated[int | None, Query(ge=0, lt=2**63, description="Only what happened before this time, in seconds.")]
Order = Annotated[Literal["asc", "desc"], Query(description="Oldest or newest first.")]


@dataclass(frozen=True, slots=True)
class AuditEntryObject:
    """One event: what happened to which entity, who did it, in which request."""

    seq: int
    at: int
    kind: str
    type: str
    entity: str
    entity_id: str
    actor: str
    request_id: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AuditPage:
    items: list[AuditEntryObject]
    next_cursor: str | None


async def page(
    request: Request,
    limit: AuditLimit = 50,
    cursor: Cursor = None,
    after: After = None,
    order: Order = "asc",
    type_: Kind = None,
    entity: Entity = None,
    since: Since = None,
    until: Until = None,
) -> Response:
    runtime = request.incoming.runtime  # type: ignore[attr-defined]
    bound_to = repr(("/audit", order, type_, entity, since, until))
    if cursor is not None:
        (after,) = await cursors.heard(runtime, bound_to, cursor)
    query = audit.Query(after, limit + 1, order == "desc", type_, entity, since, until)
    found: list[Mapping[str, Any]] = await runtime.store.read(lambda connection: audit.page(connection, query))
    shown = found[:limit]
    last = cursors.make(runtime.keyring.key(CURSORS), bound_to, [shown[-1]["seq"]]) if len(found) > limit else None
    return answer(request, compact({"items": shown, "next_cursor": last}))


page.__name__ = "list_audit"
