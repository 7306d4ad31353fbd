"""An issuer in the test: signing keys, and tokens that are right unless the test says otherwise."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from doorward_verify import jwt

ISSUER = "https://auth.example.com"
AUDIENCE = "https://api.example.com"
NOW = 1_800_000_000


@dataclass(frozen=True)
class SigningKey:
    kid: str
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    @property
    def alg(self) -> str:
        return "RS256" if isinstance(self.private, rsa.RSAPrivateKey) else "ES256"

    @cached_property
    def jwk(self) -> dict[str, Any]:
        return {**public_jwk(self.private.public_key()), "kid": self.kid, "alg": self.alg, "use": "sig"}

    def sign(self, signing_input: bytes) -> bytes:
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(signing_input, padding.PKCS1v15(), hashes.SHA256())
        size = (self.private.key_size + 7) // 8
        r, s = decode_dss_signature(self.private.sign(signing_input, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def public_jwk(public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> dict[str, str]:
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
    point, size = public.public_numbers(), (public.key_size + 7) // 8
    curve = {256: "P-256", 384: "P-384"}[public.key_size]
    return {"kty": "EC", "crv": curve, "x": number(point.x, size), "y": number(point.y, size)}


def number(value: int, size: int | None = None) -> str:
    return jwt.b64url_encode(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


@lru_cache
def ec_key(kid: str = "ec-1") -> SigningKey:
    return SigningKey(kid, ec.generate_private_key(ec.SECP256R1()))


@lru_cache
def rsa_key(kid: str = "rsa-1") -> SigningKey:
    return SigningKey(kid, rsa.generate_private_key(65537, 2048))


def jwks(*keys: SigningKey) -> dict[str, Any]:
    return {"keys": [key.jwk for key in keys]}


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


def signed(key: SigningKey, raw_header: bytes, raw_claims: bytes) -> str:
    """A correctly signed token with exactly these bytes in it."""
    signing_input = f"{jwt.b64url_encode(raw_header)}.{jwt.b64url_encode(raw_claims)}"
    return f"{signing_input}.{jwt.b64url_encode(key.sign(signing_input.encode()))}"


def hmac_signed(secret: bytes, raw_header: bytes, raw_claims: bytes) -> str:
    signing_input = f"{jwt.b64url_encode(raw_header)}.{jwt.b64url_encode(raw_claims)}"
    mac = hmac.digest(secret, signing_input.encode(), hashlib.sha256)
    return f"{signing_input}.{jwt.b64url_encode(mac)}"


def with_signature(text: str, signature: bytes) -> str:
    return f"{text.rpartition('.')[0]}.{jwt.b64url_encode(signature)}"


def dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
