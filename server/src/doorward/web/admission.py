"""Who may come in to /v1: strangers are turned away before they learn what a body must look like."""

from __future__ import annotations

from doorward.app import admission
from doorward.exchange import run
from doorward.protocol import administration
from doorward.protocol.admin import Caller
from doorward.protocol.administration import Presented
from doorward.protocol.refusal import InvalidRequest
from doorward.web.incoming import Incoming


async def admit(incoming: Incoming, local: Caller | None, scope: str) -> Presented | Caller:
    """Raises a Refusal for whoever may not; a change decides on it once more, on facts of its own."""
    runtime = incoming.runtime
    if "\x00" in incoming.path:
        raise InvalidRequest("the path contains NUL")
    incoming.query()  # repeated, malformed or NUL: refused before anybody reads it in his own way
    if local is not None:
        incoming.actor = local.actor
        return local
    who = administration.presented(incoming.all(b"authorization"), incoming.address, runtime.policy.brand)
    incoming.actor = who.secret_id
    caller = await run(admission(scope), who, runtime.store, lambda found: found, incoming.context)
    incoming.actor = caller.actor
    return who
