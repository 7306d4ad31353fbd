"""`/check/*`: what gateways ask about each request; a path for each family of header fields (decision 31).

nginx     GET /check/nginx            x-original-method: GET    x-original-url: https://api.example.com/invoices/7
Caddy     GET /check/forward          x-forwarded-method: GET   x-forwarded-uri: /invoices/7   -proto, -host
Envoy     GET /check/envoy/invoices/7
all       GET /check/plaintext      x-forwarded-uri: /invoices/7, and the rest of what came to their plaintext port

200 with an empty body lets the request through, and nothing else does. Every identity field is always there.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from doorward.app import CHECKS
from doorward.exchange import run
from doorward.protocol import gateway, gateway_check, limit
from doorward.protocol.gateway import Request
from doorward.protocol.gateway_check import Passage
from doorward.protocol.reasons import REASONS
from doorward.protocol.refusal import (
    InsufficientScope,
    InvalidToken,
    NotFound,
    Refusal,
    RouteRefused,
    SlowDown,
    Unprocessable,
)
from doorward.settings import Settings
from doorward.web import forwarded, slow_keys
from doorward.web.connection import target
from doorward.web.forwarded import Network
from doorward.web.incoming import Incoming
from doorward.web.plaintext import Plaintext
from doorward.web.refused import REFUSED, refuse
from doorward.web.replies import JSON, NO_STORE, RETRY_AFTER, Headers, Reply, compact, docs_link, send_reply
from doorward.web.runtime import Runtime
from doorward.web.warm import Seen, Warm
from doorward_verify import challenge
from doorward_verify.errors import RateLimited

NGINX, FORWARD, ENVOY, GRPC = CHECKS
PREFIX = "/check/"
# Envoy puts the path behind it that was asked for.
CLEAR = "/check/plaintext"
# Set in the scope of what came by a listener that gateways alone can reach (web/check_listener.py).
AT_LISTENER = "doorward.at_check_listener"
# nginx takes 401 and 403 for a no, and everything else for a failure of ours.
OF_NGINX = {400: 403, 422: 403, 429: 403}
STRIPPED = (b"x-envoy-auth-headers-to-remove", b"authorization,x-api-key,x-check-secret")
# By which the generated configurations know an answer of ours from anybody's 200.
VOUCHED = (b"x-auth-status", b"200")
VALUE_LIMIT = 2048

Ask = Callable[[Incoming], Request]


Question = tuple[object, ...]


class Passed(NamedTuple):
    passage: Passage
    reply: Reply


def _question(request: Request) -> Question:
    """All that a decision depends on beside the facts; of the credential the digest."""
    return (
        request.method, request.host, request.target, request.is_plaintext, request.address, request.transport,
        request.flaw, request.wanted_method, sha256(request.credential.encode("utf-8", "surrogatepass")).digest(),
    )  # fmt: skip


class Checks:
    """`believed` are proxies that stand before the gateways: whom they name is the caller."""

    def __init__(
        self, runtime: Runtime, plaintext: Plaintext, secret: str | None, believed: tuple[Network, ...]
    ) -> None:
        self.runtime, self.plaintext, self._believed = runtime, plaintext, believed
        self._secret = None if secret is None else secret.encode()
        self._warm: Warm[Passed] = Warm(runtime.store)
        self._asks: dict[str, Ask] = {NGINX: self._of_nginx, FORWARD: self._of_forward, ENVOY: self._of_envoy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything below /check, at any listener."""
        incoming = Incoming(scope, receive, self.runtime)
        family = ENVOY if incoming.path.startswith(f"{ENVOY}/") else incoming.path
        try:
            self._admit(incoming)
            if incoming.path.startswith(CLEAR):
                await self.plaintext.refuse_at_gateway(incoming, send, self._believed)
                return
            if family not in self._asks:
                raise NotFound("nothing answers at this path", reason="path_unknown")
            reply = await self.decided(family, self._asks[family](incoming), incoming)
        except REFUSED as fault:
            reply = refuse(fault, incoming, _nginx_denied if family == NGINX else denied)
        self.runtime.metrics.answered("/check", reply.status)
        await send_reply(send, reply, incoming)

    def _admit(self, incoming: Incoming) -> None:
        """An address never authenticates (decision 15): a listener of their own does, or the secret."""
        if incoming.scope.get(AT_LISTENER):
            return
        if self._secret is None:
            raise NotFound("nothing answers at this path", reason="path_unknown")
        shown = incoming.all(gateway.SECRET)
        if len(shown) != 1 or not hmac.compare_digest(shown[0], self._secret):
            raise RouteRefused("this check is for gateways", reason="gateway_unauthenticated")

    async def decided(self, family: str, request: Request, incoming: Incoming) -> Reply:
        """Raises what a refusal is made of."""
        question, store = _question(request), self.runtime.store
        # Looked at first: what memory holds a moment later is true at least there.
        position = store.memory.position
        passed = self._warm.recall(question)
        if passed is None:
            passed = await self._decide(family, request, incoming, question)
            return await self._limited(passed.passage, passed.reply, request.agent)
        passage, reply = passed
        if not passage.is_safe:
            # What changes something is asserted anew each time.
            reply = self._reply(replace(passage, now=store.now(), position=position))
        return await self._limited(passage, reply, request.agent)

    async def _decide(self, family: str, request: Request, incoming: Incoming, question: Question) -> Passed:
        seen: Seen[gateway_check.Facts] = Seen()
        exchange = seen.watching(CHECKS[family])
        ask = partial(run, exchange, request, self.runtime.store, self._passed, incoming.context)
        try:
            passed = await ask()
        except InvalidToken as refusal:
            # A key that was imported by a slow hash is unknown until it is shown for the first time.
            if refusal.reason != "credential_unknown" or not await slow_keys.made_known(incoming, request.credential):
                raise
            passed = await ask()
        self._warm.keep(question, passed, seen, passed.passage.answer_ends_at)
        return passed

    def _passed(self, passage: Passage) -> Passed:
        return Passed(passage, self._reply(passage))

    async def _limited(self, passage: Passage, reply: Reply, agent: str) -> Reply:
        """Who may pass takes of the limits, once that is known; what was used too often may not pass now."""
        now = self.runtime.store.now()
        admission = await self.runtime.limiter.admit(passage.charges(now))
        if passage.verdict is not None:
            self.runtime.metrics.checked(passage.verdict.kind, admission.reason or "active")
            self.runtime.store.count(passage.uses(admission.reason, now, agent))
        if not admission.states:
            return reply
        told = RateLimited(admission.reason or "", tuple(map(limit.told, admission.states)), admission.retry_after, 1)
        fields = tuple(challenge.rate_limit(told))
        if not admission.is_possible:
            raise Unprocessable("the route costs more than a limit of the credential ever has", reason=admission.reason)
        if admission.reason is not None:
            raise SlowDown("it was used more often than its limits allow", reason=admission.reason, fields=fields)
        headers = [(name.encode(), value.encode()) for name, value in fields if name != "retry-after"]
        return Reply(reply.status, reply.body, [*reply.headers, *headers])

    def _reply(self, passage: Passage) -> Reply:
        told = [(name.encode(), printable(value)) for name, value in gateway_check.identity(passage).items()]
        return Reply(200, b"", [NO_STORE, STRIPPED, VOUCHED, *told, (b"x-auth-assertion", self._assertion(passage))])

    def _assertion(self, passage: Passage) -> bytes:
        """Nothing is asserted of nobody."""
        if passage.verdict is None or passage.signing_key is None:
            return b""
        claims = gateway_check.assertion(passage, self.runtime.policy.issuer, secrets.token_urlsafe(16))
        return self.runtime.signer.assertion(claims, passage.signing_key).encode()

    def _of_nginx(self, incoming: Incoming) -> Request:
        return CHECKS[NGINX].parse(incoming.headers, self.runtime.policy.brand)

    def _of_forward(self, incoming: Incoming) -> Request:
        address = forwarded.caller(incoming.headers, self._believed) or ""
        return CHECKS[FORWARD].parse(incoming.headers, self.runtime.policy.brand, address)

    def _of_envoy(self, incoming: Incoming) -> Request:
        address = forwarded.caller(incoming.headers, self._believed) or ""
        asked = target(incoming.scope)
        if not asked.startswith(b"/check/envoy/"):
            raise gateway.refused("the path does not begin as it was configured")
        asked = asked[len(ENVOY) :]
        return CHECKS[ENVOY].parse(incoming.headers, self.runtime.policy.brand, address, incoming.method, asked)


def checks(runtime: Runtime, settings: Settings) -> Checks:
    believed = tuple(forwarded.network(one) for one in settings.behind_proxy)
    return Checks(runtime, Plaintext(runtime), settings.secret("check_secret"), believed)


def printable(value: str) -> bytes:
    """One line of plain ASCII of bounded length; everything else is percent-encoded (T176).

    What is too long ends with a whole word: the beginning of a scope may be another scope.
    """
    if not value.isascii() or not value.isprintable():
        value = quote(value, safe=" !#$&'()*+,/:;=?@[]~|")
    shown = value[:VALUE_LIMIT]
    if len(value) > VALUE_LIMIT and value[VALUE_LIMIT] != " ":
        shown = shown.rpartition(" ")[0] or shown
    return shown.encode("ascii")


def denied(refusal: Refusal, incoming: Incoming) -> Reply:
    """As a service of its own would refuse; who has proved nothing gets one answer (T070)."""
    uniform = refusal.reason in challenge.UNPROVEN
    reason = REASONS["credential_unknown" if uniform else refusal.reason]
    description = challenge.UNIFORM if uniform else refusal.description
    body = {
        "error": reason.error or reason.name, "error_description": description, "reason": reason.name,
        "request_id": incoming.identify(refusal), "docs": docs_link(incoming.runtime.policy.issuer, reason.name),
    }  # fmt: skip
    told: Headers = [
        JSON, NO_STORE, (b"x-auth-status", str(refusal.status).encode()), (b"x-auth-problem", reason.name.encode())
    ]  # fmt: skip
    return Reply(refusal.status, compact(body), [*told, *_challenges(refusal, description, incoming), *_wait(refusal)])


def _nginx_denied(refusal: Refusal, incoming: Incoming) -> Reply:
    """What its error_page can make of it again stands in X-Auth-Status."""
    reply = denied(refusal, incoming)
    return Reply(OF_NGINX.get(reply.status, reply.status), reply.body, reply.headers)


def _challenges(refusal: Refusal, description: str, incoming: Incoming) -> Headers:
    """RFC 6750 §3: who sent no credential is told none of the error codes."""
    if not isinstance(refusal, (InvalidToken, InsufficientScope)):
        return []
    fields = dict(refusal.fields)
    realm = challenge.quoted(fields.get("realm") or incoming.runtime.policy.issuer)
    bearer = f"Bearer realm={realm}"
    if refusal.reason != "credential_missing":
        bearer += f', error="{refusal.error}", error_description={challenge.quoted(description)}'
    if fields.get("scope"):
        bearer += f", scope={challenge.quoted(fields['scope'])}"
    challenges = [bearer] if refusal.status == 403 else [bearer, f'ApiKey realm={realm}, header="X-API-Key"']
    return [(b"www-authenticate", text.encode()) for text in challenges]


def _wait(refusal: Refusal) -> Headers:
    if isinstance(refusal, SlowDown):
        return [(name.encode(), value.encode()) for name, value in refusal.fields]
    return [RETRY_AFTER] if refusal.status == 503 else []
