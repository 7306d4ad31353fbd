"""The plaintext port (decision 16): one answer to everything; what arrived there ends, since others may have read it.

POST http://auth.example.com/oauth/token            403, at the next beat of a slow clock if it held a credential
GET  http://auth.example.com/login                  308 to https://

Behind the same refusal: what a gateway's own plaintext port received; a request of which a believed proxy says that a
hop was plain HTTP, whose credentials are flagged alone; and the reports of verifiers about the ports of their apis.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from doorward.app import PLAINTEXT
from doorward.exchange import run
from doorward.protocol.plaintext import ORIGIN, PROXY, Arrived, Burnt, arrived
from doorward.protocol.refusal import InTheClear, Refusal
from doorward.web import forwarded
from doorward.web.connection import LimitedProtocol, target
from doorward.web.forwarded import Network
from doorward.web.incoming import Incoming
from doorward.web.leaks import UNDER_WAY_LIMIT, answering, beat
from doorward.web.refused import refuse
from doorward.web.replies import JSON, NO_STORE, Reply, send_reply
from doorward.web.runtime import Runtime
from doorward_verify import exposed
from doorward_verify.address_limit import AddressLimit

PATH = "/leaks/plaintext"
# Where people arrive who typed an address without its scheme.
PAGES = frozenset(("/", "/account", "/console", "/device", "/login", "/setup"))
CLOSE = (b"connection", b"close")
# Requests with credentials, from one address in a minute; more are guesses, and get the same answer.
ADDRESS_LIMIT = 10

log = logging.getLogger("doorward.plaintext")


def applications(runtime: Runtime) -> dict[str, ASGIApp]:
    """Of the server proper: what verifiers report."""
    return {PATH: answering(runtime, PATH, _report)}


async def _report(incoming: Incoming) -> Reply:
    """One answer, whatever is known of what was reported."""
    brand = incoming.runtime.policy.brand
    request = PLAINTEXT.parse(incoming.all(b"authorization"), incoming.query(), await incoming.json(), brand)
    incoming.actor = request.credentials.client_id
    await _burn(incoming, request)
    return Reply(202, b"{}", [JSON, NO_STORE])


async def _burn(incoming: Incoming, request: Arrived) -> None:
    burnt: Burnt = await run(PLAINTEXT, request, incoming.runtime.store, lambda decided: decided, incoming.context)
    for outcome in burnt.outcomes:
        incoming.runtime.metrics.in_the_clear(outcome.word)
    if burnt.is_broken:
        incoming.runtime.metrics.in_the_clear("breaker")
        log.error("%s so many credentials arrive in the clear that they are flagged and no longer revoked",
                  incoming.request_id)  # fmt: skip


@dataclass(slots=True)
class Plaintext:
    """Of one worker."""

    runtime: Runtime
    under_way: int = 0
    _limit: AddressLimit = field(default_factory=lambda: AddressLimit(ADDRESS_LIMIT))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What answers at the port. Nothing that was sent there decides which answer it is, but the name of a page."""
        incoming = Incoming(scope, receive, self.runtime, ORIGIN)
        body = await _body(incoming)
        texts = self._texts(incoming, body)
        if not texts and incoming.method in ("GET", "HEAD") and incoming.path in PAGES:
            location = (b"location", (self.runtime.policy.issuer + incoming.path).encode())
            await send_reply(send, Reply(308, b"", [location, NO_STORE, CLOSE]), incoming)
            return
        await self._refuse(incoming, send, texts, ORIGIN)

    async def refuse_at_gateway(self, incoming: Incoming, send: Send, believed: tuple[Network, ...]) -> None:
        """One that has shown that it is one vouches that its plaintext port received this; it shows no body."""
        incoming.actor = ORIGIN
        # Where all that it names are believed proxies, the last one stands for who asked it.
        caller = forwarded.caller(incoming.headers, believed) or forwarded.caller(incoming.headers, ())
        incoming.scope["client"] = (caller or "", 0)
        await self._refuse(incoming, send, self._texts(incoming), ORIGIN)

    async def refuse_hop(self, incoming: Incoming, send: Send) -> None:
        """A believed proxy says that some hop was plain HTTP. Its word is no proof; the body is not even read."""
        incoming.actor = PROXY
        await self._refuse(incoming, send, self._texts(incoming), PROXY)

    def _texts(self, incoming: Incoming, body: bytes = b"") -> tuple[str, ...]:
        return exposed.texts(incoming.headers, target(incoming.scope), body, self.runtime.policy.brand)

    async def _refuse(self, incoming: Incoming, send: Send, texts: tuple[str, ...], origin: str) -> None:
        if texts:
            await self._end(incoming, arrived(texts, incoming.address, origin, self.runtime.policy.brand))
        else:
            self.runtime.metrics.in_the_clear("nothing")
        reply = refuse(InTheClear("plain http is not served"), incoming)
        reply.headers.append(CLOSE)
        await send_reply(send, reply, incoming)

    async def _end(self, incoming: Incoming, request: Arrived) -> None:
        """Comes back at a beat, whatever was found and done, and whatever went wrong."""
        began = asyncio.get_running_loop().time()
        if self.under_way >= UNDER_WAY_LIMIT or not self._limit.allows(incoming.address, began):
            self.runtime.metrics.in_the_clear("limited")
            return
        self.under_way += 1
        try:
            await _burn(incoming, request)
        except Exception as fault:  # whatever it is, the answer is the same
            self.runtime.metrics.in_the_clear("failed")
            log.error("%s what arrived in the clear could not be ended: %s", incoming.request_id, type(fault).__name__)
        finally:
            await beat(began)
            self.under_way -= 1

    def connections(self, state: ServerState) -> Callable[[], asyncio.Protocol]:
        """What makes a connection of the port; the server that ends waits for these as for its own."""
        config = uvicorn.Config(
            self, http=PlaintextProtocol, ws="none", lifespan="off", interface="asgi3", log_config=None,
            access_log=False, server_header=False, proxy_headers=False,
        )  # fmt: skip
        config.load()
        return partial(PlaintextProtocol, config=config, server_state=state, app_state={})


class PlaintextProtocol(LimitedProtocol):
    """No proxy is believed here, nor is one suspected; what is no request gets the same answer as all that are."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._believed = self._suspicious = False

    def _refuse(self, status: int, error: str, description: str) -> None:  # noqa: ARG002
        super()._refuse(403, "invalid_request", "plain http is not served")


async def _body(incoming: Incoming) -> bytes:
    """As much as may be read; what is too long, or was cut off, hides nothing that its headers hold."""
    try:
        return await incoming.body()
    except Refusal:
        return b""
