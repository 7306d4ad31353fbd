"""Why a request was refused, for an administrator: the sentence and the fix lie in the id, the detail in the ring.

GET /v1/requests/req_...
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from doorward.protocol.explanation import DetailObject, explain
from doorward.store import tallies
from doorward.web.responses import rendered, respond
from doorward.web.runtime import REQUEST_IDS
from doorward_verify import request_id


async def show(request: Request, id: str) -> Response:  # noqa: A002  the path's own name
    incoming = request.incoming  # type: ignore[attr-defined]
    # It may have been made under a master key that this worker has not heard of.
    await incoming.runtime.store.hear_now()
    kept = await incoming.runtime.store.read(lambda connection: tallies.find_refusal(connection, id))
    detail = None if kept is None else DetailObject(kept.actor, kept.method, kept.path, kept.detail)
    keys = incoming.runtime.keyring.keys(REQUEST_IDS)
    key = next((key for key in keys if request_id.is_authentic(id, key)), keys[0])
    return respond(rendered(explain(id, key, detail), 200), incoming)


show.__name__ = "explain_request"
