"""`/login/upstream/{name}`: signing in where people have logins already (T036, T141, RFC 9207, RFC 9700 §4.4.2).

GET /login/upstream/acme?request=ID               -> 303 to the upstream
GET /login/upstream/acme/callback?code=...        -> 303 to where it goes on, with a session; or with assertion=...

What goes wrong on the way is said on the sign-in page, where another way may be chosen; a browser that never left, or
was back already, is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from starlette.routing import Route

from doorward.app import UPSTREAM
from doorward.exchange import run
from doorward.protocol import first_sign_in, session, upstream_answer
from doorward.protocol import upstream_sign_in as protocol
from doorward.protocol.form import Form
from doorward.protocol.refusal import TemporarilyUnavailable
from doorward.protocol.session import Browser, Started
from doorward.protocol.sign_in import SlowDown
from doorward.protocol.upstream import Upstream
from doorward.protocol.upstream_sign_in import Arrive, Begin, Departure, Expected, UpstreamFailed
from doorward.web import forms
from doorward.web.incoming import Incoming
from doorward.web.page import see_other
from doorward.web.page_routes import page_route
from doorward.web.replies import Reply
from doorward.web.runtime import Runtime
from doorward.web.sign_in import named, onward, shown_again

PATH = "/login/upstream/{name}"
# Binds a browser to the sign-ins elsewhere that it began.
COOKIE = "__Host-doorward-upstream"
STATE_LIMIT = 64
# RFC 6749 §4.1.2.1 and OpenID Connect Core §3.1.2.6: the user's own no, or nobody to ask.
SAID_NO = frozenset({"access_denied", "login_required", "interaction_required", "consent_required"})

Claims = Callable[[], Awaitable[Mapping[str, Any]]]


def routes(runtime: Runtime) -> list[Route]:
    return [page_route(runtime, PATH, get=begin), page_route(runtime, f"{PATH}/callback", get=arrive)]


def _upstream(incoming: Incoming) -> Upstream:
    return protocol.known(incoming.runtime.policy, incoming.scope["path_params"]["name"])


async def begin(incoming: Incoming) -> Reply:
    """A link of another site begins nothing: it leads to our page, where the user may choose."""
    incoming.allow("GET")
    upstream, request_id = _upstream(incoming), named(incoming.query())
    if incoming.one(b"sec-fetch-site") not in (None, b"same-origin", b"none"):
        return see_other(f"/login?request={request_id}" if request_id else "/login")
    try:
        return await _leave(incoming, upstream, request_id)
    except (UpstreamFailed, SlowDown, TemporarilyUnavailable) as refusal:
        return await shown_again(incoming, request_id, refusal)


async def _leave(incoming: Incoming, upstream: Upstream, request_id: str) -> Reply:
    """The provider's metadata is read first: without it nothing is begun."""
    provider = incoming.runtime.providers.get(upstream.name)
    metadata = None if provider is None else await provider.metadata()
    request = Begin(
        upstream.name, request_id, incoming.address, forms.cookie(incoming, COOKIE),
        forms.cookie(incoming, forms.AUTHORIZATION),
    )  # fmt: skip

    def render(left: Departure) -> Reply:
        elsewhere = provider.address(metadata, left) if provider and metadata else _page(left, incoming)
        return see_other(elsewhere, [forms.set_cookie(COOKIE, left.cookie)])

    incoming.actor = f"upstream:{upstream.name}"
    return await run(UPSTREAM["begin"], request, incoming.runtime.store, render, incoming.context)


def _page(left: Departure, incoming: Incoming) -> str:
    """A page of one's own, with the request that we signed."""
    assert left.signing_key is not None, "pages are asked by signed requests"
    runtime, page = incoming.runtime, left.upstream.page or ""
    text = runtime.signer.sign_in_request(protocol.handed_over(left, runtime.policy), left.signing_key)
    return f"{page}{'&' if '?' in page else '?'}{urlencode({'request': text}, quote_via=quote)}"


async def arrive(incoming: Incoming) -> Reply:
    """Two exchanges: it is over before the upstream is asked, which takes its time (decision 28)."""
    incoming.allow("GET")
    upstream, query = _upstream(incoming), incoming.query()
    incoming.actor = f"upstream:{upstream.name}"
    arrived = _from_page if upstream.page is not None else _from_provider
    expected, claims = await arrived(incoming, upstream, query)
    try:
        started = await _signed_in(incoming, expected, await claims())
    except (UpstreamFailed, TemporarilyUnavailable) as refusal:
        return await shown_again(incoming, expected.request_id, refusal)
    cookie = forms.set_cookie(forms.SESSION, started.cookie)
    return see_other(onward(expected.request_id), [cookie, forms.drop_cookie(forms.BROWSER)])


async def _from_provider(incoming: Incoming, upstream: Upstream, query: Form) -> tuple[Expected, Claims]:
    runtime = incoming.runtime
    provider = runtime.providers[upstream.name]
    metadata = await provider.metadata()
    upstream_answer.check_issuer(upstream, query.get("iss"), metadata.promises_iss)
    expected = await _over(incoming, upstream, query)

    async def claims() -> Mapping[str, Any]:
        _raise_for(query)
        return await provider.claims(query.required("code"), expected, runtime.store.now)

    return expected, claims


async def _from_page(incoming: Incoming, upstream: Upstream, query: Form) -> tuple[Expected, Claims]:
    """An assertion is looked at before it ends anything: what is of another sign-in ends none."""
    text, now = query.get("assertion"), incoming.runtime.store.now()
    cookie, state = forms.cookie(incoming, COOKIE) or "", query.get("state") or ""
    found: Mapping[str, Any] = {}
    if text is not None:
        nonce = protocol.nonce(cookie, state)
        found = upstream_answer.assertion(text, upstream, nonce, incoming.runtime.policy.issuer, now)
    expected = await _over(incoming, upstream, query, upstream_answer.proof(upstream, found) if found else None)

    async def claims() -> Mapping[str, Any]:
        _raise_for(query)
        query.required("assertion")
        return found

    return expected, claims


async def _over(incoming: Incoming, upstream: Upstream, query: Form, proof: str | None = None) -> Expected:
    request = Arrive(upstream.name, (query.get("state") or "")[:STATE_LIMIT], forms.cookie(incoming, COOKIE), proof)
    store = incoming.runtime.store
    expected: Expected = await run(UPSTREAM["arrive"], request, store, lambda found: found, incoming.context)
    return expected


def _raise_for(query: Form) -> None:
    """Of what the other side says of it nothing is shown: anybody may have written it."""
    error = query.get("error")
    if error is not None:
        reason = "upstream_denied" if error in SAID_NO else "upstream_failed"
        raise UpstreamFailed("the other sign-in did not work", reason=reason, detail=f"error={error[:100]}")


async def _signed_in(incoming: Incoming, expected: Expected, claims: Mapping[str, Any]) -> Started:
    before = forms.cookie(incoming, forms.SESSION)
    request = first_sign_in.Request(
        expected.upstream.name,
        upstream_answer.told(claims, expected),
        Browser((incoming.one(b"user-agent") or b"").decode("latin-1"), incoming.address),
        None if before is None else session.digest(before),
    )
    store = incoming.runtime.store
    started: Started = await run(UPSTREAM["sign in"], request, store, lambda found: found, incoming.context)
    return started
