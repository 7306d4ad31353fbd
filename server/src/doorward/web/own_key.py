"""`/v1/keys/self/revoke` as plain ASGI: the one path of /v1 that is for an api key, and for no admin key.

As with reports of leaks one address may come so often: what is refused of a key or decoy that exists is kept.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp

from doorward.app import OWN_KEY_END
from doorward.exchange import run
from doorward.protocol import own_key
from doorward.web.incoming import Incoming
from doorward.web.leaks import Addresses, answering
from doorward.web.replies import Reply
from doorward.web.responses import rendered
from doorward.web.runtime import Runtime

PATH = "/v1/keys/self/revoke"


def applications(runtime: Runtime) -> dict[str, ASGIApp]:
    addresses = Addresses()

    async def revoke(incoming: Incoming) -> Reply:
        addresses.admit(incoming.address, asyncio.get_running_loop().time())
        return await _revoke(incoming)

    return {PATH: answering(runtime, PATH, revoke)}


async def _revoke(incoming: Incoming) -> Reply:
    brand = incoming.runtime.policy.brand
    request = own_key.parse(incoming.all(b"authorization"), incoming.all(b"x-api-key"), brand)
    incoming.actor = request.about.id or "an imported key"
    return await run(
        OWN_KEY_END, request, incoming.runtime.store, lambda ended: rendered(ended, 200), incoming.context
    )  # fmt: skip
