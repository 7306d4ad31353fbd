"""One process's application: the hot paths by a dictionary, the rest by Starlette; and how it is opened and closed."""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from doorward.data_directory import DataDirectory
from doorward.exchange import ATTEMPTS
from doorward.protocol import setup, signing_key
from doorward.protocol.admin import Caller
from doorward.protocol.decision import Decision
from doorward.protocol.entities import SigningKey
from doorward.protocol.events import Event
from doorward.protocol.moment import Moment
from doorward.protocol.node import DRAINING, READY
from doorward.protocol.refusal import NotFound
from doorward.settings import Settings, StartRefused, is_loopback
from doorward.sign import Signer
from doorward.store import sessions, setup_links, signing_keys
from doorward.store.journal import Context
from doorward.store.memory import Reader
from doorward.store.rows import Stale
from doorward.store.store import Store
from doorward.store.writer import Unavailable
from doorward.web import (
    account,
    account_keys,
    admin,
    authorize,
    client_logos,
    consent,
    discovery,
    feed,
    gateway_checks,
    introspect,
    issuing,
    key_checks,
    leak_partners,
    leaks,
    logout,
    metrics,
    notices,
    operations,
    own_key,
    pages,
    plaintext,
    presence,
    reset,
    revocation,
    sign_in,
    status_lists,
    upkeep,
    upstream_sign_in,
    usage,
    userinfo,
)  # fmt: skip
from doorward.web.back_channel import BackChannel
from doorward.web.connection import IN_THE_CLEAR
from doorward.web.high_water import HighWater
from doorward.web.incoming import Incoming
from doorward.web.key_upkeep import KeyUpkeep
from doorward.web.load import Load
from doorward.web.metrics import Metrics
from doorward.web.notices import Notices
from doorward.web.opening import UNREACHABLE, open_store, refuse_damaged, tidy
from doorward.web.plaintext import Plaintext
from doorward.web.presence import Presence
from doorward.web.refused import refuse
from doorward.web.replies import STRICT_TRANSPORT, Headers, send_reply
from doorward.web.runtime import Runtime, runtime
from doorward.web.turned_away import turned_away
from doorward.web.upkeep import Upkeep

log = logging.getLogger("doorward")
Facts = TypeVar("Facts")
Answer = TypeVar("Answer")
ADMIN_SCOPE = frozenset({"admin"})
AT_START = Context("server")
CLOSE = (b"connection", b"close")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the start has to tell; the token is shown once, as part of the setup link."""

    setup_token: str | None = field(repr=False)


def prepare(settings: Settings, data: DataDirectory) -> Prepared:
    """Once, before any worker runs: the schema, the first signing keys, and a setup link while nobody administers."""
    metrics.prepare(data.path)
    refuse_damaged(settings)
    opened = open_store(settings, data)
    tidy(settings, data)
    store = opened.store
    try:
        presence.join(store, presence.sign(settings, data, 1))
        _keep_signing_keys(store, Signer(opened.keyring))
        return Prepared(_offer_setup(store))
    finally:
        store.dispose()


@asynccontextmanager
async def running(settings: Settings, data: DataDirectory, node: int) -> AsyncGenerator[ASGIApp]:
    """A worker's application, served over the network."""
    async with _opened(settings, data, node + 1) as made:
        checks = gateway_checks.checks(made, settings)
        async with _asked_by_envoy(checks, settings):
            keys = discovery.published(made)
            # Known before anybody asks: the database may be gone when somebody does.
            with suppress(Unavailable):
                await asyncio.gather(*(document() for document in keys.values()))
            yield application(made, settings, checks, keys)


@asynccontextmanager
async def local(settings: Settings, data: DataDirectory) -> AsyncGenerator[ASGIApp]:
    """The admin API for whoever may read the data directory: its file mode is the credential (decision 20)."""
    async with _opened(settings, data, 0) as made:
        _keep_signing_keys(made.store, made.signer)
        caller = Caller(f"local:{os.getuid()}", ADMIN_SCOPE)
        yield Router([Mount("/v1", admin.application(made, caller))])


@asynccontextmanager
async def _opened(settings: Settings, data: DataDirectory, node: int) -> AsyncGenerator[Runtime]:
    opened = open_store(settings, data)
    store, counters = opened.store, Metrics()
    present = Presence(store, counters, presence.sign(settings, data, node))
    made = runtime(store, opened.keyring, counters, node, settings, present)
    store.start(partial(_observe, counters), made.fan_out.hear_soon, _end_at_once if node else None)
    regularly = [counters.write_regularly(), made.fan_out.beat_regularly()]
    if node:
        store.keep_house()
        made.passwords.measure(store.read_now(sessions.any_password))
        regularly.append(Upkeep(store, made.signer).look_regularly())
        regularly.append(KeyUpkeep(store).look_regularly())
        regularly.append(BackChannel(store, made.signer, made.fetch).look_regularly())
        regularly.append(Notices(made).send_regularly())
        regularly.append(present.beat_regularly())
    marking = HighWater(store, data.path)
    if node <= 1:
        regularly.append(marking.look_regularly())
    beside = [asyncio.create_task(work) for work in regularly]
    try:
        yield made
    finally:
        for task in beside:
            task.cancel()
        if node:
            await present.leave()
        made.passwords.stop()
        made.slow_keys.stop()
        await made.limiter.cells.stop()
        store.stop()
        marking.write()


def _observe(counters: Metrics, events: tuple[Event, ...]) -> None:
    counters.committed(events)
    notices.alarm(events)


def _end_at_once() -> None:
    """The disk failed (F10). What was written since its last success may be gone, though every read would show it:
    nothing more is acknowledged, and the next start reads what is there."""
    log.critical("the disk failed while it was written to: the server ends, and nothing that it confirmed is lost")
    logging.shutdown()
    os._exit(os.EX_IOERR)


def _keep_signing_keys(store: Store, signer: Signer) -> None:
    """What is due, as `upkeep` does it later on; at a first start that is every key. First starts at once agree."""

    def decide(keys: tuple[SigningKey, ...], moment: Moment) -> Decision[None]:
        return signing_key.upkeep(upkeep.fresh(signer, keys, moment), keys, store.policy, moment)

    _decide_at_start(store, signing_keys.standing, decide)


def _offer_setup(store: Store) -> str | None:
    return _decide_at_start(
        store, setup_links.offer_facts, lambda exists, moment: setup.offer(exists, store.policy, moment)
    )


def _decide_at_start(
    store: Store, gather: Callable[[Reader, None], Facts], decide: Callable[[Facts, Moment], Decision[Answer]]
) -> Answer:
    """As the runner does it for requests, before anything runs; another start may come in between."""
    for _ in range(ATTEMPTS):
        gathered = store.gather_now(gather, None)
        moment = Moment(store.now(), os.urandom, gathered.position)
        decision = decide(gathered.facts, moment)
        try:
            if decision.events:
                store.commit_now(decision.events, gathered, AT_START, moment.now)
        except Stale:
            continue
        return decision.reply
    raise StartRefused(UNREACHABLE)


def _asked_by_envoy(checks: gateway_checks.Checks, settings: Settings) -> AbstractAsyncContextManager[None]:
    """gRPC is imported where somebody listens for it."""
    if settings.check_grpc_listen is None:
        return nullcontext()
    from doorward.web import envoy_listener

    return envoy_listener.listening(checks, settings.check_grpc_listen)


def application(
    made: Runtime, settings: Settings, checks: gateway_checks.Checks, keys: Mapping[str, discovery.Keys]
) -> Application:
    """What answers a request: found by its exact path, or by Starlette, or not at all."""
    hot = {
        issuing.PATH: issuing.application(made),
        authorize.PATH: authorize.application(made),
        revocation.PATH: revocation.application(made),
        **discovery.applications(made, keys),
        **operations.applications(made),
        **key_checks.applications(made),
        introspect.PATH: introspect.application(made),
        **feed.applications(made),
        **status_lists.applications(made),
        **usage.applications(made),
        **userinfo.applications(made),
        **leaks.applications(made),
        **own_key.applications(made),
        **leak_partners.applications(made),
        **plaintext.applications(made),
    }
    routes = [
        *pages.routes(made),
        *_people(made),
        status_lists.mount(made),
        Mount("/v1", admin.application(made)),
    ]
    rest = Router(routes, redirect_slashes=False, default=_nowhere(made))
    extra = [] if _is_local(settings.issuer) else [STRICT_TRANSPORT]
    load = Load(partial(turned_away, made, extra), made.metrics)
    return Application(hot, _identified(rest, made), checks, made, extra, load)


def _people(made: Runtime) -> list[Route]:
    asked = (*consent.routes(made), *client_logos.routes(made), *upstream_sign_in.routes(made))
    return [
        *sign_in.routes(made),
        *logout.routes(made),
        *reset.routes(made),
        *account.routes(made),
        *account_keys.routes(made),
        *asked,
    ]


def _is_local(issuer: str) -> bool:
    """A browser would apply HSTS to every port of localhost, also to what others develop there."""
    return is_loopback(urlsplit(issuer).hostname or "")


@dataclass(frozen=True, slots=True)
class Application:
    """The outermost layer: an error of ours is logged without its input, and answered as one (T202)."""

    hot: dict[str, ASGIApp]
    rest: ASGIApp
    checks: gateway_checks.Checks
    made: Runtime
    extra: Headers
    load: Load

    @property
    def plaintext(self) -> Plaintext:
        """What answers at the port, and what of it gateways hand on."""
        return self.checks.plaintext

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outgoing = Outgoing(send, self._fields(scope))
        # There the field tells of the request that the gateway hands on, which came in the clear for sure.
        if scope.get(IN_THE_CLEAR) and not scope["path"].startswith(gateway_checks.CLEAR):
            await self.plaintext.refuse_hop(Incoming(scope, receive, self.made), outgoing)
            return
        try:
            await self._answering(scope)(scope, receive, outgoing)
        except Exception as fault:
            # Where /v1 has answered it already, under an id that the log must name too.
            incoming = scope.get(admin.INCOMING) or Incoming(scope, receive, self.made)
            await _fail(fault, incoming, outgoing)

    def _answering(self, scope: Scope) -> ASGIApp:
        path: str = scope["path"]
        if gateway_checks.AT_LISTENER in scope or path.startswith(gateway_checks.PREFIX):
            return self.checks
        return self.hot.get(path, self.rest)

    def _fields(self, scope: Scope) -> Headers:
        """A balancer that keeps connections to a node that leaves would send requests into their end."""
        leaving = [CLOSE] if self.made.presence.state == DRAINING else []
        return [*(self.extra if scope["scheme"] == "https" else []), *leaving]

    def begin(self) -> None:
        self.made.presence.become(READY)

    def drain(self) -> None:
        """Everything is answered as before, but whoever asks where to send more is told: elsewhere."""
        self.made.presence.become(DRAINING)

    def end_streams(self) -> None:
        """The server is about to end, and waits for every answer."""
        self.drain()
        self.made.fan_out.close()


def _identified(rest: ASGIApp, made: Runtime) -> ASGIApp:
    """Pages and documents know nothing of request ids; every answer has one all the same."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def outgoing(message: Message) -> None:
            if message["type"] == "http.response.start" and b"x-request-id" not in dict(message["headers"]):
                request_id = Incoming(scope, receive, made).request_id.encode()
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        await rest(scope, receive, outgoing)

    return app


class Outgoing:
    """What leaves: adds the fields that every answer has, and knows whether one has begun."""

    __slots__ = ("_extra", "_send", "begun")

    def __init__(self, send: Send, extra: Headers) -> None:
        self._send, self._extra, self.begun = send, extra, False

    async def __call__(self, message: Message) -> None:
        if not self.begun and message["type"] == "http.response.start":
            self.begun = True
            if self._extra:
                message["headers"] = [*message["headers"], *self._extra]
        await self._send(message)


async def _fail(fault: Exception, incoming: Incoming, outgoing: Outgoing) -> None:
    if not outgoing.begun:
        await send_reply(outgoing, refuse(fault, incoming), incoming)
    log.error("%s failed\n%s", incoming.request_id, _place_of(fault))


def _place_of(fault: Exception) -> str:
    """Where it failed and with what kind of exception; messages are left out, since they may quote the input."""
    frames = "".join(traceback.format_tb(fault.__traceback__))
    return f"{frames}{type(fault).__name__}"


def _nowhere(made: Runtime) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, made)
        fault = NotFound("nothing answers at this path", reason="path_unknown")
        await send_reply(send, refuse(fault, incoming), incoming)

    return application
