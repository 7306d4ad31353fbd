"""Signing in elsewhere, from the link on our page until the browser is back: bound to it, and once (T036, T141).

GET /login/upstream/{name}?request=ID                     303 to the upstream, with the state, nonce and challenge
GET /login/upstream/{name}/callback?state=...&code=...    or with error=..., or with assertion=... of one's own page

The row of a sign-in holds nothing to finish it with: nonce and code verifier are made of the browser's cookie.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from doorward.protocol import interaction, token
from doorward.protocol.authorization import Authorization
from doorward.protocol.decision import Decision
from doorward.protocol.entities import JSON, SigningKey
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidRequest, NotFound, Refusal
from doorward.protocol.sign_in import SlowDown
from doorward.protocol.upstream import Upstream, UpstreamSignIn
from doorward.protocol.upstream_events import UpstreamSignInBegun, UpstreamSignInEnded
from doorward_verify import jwt

# Begun and not finished, everywhere and from one address.
WAITING_LIMIT, WAITING_HERE_LIMIT = 100_000, 1_000
REQUEST_LIFETIME = 300
# For longer than an assertion may live, its use is remembered.
PROOF_LIFETIME = 600
ALGORITHM = "ES256"


class UpstreamFailed(Refusal):
    """Signing in there did not work, and another way may: the user is shown the page with all of them."""

    status = 403
    error = "access_denied"
    default_reason = "upstream_failed"


@dataclass(frozen=True, slots=True)
class Begin:
    """`cookie` is what binds this browser to the sign-ins elsewhere that it began, if it has one."""

    upstream: str
    request_id: str
    address: str
    cookie: str | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class BeginFacts:
    """`asked` is the authorization that waits for the sign-in, when it is this browser's."""

    asked: Authorization | None = None
    waiting: int = 0
    waiting_here: int = 0
    keys: tuple[SigningKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Departure:
    """What goes to the upstream. `signing_key` signs the request to a page of one's own."""

    upstream: Upstream
    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    cookie: str = field(repr=False)
    created_at: int
    max_age: int | None = None
    prompt: str | None = None
    login_hint: str | None = None
    ui_locales: str | None = None
    signing_key: SigningKey | None = None


@dataclass(frozen=True, slots=True)
class Arrive:
    """`proof` is the digest of what can be shown once, where it is known already: an assertion's id."""

    upstream: str
    state: str
    cookie: str | None = field(default=None, repr=False)
    proof: str | None = None


@dataclass(frozen=True, slots=True)
class ArriveFacts:
    sign_in: UpstreamSignIn | None = None
    is_proof_known: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """What the answer of the upstream must fit."""

    upstream: Upstream
    request_id: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    begun_at: int
    max_age: int | None


def known(policy: Policy, name: str) -> Upstream:
    upstream = policy.upstreams.get(name)
    if upstream is None:
        raise NotFound("there is no such upstream", reason="upstream_unknown")
    return upstream


def callback(issuer: str, name: str) -> str:
    """Each upstream answers at an address of its own, so that none answers for another (RFC 9700 §4.4.2.2)."""
    return f"{issuer}/login/upstream/{name}/callback"


def nonce(cookie: str, state: str) -> str:
    return _derived(cookie, "nonce", state)


def verifier(cookie: str, state: str) -> str:
    """RFC 7636 §4.1: 256 bits that only this browser and we can make."""
    return _derived(cookie, "code_verifier", state)


def _derived(cookie: str, purpose: str, state: str) -> str:
    return jwt.b64url_encode(hmac.digest(cookie.encode(), f"{purpose} {state}".encode(), hashlib.sha256))


def begin(request: Begin, facts: BeginFacts, policy: Policy, moment: Moment) -> Decision[Departure]:
    """A browser's sign-ins share its cookie, so that two windows do not end each other's."""
    upstream = known(policy, request.upstream)
    if facts.waiting >= WAITING_LIMIT or facts.waiting_here >= WAITING_HERE_LIMIT:
        raise SlowDown("too many sign-ins are waiting", reason="authorizations_waiting")
    cookie = request.cookie if interaction.is_cookie(request.cookie) else None
    cookie, state = cookie or jwt.b64url_encode(moment.random(32)), moment.id("upstream")
    prompt, max_age = _wanted(facts.asked)
    begun = UpstreamSignIn(
        state, upstream.name, interaction.digest(cookie), request.request_id, request.address, max_age, moment.now,
        moment.now + policy.authorization_lifetime,
    )  # fmt: skip
    hint, locales = (facts.asked.login_hint, facts.asked.ui_locales) if facts.asked else (None, None)
    signing_key = None if upstream.page is None else token.signing_key(facts.keys, ALGORITHM)
    departure = Departure(
        upstream, state, nonce(cookie, state), verifier(cookie, state), cookie, moment.now, max_age, prompt, hint,
        locales, signing_key,
    )  # fmt: skip
    return Decision(departure, (UpstreamSignInBegun(begun),))


def _wanted(asked: Authorization | None) -> tuple[str | None, int | None]:
    """The client's `prompt` and `max_age` bind the upstream too; `max_age` makes it say when he signed in there."""
    if asked is None:
        return None, None
    if "login" in asked.prompt or asked.max_age == 0:
        return "login", 0
    return ("select_account" if "select_account" in asked.prompt else None), asked.max_age


def handed_over(departure: Departure, policy: Policy) -> Mapping[str, JSON]:
    """The claims of the signed request to a page of one's own (JWT, typ `sign-in-request+jwt`)."""
    asked: dict[str, JSON] = {
        "iss": policy.issuer, "aud": departure.upstream.issuer, "iat": departure.created_at,
        "exp": departure.created_at + REQUEST_LIFETIME, "state": departure.state, "nonce": departure.nonce,
        "return_to": callback(policy.issuer, departure.upstream.name), "max_age": departure.max_age,
        "prompt": departure.prompt, "login_hint": departure.login_hint, "ui_locales": departure.ui_locales,
    }  # fmt: skip
    return {name: value for name, value in asked.items() if value is not None}


def arrive(request: Arrive, facts: ArriveFacts, policy: Policy, moment: Moment) -> Decision[Expected]:
    """Whoever has the state alone has nothing, and ends nothing. Whatever the browser brings, it brings it once."""
    upstream, sign_in, cookie = known(policy, request.upstream), facts.sign_in, request.cookie or ""
    is_its_browser = sign_in is not None and hmac.compare_digest(sign_in.digest, interaction.digest(cookie))
    if sign_in is None or not is_its_browser or sign_in.upstream != upstream.name:
        raise InvalidRequest("there is no such sign-in in this browser", reason="upstream_over")
    if sign_in.ended_at is not None or moment.now >= sign_in.expires_at:
        raise InvalidRequest("the sign-in is over", reason="upstream_over")
    kept_until = max(sign_in.expires_at, moment.now + PROOF_LIFETIME)
    ended = UpstreamSignInEnded(replace(sign_in, ended_at=moment.now, expires_at=kept_until, proof=request.proof))
    if facts.is_proof_known:
        again = UpstreamSignInEnded(replace(ended.sign_in, proof=None))
        raise InvalidRequest("the assertion was used before", reason="upstream_over", events=(again,))
    expected = Expected(
        upstream, sign_in.request_id, nonce(cookie, sign_in.id), verifier(cookie, sign_in.id), sign_in.created_at,
        sign_in.max_age,
    )  # fmt: skip
    return Decision(expected, (ended,))
