"""`/oauth/revoke` (RFC 7009) as plain ASGI. Browsers of any origin may revoke tokens (T182).

POST /oauth/revoke          token=dw_live_...
"""

from __future__ import annotations

from starlette.types import ASGIApp

from doorward.app import ENDPOINTS
from doorward.exchange import run
from doorward.web.endpoint import endpoint
from doorward.web.incoming import Incoming
from doorward.web.replies import JSON, NO_STORE, Reply
from doorward.web.runtime import Runtime

PATH = "/oauth/revoke"
EXCHANGE = ENDPOINTS[PATH]


def application(runtime: Runtime) -> ASGIApp:
    return endpoint(runtime, PATH, _revoked, any_origin=True)


async def _revoked(incoming: Incoming) -> Reply:
    form, runtime = await incoming.form(), incoming.runtime
    request = EXCHANGE.parse(incoming.all(b"authorization"), form, incoming.query(), runtime.policy.brand)
    incoming.actor = request.credentials.client_id
    return await run(EXCHANGE, request, runtime.store, lambda _: Reply(200, b"{}", [JSON, NO_STORE]), incoming.context)
