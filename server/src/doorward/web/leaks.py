"""Where anybody who found a secret of ours hands it in (decision 16a).

POST /leaks/burn      {"token": "dw_live_...", "location": "..."}                   202, whatever it was
POST /leaks/verify    {"token": "dw_live_..."}                                      with an admin key (leaks:verify)
POST /leaks/verify    {"DoorwardKey": {"token": ["dw_live_...", "dw_live_..."]}}    as trufflehog asks

Whoever shows a secret has it, so he may end it; that is all he learns: an answer comes at the next beat of a slow
clock, so that its time tells nothing about what was done.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.app import LEAKS
from doorward.exchange import run
from doorward.protocol import leak
from doorward.protocol.leak import Outcome, Report, TooManyReports
from doorward.protocol.refusal import Gone, InvalidRequest, NotFound, TemporarilyUnavailable
from doorward.protocol.sign_in import network_of
from doorward.web.admission import admit
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse
from doorward.web.replies import JSON, NO_STORE, Reply, compact, send_reply
from doorward.web.runtime import Runtime

BEAT = 0.25
# Burning is free for whoever has a secret; a flood of guesses waits for its beat, or is turned away.
UNDER_WAY_LIMIT = 256
# Of one address at each worker: so many at once, and then one each so many seconds.
BURST, INTERVAL = 200, 0.5
ADDRESS_LIMIT = 10_000
# Reports that are decided and committed together.
BATCH = 500
VERIFY_SCOPE = "leaks:verify"
Answer = Callable[[Incoming], Awaitable[Reply]]


def applications(runtime: Runtime) -> dict[str, ASGIApp]:
    burning = Burning()
    return {
        "/leaks/burn": answering(runtime, "/leaks/burn", burning.answer),
        "/leaks/verify": answering(runtime, "/leaks/verify", _verify),
    }


def answering(runtime: Runtime, path: str, answer: Answer, method: str = "POST") -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        try:
            incoming.allow(method)
            incoming.query()
            reply = await answer(incoming)
        except REFUSED as fault:
            reply = refuse(fault, incoming)
        runtime.metrics.answered(path, reply.status)
        await send_reply(send, reply, incoming)

    return application


async def take(incoming: Incoming, reports: tuple[Report, ...]) -> tuple[Outcome, ...]:
    """What became of each; all that had to end has ended when this returns."""
    store = incoming.runtime.store
    outcomes: list[Outcome] = []
    for start in range(0, len(reports), BATCH):
        batch = reports[start : start + BATCH]
        outcomes += await run(LEAKS, batch, store, lambda decided: decided, incoming.context)
    return tuple(outcomes)


@dataclass(slots=True)
class Addresses:
    """When each of those who reported lately would be as free as one who never did."""

    free_at: dict[str, float] = field(default_factory=dict)

    def admit(self, address: str, now: float) -> None:
        """Before anything else is looked at: a refusal tells nothing about what was handed in."""
        network = network_of(address)
        free_at = max(self.free_at.pop(network, now), now) + INTERVAL
        wait = free_at - now - BURST * INTERVAL
        if wait > 0:
            self.free_at[network] = free_at - INTERVAL
            raise TooManyReports("too many reports came from here", fields=(("retry_after", str(math.ceil(wait))),))
        self.free_at[network] = free_at
        # Who comes again stands behind those who do not: the first are those that are forgotten.
        while len(self.free_at) > ADDRESS_LIMIT:
            del self.free_at[next(iter(self.free_at))]


@dataclass(slots=True)
class Burning:
    """`under_way` counts this worker's. Those of one secret take turns: facts that others change would go stale."""

    under_way: int = 0
    addresses: Addresses = field(default_factory=Addresses)
    turns: tuple[asyncio.Lock, ...] = field(default_factory=lambda: tuple(asyncio.Lock() for _ in range(64)))

    async def answer(self, incoming: Incoming) -> Reply:
        self.addresses.admit(incoming.address, asyncio.get_running_loop().time())
        report = _burnt(await incoming.json(), incoming.runtime.policy.brand)
        if self.under_way >= UNDER_WAY_LIMIT:
            raise TemporarilyUnavailable("too many reports are waiting", reason="overloaded")
        incoming.actor = "burn"
        self.under_way += 1
        began = asyncio.get_running_loop().time()
        try:
            async with self.turns[hash(report.about.id) % len(self.turns)]:
                await take(incoming, (report,))
        finally:
            await beat(began)
            self.under_way -= 1
        return Reply(202, b"{}", [JSON, NO_STORE])


async def beat(began: float) -> None:
    passed = asyncio.get_running_loop().time() - began
    await asyncio.sleep(BEAT - passed % BEAT)


def _burnt(document: dict[str, Any], brand: str) -> Report:
    token, place = document.get("token"), document.get("location", "")
    if not isinstance(token, str) or not isinstance(place, str) or not document.keys() <= {"token", "location"}:
        raise InvalidRequest("the body is not an object with token, and perhaps location")
    return Report(leak.classify(token, brand), "burn", leak.location(place), revoke=True)


async def _verify(incoming: Incoming) -> Reply:
    """For scanners: is this one of ours, and alive? Whoever asks so has found it, so that it is a report too."""
    await admit(incoming, None, VERIFY_SCOPE)
    text, place = _asked(await incoming.json())
    report = Report(leak.classify(text, incoming.runtime.policy.brand), "scanner", leak.location(place))
    (outcome,) = await take(incoming, (report,))
    if outcome.known is None:
        raise NotFound("this is no secret of this deployment")
    if outcome.word == leak.ENDED:
        raise Gone("the secret has ended", reason="credential_revoked")
    known = outcome.known
    body = {"id": known.id, "credential": known.kind, "outcome": outcome.word}
    return Reply(200, compact(body), [JSON, NO_STORE])


def _asked(document: dict[str, Any]) -> tuple[str, str]:
    token, place = document.get("token"), document.get("location", "")
    if token is None and len(document) == 1:
        # trufflehog: the detector's name, and for each group of its expression what matched.
        (groups,) = document.values()
        matches = groups.get("token") if isinstance(groups, dict) else None
        token = matches[-1] if isinstance(matches, list) and matches else None
    if not isinstance(token, str) or not isinstance(place, str):
        raise InvalidRequest("the body is not an object with token, and perhaps location")
    return token, place
