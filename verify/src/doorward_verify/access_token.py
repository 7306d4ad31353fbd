"""JWT access tokens, RFC 9068 §4: what must hold before a claim is believed.

{"typ": "at+jwt", "alg": "ES256", "kid": "..."} . {"iss", "sub", "aud", "client_id", "exp", "iat", "jti"}
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from doorward_verify import jwt
from doorward_verify import scope as scopes
from doorward_verify.errors import InvalidToken, KeyUnknown
from doorward_verify.scope import MalformedScope, Scope
from doorward_verify.verified import Verified

__all__ = ["KeyUnknown", "LEEWAY_LIMIT", "TYPES", "authenticated", "believed", "names", "verify", "within_its_time"]

TYPES = frozenset({"at+jwt", "application/at+jwt"})
LEEWAY_LIMIT = 10


def verify(
    text: str, keys: jwt.Keys, *, issuer: str, audience: str, now: float, leeway: int = LEEWAY_LIMIT
) -> Verified:
    """Raises KeyUnknown or InvalidToken. Until the signature fits, no claim is looked at."""
    claims, _ = authenticated(text, keys)
    return believed(claims, issuer, audience, now, leeway)


def authenticated(text: str, keys: jwt.Keys) -> tuple[dict[str, Any], str]:
    """The claims, of which nothing but the signature is believed yet, and the id of the key that signed."""
    header, payload, signature, signing_input = jwt.unpack(text)
    if header.typ not in TYPES:
        raise InvalidToken("the token is not an access token", reason="token_type_wrong")
    kid = jwt.authenticate(header, signature, signing_input, keys)
    return jwt.read_claims(payload), kid


def believed(claims: dict[str, Any], issuer: str, audience: str, now: float, leeway: int) -> Verified:
    """What is proved by claims whose signature fits. Raises InvalidToken."""
    if claims.get("iss") != issuer:
        raise InvalidToken("the token has another issuer", reason="wrong_issuer")
    aud = claims.get("aud")
    if aud != audience and not names(aud, audience):
        raise InvalidToken("the token has another audience", reason="wrong_audience")
    if "cnf" in claims:
        # Fail closed (T080): a bound token without its proof is a stolen one, and we can check no proof.
        raise InvalidToken("the token is bound to a proof", reason="token_bound")
    return _verified(claims, audience, within_its_time(claims, now, leeway))


def names(claim: object, audience: str) -> bool:
    """Whether an `aud` claim, a string or a list of strings, has exactly this member (T079)."""
    if isinstance(claim, list):
        return audience in claim and all(isinstance(member, str) for member in claim)
    return claim == audience


def within_its_time(claims: Mapping[str, Any], now: float, leeway: int) -> int:
    if leeway > LEEWAY_LIMIT:
        raise ValueError("a leeway of more than 10 seconds")
    expires_at, issued_at = claims.get("exp"), claims.get("iat")
    not_before = claims.get("nbf", issued_at)
    # type() and not isinstance(): true is an int to isinstance (T077).
    if type(expires_at) is not int or type(issued_at) is not int or type(not_before) is not int:
        raise jwt.malformed()
    if now >= expires_at + leeway:
        raise InvalidToken("the token has expired", reason="credential_expired")
    if now < issued_at - leeway or now < not_before - leeway:
        raise InvalidToken("the token is not valid yet", reason="not_yet_valid")
    return expires_at


def _verified(claims: Mapping[str, Any], audience: str, expires_at: int) -> Verified:
    subject, client_id, jti = claims.get("sub"), claims.get("client_id"), claims.get("jti")
    account, grant_id, act = claims.get("account"), claims.get("grant_id"), claims.get("act")
    identifiers: tuple[Any, ...] = (
        subject,
        client_id,
        jti,
        "-" if account is None else account,
        "-" if grant_id is None else grant_id,
    )
    try:
        # Nothing but strings joins; what is not printable would break out of the logs and headers that carry them.
        is_sound = "" not in identifiers and "".join(identifiers).isprintable()
    except TypeError:
        raise jwt.malformed() from None
    if not is_sound or (act is not None and type(act) is not dict):
        raise jwt.malformed()
    return Verified(
        "jwt", subject, account, client_id, None, _scope(claims), audience, "live", expires_at,
        grant_id, act, False, MappingProxyType(claims),
    )  # fmt: skip


def _scope(claims: Mapping[str, Any]) -> Scope:
    """A token without any scope may say so with an empty one."""
    value = claims.get("scope", "")
    if value == "":
        return frozenset()
    if type(value) is not str:
        raise jwt.malformed()
    try:
        return scopes.parse(value)
    except MalformedScope:
        raise jwt.malformed() from None
