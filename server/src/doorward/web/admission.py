"""Who may come in to /v1: strangers are turned away before they learn what a body must look like."""

from __future__ import annotations

import os
import time

from doorward.app import caller_facts
from doorward.protocol import administration
from doorward.protocol.admin import Caller, permitted
from doorward.protocol.administration import Presented
from doorward.protocol.moment import Moment
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
    gathered = await runtime.store.gather(caller_facts, who)
    moment = Moment(int(time.time()), os.urandom, gathered.position)
    caller = administration.identify(who, gathered.facts, runtime.policy, moment)
    incoming.actor = caller.actor
    permitted(caller, scope)
    return who
