"""Signing keys of an issuer for tests, and what they sign: compact JWS, RFC 7515 §7.1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from doorward_verify import jwt


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


def ec_key(kid: str) -> SigningKey:
    return SigningKey(kid, ec.generate_private_key(ec.SECP256R1()))


def rsa_key(kid: str) -> SigningKey:
    return SigningKey(kid, rsa.generate_private_key(65537, 2048))


def public_jwk(public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> dict[str, str]:
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
    point, size = public.public_numbers(), (public.key_size + 7) // 8
    curve = {256: "P-256", 384: "P-384"}[public.key_size]
    return {"kty": "EC", "crv": curve, "x": number(point.x, size), "y": number(point.y, size)}


def number(value: int, size: int | None = None) -> str:
    return jwt.b64url_encode(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def jwks(*keys: SigningKey) -> dict[str, Any]:
    return {"keys": [key.jwk for key in keys]}


def token(key: SigningKey, typ: str, claims: Mapping[str, Any]) -> str:
    return signed(key, dumps({"typ": typ, "alg": key.alg, "kid": key.kid}), dumps(claims))


def signed(key: SigningKey, raw_header: bytes, raw_claims: bytes) -> str:
    """A correctly signed token with exactly these bytes in it."""
    signing_input = f"{jwt.b64url_encode(raw_header)}.{jwt.b64url_encode(raw_claims)}"
    return f"{signing_input}.{jwt.b64url_encode(key.sign(signing_input.encode()))}"


def dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
