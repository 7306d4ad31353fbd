"""An issuer in the test: signing keys, and tokens that are right unless the test says otherwise."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Any

from doorward_verify import jwt
from doorward_verify.testing import keys as made
from doorward_verify.testing.keys import SigningKey, dumps, jwks, number, public_jwk, signed

__all__ = [
    "AUDIENCE", "ISSUER", "NOW", "SigningKey", "claims", "dumps", "ec_key", "header", "hmac_signed", "jwks", "keys",
    "number", "public_jwk", "rsa_key", "signed", "token", "with_signature",
]  # fmt: skip

ISSUER = "https://auth.example.com"
AUDIENCE = "https://api.example.com"
NOW = 1_800_000_000


@lru_cache
def ec_key(kid: str = "ec-1") -> SigningKey:
    return made.ec_key(kid)


@lru_cache
def rsa_key(kid: str = "rsa-1") -> SigningKey:
    return made.rsa_key(kid)


def keys() -> jwt.Keys:
    """Both kinds of key, as a verifier holds them."""
    return jwt.keys_from_jwks(jwks(ec_key(), rsa_key()))


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; `...` takes one away."""
    good = {
        "iss": ISSUER, "sub": "client_8sK2", "aud": AUDIENCE, "client_id": "client_8sK2", "scope": "invoices:read",
        "iat": NOW, "exp": NOW + 300, "jti": "5f0f3b0a", "grant_id": "grant_1", "account": "acme",
    }  # fmt: skip
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def header(key: SigningKey, **changes: Any) -> dict[str, Any]:
    good = {"typ": "at+jwt", "alg": key.alg, "kid": key.kid}
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def token(key: SigningKey | None = None, head: dict[str, Any] | None = None, **changes: Any) -> str:
    """A token of this key, good but for the changes of its header and claims."""
    key = key or ec_key()
    return signed(key, dumps(header(key, **(head or {}))), dumps(claims(**changes)))


def hmac_signed(secret: bytes, raw_header: bytes, raw_claims: bytes) -> str:
    signing_input = f"{jwt.b64url_encode(raw_header)}.{jwt.b64url_encode(raw_claims)}"
    mac = hmac.digest(secret, signing_input.encode(), hashlib.sha256)
    return f"{signing_input}.{jwt.b64url_encode(mac)}"


def with_signature(text: str, signature: bytes) -> str:
    return f"{text.rpartition('.')[0]}.{jwt.b64url_encode(signature)}"
