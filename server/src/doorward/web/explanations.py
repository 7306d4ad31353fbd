"""Why a request was refused, for an administrator: the sentence and the fix lie in the id, the detail in the ring.

GET /v1/requests/req_...
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from doorward.protocol.explanation import DetailObject, explain
from doorward.store import tallies
from doorward.web.responses import rendered, respond


async def show(request: Request, id: str) -> Response:  # noqa: A002  the path's own name
    incoming = request.incoming  # type: ignore[attr-defined]
    kept = await incoming.runtime.store.read(lambda connection: tallies.find_refusal(connection, id))
    detail = None if kept is None else DetailObject(kept.actor, kept.method, kept.path, kept.detail)
    return respond(rendered(explain(id, incoming.runtime.request_id_key, detail), 200), incoming)


show.__name__ = "explain_request"
