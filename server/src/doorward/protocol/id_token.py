"""ID tokens, OpenID Connect Core §2: who signed in, when and how, for the client alone.

{"typ": "JWT", "alg": "RS256", "kid": "..."} . {"iss", "sub", "aud": client_id, "exp", "iat", "auth_time", "acr", "amr",
    "nonce", "at_hash", "sid"}

What a scope asks for is told at /oauth/userinfo (§5.4); here are only the claims that were named for an ID token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from doorward.protocol import claims as claims_
from doorward.protocol import token
from doorward.protocol.entities import JSON, Client, SigningKey
from doorward.protocol.grant import UserGrantFacts
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.token import IdToken
from doorward_verify import jwt
from doorward_verify.errors import InvalidToken
from doorward_verify.scope import Scope

# No access token, logout token or status list has it, so that none passes for another (T075, T076).
TYPE = "JWT"
ALGORITHMS = ("RS256", "ES256")
CLAIMS = ("iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "at_hash", "sid")


@dataclass(frozen=True, slots=True)
class Hint:
    """What an ID token that comes back says of itself; it may be as old as its signing key."""

    subject: str
    client_id: str
    session_id: str


def issue(
    client: Client, granted: UserGrantFacts, scope: Scope, nonce: str | None, keys: tuple[SigningKey, ...],
    policy: Policy, moment: Moment,
) -> IdToken | None:  # fmt: skip
    """None without the scope `openid`. A refreshed one is about the same sign-in, and has no nonce (§12.2)."""
    if "openid" not in scope:
        return None
    of_user = granted.grant
    own: dict[str, JSON] = {
        "iss": policy.issuer, "sub": granted.user.id, "aud": client.id, "exp": moment.now + policy.token_lifetime,
        "iat": moment.now, "auth_time": of_user.auth_time, "acr": of_user.acr, "amr": [*granted.amr] or None,
        "nonce": nonce, "sid": of_user.session_id,
    }  # fmt: skip
    known = {name: value for name, value in own.items() if value is not None}
    named = claims_.by_name(granted.user, of_user.claims, claims_.ID_TOKEN, client, scope)
    return IdToken({**named, **known}, token.signing_key(keys, client.id_token_signed_response_alg))


def bound(issued: IdToken, access_token: str) -> Mapping[str, JSON]:
    """The claims with the hash of the access token that it comes with, §3.1.3.6: no other one fits."""
    return {**issued.claims, "at_hash": at_hash(access_token)}


def at_hash(access_token: str) -> str:
    """Both algorithms that we sign with hash by SHA-256."""
    return jwt.b64url_encode(hashlib.sha256(access_token.encode("ascii")).digest()[:16])


def read(text: str, keys: jwt.Keys, issuer: str) -> Hint:
    """T020: one that any published key of ours signed, retired ones too. Raises InvalidToken or KeyUnknown."""
    header, payload, signature, signing_input = jwt.unpack(text)
    if header.typ != TYPE:
        raise InvalidToken("the token is no id token", reason="token_type_wrong")
    jwt.authenticate(header, signature, signing_input, keys)
    found = jwt.read_claims(payload)
    if found.get("iss") != issuer:
        raise InvalidToken("the token has another issuer", reason="wrong_issuer")
    subject, client_id, session_id = (found.get(name) for name in ("sub", "aud", "sid"))
    if not (isinstance(subject, str) and isinstance(client_id, str) and isinstance(session_id, str)):
        raise jwt.malformed()
    return Hint(subject, client_id, session_id)
