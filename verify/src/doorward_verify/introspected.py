"""What an active answer of introspection says of an API key or opaque token, RFC 7662 §2.2.

{"active": true, "sub", "aud", "scope", "exp", "account", "client_id", "key_id", "grant_id", "environment", ...}
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from doorward_verify import scope as scopes
from doorward_verify.access_token import names
from doorward_verify.credential import Presented
from doorward_verify.errors import InvalidToken, Unavailable
from doorward_verify.scope import MalformedScope, Scope
from doorward_verify.verified import Verified


def read(claims: Mapping[str, Any], presented: Presented, *, issuer: str, audience: str, now: float) -> Verified:
    """Raises InvalidToken where the credential is meant for others, Unavailable where the answer makes no sense."""
    if claims.get("iss", issuer) != issuer:
        raise InvalidToken("the token has another issuer", reason="wrong_issuer")
    if not names(claims.get("aud"), audience):
        raise InvalidToken("the token has another audience", reason="wrong_audience")
    if "cnf" in claims:
        raise InvalidToken("the token is bound to a proof", reason="token_bound")
    if presented.is_legacy and claims.get("environment", presented.environment) != presented.environment:
        # Its text does not say so.
        raise InvalidToken("the key is of another environment", reason="wrong_environment")
    for name, value in (("credential", presented.kind), ("environment", presented.environment)):
        if claims.get(name, value) != value:
            raise _malformed()
    return Verified(
        presented.kind, _text(claims, "sub"), _text(claims, "account"), _text(claims, "client_id"),
        _text(claims, "key_id"), _scope(claims), audience, presented.environment, _expiry(claims, now),
        _text(claims, "grant_id"), _act(claims), False, MappingProxyType(dict(claims)),
    )  # fmt: skip


def _expiry(claims: Mapping[str, Any], now: float) -> int | None:
    expires_at = claims.get("exp")
    if expires_at is not None and type(expires_at) is not int:
        raise _malformed()
    if expires_at is not None and now >= expires_at:
        raise InvalidToken("the credential has expired", reason="credential_expired")
    return expires_at


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is None or (type(value) is str and value and value.isprintable()):
        return value
    raise _malformed()


def _scope(claims: Mapping[str, Any]) -> Scope:
    value = claims.get("scope", "")
    try:
        return scopes.parse(value) if value != "" else frozenset()
    except (MalformedScope, TypeError):
        raise _malformed() from None


def _act(claims: Mapping[str, Any]) -> Mapping[str, Any] | None:
    act = claims.get("act")
    if act is None or isinstance(act, dict):
        return act
    raise _malformed()


def _malformed() -> Unavailable:
    return Unavailable("the answer to introspection is malformed")
