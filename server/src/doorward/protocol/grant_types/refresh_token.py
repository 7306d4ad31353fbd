"""Refresh token grant, RFC 6749 §6, rotating on each use as RFC 9700 §4.14.2 asks.

POST /oauth/token
grant_type=refresh_token&refresh_token=dwr_live_...&scope=...

A retry within the overlap gets the same successor (decision 6): it is kept sealed under a key that only the text of
its predecessor gives, so that neither the database nor a backup of it opens it, and a restart changes nothing.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from doorward.protocol import authorization, client_authentication, consent, grant, id_token, token
from doorward.protocol import secret as secrets
from doorward.protocol.authorization_events import RefreshTokenIssued, RefreshTokenRotated
from doorward.protocol.client import ClientFacts, GrantFacts
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Grant, RefreshToken, SigningKey
from doorward.protocol.events import CredentialRefused, Event
from doorward.protocol.form import Form
from doorward.protocol.grant import UserGrantFacts
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidGrant, InvalidScope, InvalidTarget, UnauthorizedClient
from doorward.protocol.scope import requested
from doorward.protocol.secret import Secret
from doorward.protocol.status_list import Place
from doorward.protocol.token import Subject, TokenResponse
from doorward_verify import api_key
from doorward_verify.scope import Scope

GRANT_TYPE = "refresh_token"
KIND = "r"
NONCE = 12


@dataclass(frozen=True, slots=True)
class Request:
    credentials: ClientCredentials
    refresh_token: str = field(repr=False)
    scope: Scope | None
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """`successor` is there when the token was rotated."""

    client: ClientFacts | None
    token: RefreshToken | None = None
    successor: RefreshToken | None = None
    granted: UserGrantFacts | None = None
    signing_keys: tuple[SigningKey, ...] = ()
    place: Place | None = None


def parse(credentials: ClientCredentials, form: Form) -> Request:
    return Request(credentials, form.required("refresh_token"), requested(form.get("scope")), form.all("resource"))


def id_of(text: str, brand: str) -> str | None:
    """Its public id, or None for what is no refresh token of ours."""
    try:
        found = api_key.parse(text, brand)
    except api_key.MalformedCredential:
        return None
    return found.id if found.kind == KIND else None


def is_it(text: str, known: RefreshToken | None, policy: Policy) -> bool:
    """Whether the text is that token's."""
    kept = None if known is None else _secret(known)
    return policy.pepper.matches(api_key.digest(text), kept)


def decide(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[TokenResponse]:
    client = client_authentication.authenticate(request.credentials, facts.client, policy, moment)
    assert facts.client is not None
    if GRANT_TYPE not in client.grant_types:
        raise UnauthorizedClient("the client may not use this grant type")
    known, granted = facts.token, facts.granted
    its_own = is_it(request.refresh_token, known, policy)
    if known is None or granted is None or not its_own or known.client_id != client.id:
        raise InvalidGrant("the refresh token is unknown")
    if grant.why_ended(granted, facts.client) is not None:
        raise InvalidGrant("what the user allowed has ended", reason="grant_ended", events=_noted(known, "grant_ended"))
    if known.rotated_at is not None and not _is_retried(known, facts.successor, policy, moment):
        raise _replayed(granted, moment)
    _check_age(known, moment)
    if not grant.is_for(granted, request.resources):
        raise InvalidTarget("the refresh token is for another resource")
    scope = _scope(request, known, granted, facts.client)
    issued = issue(facts.client, granted, scope, facts.signing_keys, policy, moment, facts.place)
    issued = client_authentication.noticed(issued, request.credentials, facts.client, policy, moment)
    if known.rotated_at is not None:
        return replace(issued, reply=replace(issued.reply, refresh_token=_opened(request.refresh_token, known)))
    rotated = _rotate(request.refresh_token, known, policy, moment)
    return Decision(replace(issued.reply, refresh_token=rotated.reply), (*rotated.events, *issued.events))


def _check_age(known: RefreshToken, moment: Moment) -> None:
    """T057: decided when it is used. One that was rotated is idle no more, but its family ends all the same."""
    ends_at = known.ends_at if known.rotated_at is not None else min(known.expires_at, known.ends_at)
    if moment.now >= ends_at:
        raise InvalidGrant("the refresh token is too old", events=_noted(known, "grant_invalid"))


def _is_retried(known: RefreshToken, successor: RefreshToken | None, policy: Policy, moment: Moment) -> bool:
    """T052: the answer may have been lost, but whoever used the successor has heard it. An overlap of 0 is none."""
    overlap, age = policy.refresh_token_overlap, moment.now - (known.rotated_at or 0)
    return 0 < overlap >= age and successor is not None and successor.rotated_at is None


def _replayed(granted: UserGrantFacts, moment: Moment) -> InvalidGrant:
    """T050: a client or a thief is late. We cannot tell which, so both lose the grant."""
    note = CredentialRefused("refresh_token", granted.grant.id, "refresh_token_replayed")
    events: tuple[Event, ...] = (*grant.end(granted.grant, moment), note)
    return InvalidGrant("the refresh token was used before", reason="refresh_token_replayed", events=events)


def _noted(known: RefreshToken, reason: str) -> tuple[CredentialRefused, ...]:
    return (CredentialRefused("refresh_token", known.id, reason),)


def _scope(request: Request, known: RefreshToken, granted: UserGrantFacts, client: ClientFacts) -> Scope:
    """T055: it can shrink, and never grow."""
    most = narrowed(known.scope & granted.grant.scope, granted, client)
    wanted = most if request.scope is None else request.scope
    if not wanted or not wanted <= most:
        raise InvalidScope("scope exceeds what was granted")
    return wanted


def narrowed(scope: Scope, granted: UserGrantFacts, client: ClientFacts) -> Scope:
    """Less where an administrator now allows the client less. Raises InvalidGrant when nothing is left."""
    api_id = granted.api.id if granted.api else None
    rest = scope & consent.allowed(authorization.granted_at(client, api_id))
    if not rest:
        raise InvalidGrant("what the user allowed is not open to the client any more", reason="grant_ended")
    return rest


def issue(
    client: ClientFacts, granted: UserGrantFacts, scope: Scope, keys: tuple[SigningKey, ...], policy: Policy,
    moment: Moment, place: Place | None, nonce: str | None = None,
) -> Decision[TokenResponse]:  # fmt: skip
    """An access token in the user's name. Who may act while the user is away is not tied to his session.

    With the scope `openid` an ID token comes with it.
    """
    of_user = granted.grant
    sid = None if "offline_access" in of_user.scope else of_user.session_id
    subject = Subject(granted.user.id, of_user.account_id, of_user.auth_time, of_user.acr, sid)
    at = GrantFacts(of_user, granted.api or token.issuer_api(policy))
    issued = token.issue(token.settle(client, at, scope, keys, policy, subject), moment, place)
    about_him = id_token.issue(client.client, granted, scope, nonce, keys, policy, moment)
    return replace(issued, reply=replace(issued.reply, id_token=about_him))


def first(of_user: Grant, policy: Policy, moment: Moment) -> Decision[str]:
    """The first of a family: its text, which the reply alone carries."""
    ends_at = moment.now + policy.refresh_token_lifetime
    text, made = _mint(of_user.id, of_user.client_id, of_user.scope, ends_at, policy, moment)
    return Decision(text, (RefreshTokenIssued(made),))


def _mint(
    grant_id: str, client_id: str, scope: Scope, ends_at: int, policy: Policy, moment: Moment
) -> tuple[str, RefreshToken]:
    text, kept = secrets.mint(KIND, "live", grant_id, brand=policy.brand, pepper=policy.pepper, moment=moment)
    expires_at = min(moment.now + policy.refresh_token_idle_lifetime, ends_at)
    made = RefreshToken(
        kept.id, kept.mac, kept.pepper_version, grant_id, client_id, scope, moment.now, expires_at, ends_at
    )
    return text, made


def _rotate(text: str, known: RefreshToken, policy: Policy, moment: Moment) -> Decision[str]:
    """RFC 6749 §6: the new one has the scope of the old one, whatever the access token's is."""
    next_text, successor = _mint(known.grant_id, known.client_id, known.scope, known.ends_at, policy, moment)
    nonce = moment.random(NONCE)
    box = nonce + AESGCM(_key(text)).encrypt(nonce, next_text.encode("ascii"), known.id.encode("ascii"))
    rotated = replace(known, rotated_at=moment.now, successor_id=successor.id, successor=box)
    return Decision(next_text, (RefreshTokenRotated(rotated, successor),))


def _opened(text: str, known: RefreshToken) -> str:
    box = known.successor or b""
    return AESGCM(_key(text)).decrypt(box[:NONCE], box[NONCE:], known.id.encode("ascii")).decode("ascii")


def _key(text: str) -> bytes:
    """190 random bits are in the text: no slow derivation is needed."""
    return hmac.digest(text.encode("ascii"), b"doorward successor of a refresh token", "sha256")


def _secret(known: RefreshToken) -> Secret:
    return Secret(known.id, KIND, "live", known.grant_id, known.mac, known.pepper_version, known.created_at)
