"""The token response, RFC 6749 §5.1, and the access token's claims, RFC 9068 §2.2.

{"access_token": "...", "token_type": "Bearer", "expires_in": 300, "scope": "invoices:read"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from doorward.protocol import secret as secrets
from doorward.protocol.client import ClientFacts, GrantFacts
from doorward.protocol.decision import Decision
from doorward.protocol.entities import JSON, OpaqueToken, SigningKey
from doorward.protocol.events import AccessTokenIssued
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidRequest, InvalidTarget, TemporarilyUnavailable
from doorward_verify import scope as scopes
from doorward_verify.scope import Scope

Claims = Mapping[str, JSON]
# What the header, the changing claims and the signature add to the claims, in base64url.
OVERHEAD = {"ES256": 340, "RS256": 340 + 256}


@dataclass(frozen=True, slots=True)
class Stamp:
    """The claims that no two tokens share; `jti` and `pos` are plain ASCII without quotes by their making."""

    iat: int
    exp: int
    jti: str
    pos: str


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """`token` is an opaque token's text; a JWT is made from the claims by `sign.py` before the commit.

    `claims` are those that the client's next token for the same grant and scope has too.
    """

    claims: Claims
    stamp: Stamp
    signing_key: SigningKey | None
    expires_in: int
    scope: str
    token: str | None = field(default=None, repr=False)


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
    raise TemporarilyUnavailable("there is no active signing key for this api")


def issue(
    client: ClientFacts,
    granted: GrantFacts,
    scope: Scope,
    keys: tuple[SigningKey, ...],
    policy: Policy,
    moment: Moment,
) -> Decision[TokenResponse]:
    """An access token for the client itself: `sub` is the client (RFC 9068 §2.2)."""
    api = granted.api
    lifetime = min(api.token_lifetime, policy.token_lifetime_limit)
    claims = _claims(client, granted, scopes.text(scope), policy)
    if api.token_format == "opaque":
        return _opaque(client, granted, claims, lifetime, policy, moment)
    key = signing_key(keys, api.signing_algorithm)
    stamp = _stamp(moment.base62(22), lifetime, moment)
    response = TokenResponse(claims, stamp, key, lifetime, str(claims["scope"]))
    event = AccessTokenIssued(stamp.jti, client.client.id, granted.grant.id, moment.now + lifetime)
    return Decision(response, (event,))


def _claims(facts: ClientFacts, granted: GrantFacts, scope: str, policy: Policy) -> dict[str, JSON]:
    client = facts.client
    claims: dict[str, JSON] = {
        "iss": policy.issuer,
        "sub": client.id,
        "aud": granted.api.identifier,
        "client_id": client.id,
        "scope": scope,
        "grant_id": granted.grant.id,
        "account": client.account_id,
    }
    if granted.api.claims:
        claims.update(_mapped(facts, granted))
    # Without claims of the api's own only a long scope can make a token large.
    if granted.api.claims or len(scope) > policy.token_size_warning:
        _within_budget(claims, granted.api.signing_algorithm, policy)
    return claims


def _stamp(jti: str, lifetime: int, moment: Moment) -> Stamp:
    return Stamp(moment.now, moment.now + lifetime, jti, str(moment.position))


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


def _opaque(
    client: ClientFacts,
    granted: GrantFacts,
    claims: dict[str, JSON],
    lifetime: int,
    policy: Policy,
    moment: Moment,
) -> Decision[TokenResponse]:
    text, secret = secrets.mint("o", "live", granted.grant.id, brand=policy.brand, pepper=policy.pepper, moment=moment)
    stamp = _stamp(secret.id, lifetime, moment)
    token = OpaqueToken(
        secret.id, secret.mac, secret.pepper_version, granted.grant.id, client.client.id,
        client.account.id, granted.api.id, {**claims, **asdict(stamp)}, moment.now, moment.now + lifetime,
    )  # fmt: skip
    response = TokenResponse(claims, stamp, None, lifetime, str(claims["scope"]), token=text)
    event = AccessTokenIssued(secret.id, client.client.id, granted.grant.id, token.expires_at, token)
    return Decision(response, (event,))
