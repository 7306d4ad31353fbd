"""The token response, RFC 6749 §5.1, and the access token's claims, RFC 9068 §2.2.

{"access_token": "...", "token_type": "Bearer", "expires_in": 300, "scope": "invoices:read"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from doorward.protocol import secret as secrets
from doorward.protocol import status_list
from doorward.protocol.client import ClientFacts, GrantFacts
from doorward.protocol.decision import Decision
from doorward.protocol.entities import JSON, Api, Client, ListedToken, OpaqueToken, SigningKey
from doorward.protocol.events import AccessTokenIssued
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidRequest, InvalidTarget, TemporarilyUnavailable
from doorward.protocol.status_list import Place
from doorward_verify import scope as scopes
from doorward_verify.scope import Scope

Claims = Mapping[str, JSON]
# What the header, the changing claims and the signature add to the claims, in base64url.
OVERHEAD = {"ES256": 340, "RS256": 340 + 256}
# The longest that a reference to a status list can be, as good as.
FARTHEST = Place(10**12, status_list.SIZE, 0)


@dataclass(frozen=True, slots=True)
class Stamp:
    """The claims that no two tokens share; `jti` and `pos` are plain ASCII without quotes by their making.

    `status` names a bit of a status list, for apis that want one.
    """

    iat: int
    exp: int
    jti: str
    pos: str
    status: Mapping[str, JSON] | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """The user that a token is about (RFC 9068 §2.2.1), and the account of his that the client acts for."""

    user_id: str
    account_id: str | None = None
    auth_time: int | None = None
    acr: str | None = None
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class IdToken:
    """An ID token's claims, but for the hash of the access token, which is signed first."""

    claims: Claims
    signing_key: SigningKey


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """`token` is an opaque token's text; a JWT is made from the claims by `sign.py` before the commit.

    `claims` are those that the client's next token for the same grant and scope has too. `id_token` is there where a
    user was asked for the scope `openid` (OpenID Connect Core §3.1.3.3). `terms` are there where the very same request
    would be answered by them again.
    """

    claims: Claims
    stamp: Stamp
    signing_key: SigningKey | None
    expires_in: int
    scope: str
    token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    id_token: IdToken | None = None
    terms: Terms | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """All of a token that is settled before the moment it is issued at, and the facts that this rests on.

    `until` is the second at which the secret that was shown ends by itself.
    """

    client: ClientFacts
    keys: tuple[SigningKey, ...]
    policy: Policy
    granted: GrantFacts
    claims: Claims
    lifetime: int
    key: SigningKey | None
    until: int | None = None


def choose(grants: tuple[GrantFacts, ...], resources: tuple[str, ...]) -> GrantFacts:
    """RFC 8707 §2.2: the grant for the named resource; the only api of a client is its default."""
    if len(resources) > 1:
        raise InvalidTarget("one resource at a time")
    live = [grant for grant in grants if not resources or grant.api.identifier == resources[0]]
    if len(live) == 1:
        return live[0]
    if resources:
        raise InvalidTarget("resource is unknown")
    raise InvalidTarget("resource is needed: the client has several apis or none")


def signing_key(keys: tuple[SigningKey, ...], algorithm: str) -> SigningKey:
    """The active key for the algorithm."""
    for key in keys:
        if key.algorithm == algorithm and key.state == "active":
            return key
    raise TemporarilyUnavailable(f"there is no active signing key for {algorithm}")


def settle(
    client: ClientFacts, granted: GrantFacts, scope: Scope, keys: tuple[SigningKey, ...], policy: Policy,
    subject: Subject | None = None,
) -> Terms:  # fmt: skip
    """The terms of an access token; without a user the client is its own subject (RFC 9068 §2.2)."""
    api = granted.api
    lifetime = min(api.token_lifetime, policy.token_lifetime_limit)
    claims = _claims(client, granted, scopes.text(scope), policy, subject)
    key = None if api.token_format == "opaque" else signing_key(keys, api.signing_algorithm)
    return Terms(client, keys, policy, granted, claims, lifetime, key)


def issue(terms: Terms, moment: Moment, place: Place | None = None) -> Decision[TokenResponse]:
    """An access token on these terms. `place`: its bit in a status list."""
    key = terms.key
    if key is None:
        return _opaque(terms, moment)
    client, granted, lifetime = terms.client, terms.granted, terms.lifetime
    stamp = _stamp(moment.base62(22), lifetime, moment)
    event = AccessTokenIssued(stamp.jti, client.client.id, granted.grant.id, stamp.exp)
    if granted.api.status_list:
        stamp, event = _listed(stamp, event, place, client, key, terms.policy, moment)
    return Decision(TokenResponse(terms.claims, stamp, key, lifetime, _scope_of(terms)), (event,))


def _scope_of(terms: Terms) -> str:
    return str(terms.claims["scope"])


def _listed(
    stamp: Stamp, event: AccessTokenIssued, place: Place | None, client: ClientFacts, key: SigningKey,
    policy: Policy, moment: Moment,
) -> tuple[Stamp, AccessTokenIssued]:  # fmt: skip
    """The same with a bit in a status list. Without one the token could not be ended for those who look there."""
    if place is None or stamp.exp > place.expires_at:
        raise TemporarilyUnavailable("there is no status list for this token yet")
    row = ListedToken(
        stamp.jti, place.list_id, place.idx, event.grant_id, event.client_id, client.account.id, key.id,
        moment.position.seq, stamp.exp,
    )  # fmt: skip
    return replace(stamp, status=status_list.reference(policy.issuer, place)), replace(event, listed=row)


def _claims(
    facts: ClientFacts, granted: GrantFacts, scope: str, policy: Policy, subject: Subject | None
) -> dict[str, JSON]:
    client = facts.client
    claims: dict[str, JSON] = {
        "iss": policy.issuer,
        "sub": subject.user_id if subject else client.id,
        "aud": granted.api.identifier,
        "client_id": client.id,
        "scope": scope,
        "grant_id": granted.grant.id,
        **(_about(subject, client) if subject else {"account": client.account_id}),
    }
    if granted.api.claims:
        claims.update(_mapped(facts, granted))
    # Without claims of the api's own only a long scope can make a token large.
    if granted.api.claims or len(scope) > policy.token_size_warning:
        status = {"status": status_list.reference(policy.issuer, FARTHEST)} if granted.api.status_list else {}
        _within_budget({**claims, **status}, granted.api.signing_algorithm, policy)
    return claims


def _about(subject: Subject, client: Client) -> dict[str, JSON]:
    """What is known of the user's part. `client_account` lets a suspension of the client's own account be heard too."""
    claims = {
        "account": subject.account_id, "client_account": client.account_id, "auth_time": subject.auth_time,
        "acr": subject.acr, "sid": subject.sid,
    }  # fmt: skip
    if subject.account_id == client.account_id:
        del claims["client_account"]
    return {name: value for name, value in claims.items() if value is not None}


def issuer_api(policy: Policy) -> Api:
    """The issuer as the resource of what is for /oauth/userinfo alone (decision 11); no verifier asks for it."""
    return Api("", policy.issuer, "userinfo", {}, "jwt", policy.token_lifetime, "ES256", {}, 0, 0)


def _stamp(jti: str, lifetime: int, moment: Moment) -> Stamp:
    return Stamp(moment.now, moment.now + lifetime, jti, str(moment.position))


def _members(stamp: Stamp) -> dict[str, JSON]:
    return {"iat": stamp.iat, "exp": stamp.exp, "jti": stamp.jti, "pos": stamp.pos}


def _within_budget(claims: dict[str, JSON], algorithm: str, policy: Policy) -> None:
    """A token travels with every request: over 4 KiB it is refused here rather than by some proxy later."""
    if len(json.dumps(claims)) * 4 // 3 + OVERHEAD[algorithm] > policy.token_size_limit:
        raise InvalidRequest("the token would be too large", reason="token_claims_too_large")


def _mapped(facts: ClientFacts, granted: GrantFacts) -> dict[str, JSON]:
    """The api's own claims (decision 19b), mapped from account and client; absent values are left out."""
    claims: dict[str, JSON] = {}
    for name, source in granted.api.claims.items():
        noun, _, path = source.partition(".")
        if noun == "key":
            continue
        value = read(facts.account if noun == "account" else facts.client, path)
        if value is not None:
            claims[name] = value
    return claims


def read(entity: object, path: str) -> JSON:
    """`id`, `name` or `metadata.NAME` of an account, client or key."""
    attribute, _, member = path.partition(".")
    value = getattr(entity, attribute)
    return value.get(member) if member else value  # type: ignore[no-any-return]


def _opaque(terms: Terms, moment: Moment) -> Decision[TokenResponse]:
    client, granted, policy = terms.client, terms.granted, terms.policy
    text, secret = secrets.mint("o", "live", granted.grant.id, brand=policy.brand, pepper=policy.pepper, moment=moment)
    stamp = _stamp(secret.id, terms.lifetime, moment)
    token = OpaqueToken(
        secret.id, secret.mac, secret.pepper_version, granted.grant.id, client.client.id,
        client.account.id, granted.api.id, {**terms.claims, **_members(stamp)}, moment.now, stamp.exp,
    )  # fmt: skip
    response = TokenResponse(terms.claims, stamp, None, terms.lifetime, _scope_of(terms), token=text)
    event = AccessTokenIssued(secret.id, client.client.id, granted.grant.id, token.expires_at, token)
    return Decision(response, (event,))
