"""Claims to JWTs: the only place that touches private keys, which the database keeps sealed."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from doorward.protocol.entities import SigningKey
from doorward.protocol.token import Stamp
from doorward_verify import assertion, jwt

ES256 = ec.ECDSA(hashes.SHA256())
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Place = tuple[str, tuple[str, ...], tuple[object, ...], tuple[type, ...]]
Begun = tuple[bytes, PrivateKey]
NONCE = 12
SIGNING_KEYS = "signing keys"
BEGUN_LIMIT = 4096
_STAMP = b'"iat":%d,"exp":%d,"jti":"%b","pos":"%b"'
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def derive(master_key: bytes, purpose: str) -> bytes:
    """A key for one purpose; the master key itself encrypts nothing."""
    return HKDF(hashes.SHA256(), 32, salt=None, info=f"doorward {purpose}".encode()).derive(master_key)


def seal(key: bytes, plain: bytes, about: bytes) -> bytes:
    """AES-256-GCM; `about` binds the box to its place."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, about)


def unseal(key: bytes, box: bytes, about: bytes) -> bytes:
    """Raises cryptography's InvalidTag when key, box or place are not the ones it was sealed with."""
    return AESGCM(key).decrypt(box[:NONCE], box[NONCE:], about)


class Keyring:
    """The master keys by version: the current one seals, and each opens what was sealed under it.

    Another version becomes current while others look: they see all of the old state, or all of the new.
    """

    def __init__(self, versions: Mapping[int, bytes], current: int) -> None:
        self.become(versions, current)

    @classmethod
    def of(cls, master_key: bytes) -> Keyring:
        return cls({1: master_key}, 1)

    def become(self, versions: Mapping[int, bytes], current: int) -> None:
        others = sorted(version for version in versions if version != current)
        masters = tuple(versions[version] for version in (current, *reversed(others)))
        derived: dict[str, tuple[bytes, ...]] = {}
        self._state = masters, derived

    def keys(self, purpose: str) -> tuple[bytes, ...]:
        """Those for one purpose, the current one first."""
        masters, derived = self._state
        if purpose not in derived:
            derived[purpose] = tuple(derive(master, purpose) for master in masters)
        return derived[purpose]

    def key(self, purpose: str) -> bytes:
        return self.keys(purpose)[0]


def unseal_with(keys: Iterable[bytes], box: bytes, about: bytes) -> bytes:
    """With the one of these keys that fits. Raises InvalidTag when none does."""
    for key in keys:
        with suppress(InvalidTag):
            return unseal(key, box, about)
    raise InvalidTag


class Signer:
    """Makes JWTs. A private key is opened once and kept by its `kid`."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._opened: dict[str, PrivateKey] = {}
        self._begun: dict[Place, Begun] = {}

    def generate(self, kid: str, algorithm: str, now: int, purpose: str = "token", state: str = "active") -> SigningKey:
        """A fresh key for ES256 or RS256. One of RS256 takes a moment: not to be waited for on an event loop."""
        private: PrivateKey = (
            ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else rsa.generate_private_key(65537, 2048)
        )
        plain = private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        box = seal(self._keyring.key(SIGNING_KEYS), plain, kid.encode())
        jwk = {**_public_jwk(private), "kid": kid, "alg": algorithm, "use": "sig"}
        activated_at = now if state == "active" else None
        return SigningKey(kid, algorithm, state, jwk, box, now, activated_at, purpose=purpose)

    def forget(self, but: Collection[str]) -> None:
        """Private keys are kept open only while they sign; `but` are the ids of those that do."""
        if not self._opened.keys() <= set(but):
            self._opened = {kid: private for kid, private in self._opened.items() if kid in but}
            self._begun = {place: begun for place, begun in self._begun.items() if place[0] in but}

    def resealed(self, key: SigningKey) -> SigningKey:
        """The same key, its private half under the current master key."""
        plain = unseal_with(self._keyring.keys(SIGNING_KEYS), key.private_key, key.id.encode())
        box = seal(self._keyring.key(SIGNING_KEYS), plain, key.id.encode())
        return replace(key, private_key=box, version=key.version + 1)

    def jwt(self, claims: Mapping[str, Any], stamp: Stamp, key: SigningKey) -> str:
        """The compact JWS (RFC 7515 §3.1) of both; what a client's tokens have in common is serialised once."""
        values = tuple(claims.values())
        # The types too: true and 1 are equal to Python, but not to whoever reads the token.
        place = (key.id, tuple(claims), values, tuple(map(type, values)))
        beginning, private = self._begun.get(place) or self._begin(place, claims, key)
        rest = _STAMP % (stamp.iat, stamp.exp, stamp.jti.encode(), stamp.pos.encode())
        rest += b"}" if stamp.status is None else b',"status":' + _encode(stamp.status).encode() + b"}"
        signing_input = beginning + jwt.b64url(rest)
        return (signing_input + b"." + jwt.b64url(_signature(private, signing_input))).decode("ascii")

    def heartbeat(self, claims: Mapping[str, Any], key: SigningKey) -> str:
        """The compact JWS of what the feed says of itself."""
        assert key.purpose == "feed", "each key signs for one purpose"
        return self._whole("feed+jwt", claims, key)

    def assertion(self, claims: Mapping[str, Any], key: SigningKey) -> str:
        """The compact JWS of what a gateway tells a service of a request."""
        assert key.purpose == "assertion", "each key signs for one purpose"
        return self._whole(assertion.TYPE, claims, key)

    def status_list(self, claims: Mapping[str, Any], key: SigningKey) -> str:
        """The compact JWS of a status list: whoever knows the keys of tokens can read it."""
        assert key.purpose == "token", "each key signs for one purpose"
        return self._whole("statuslist+jwt", claims, key)

    def id_token(self, claims: Mapping[str, Any], key: SigningKey) -> str:
        """The compact JWS of what a client is told of a user (OpenID Connect Core §2)."""
        assert key.purpose == "token", "each key signs for one purpose"
        return self._whole("JWT", claims, key)

    def sign_in_request(self, claims: Mapping[str, Any], key: SigningKey) -> str:
        """The compact JWS by which a browser is handed over to a sign-in page of the company's own."""
        assert key.purpose == "token", "each key signs for one purpose"
        return self._whole("sign-in-request+jwt", claims, key)

    def logout_token(self, claims: Mapping[str, Any], key: SigningKey) -> str:
        """The compact JWS that tells a client of the end of a session (OpenID Connect Back-Channel Logout §2.4)."""
        assert key.purpose == "token", "each key signs for one purpose"
        return self._whole("logout+jwt", claims, key)

    def _whole(self, typ: str, claims: Mapping[str, Any], key: SigningKey) -> str:
        header = _encode({"typ": typ, "alg": key.algorithm, "kid": key.id}).encode()
        signing_input = jwt.b64url(header) + b"." + jwt.b64url(_encode(claims).encode())
        private = self._opened.get(key.id) or self._open(key)
        return (signing_input + b"." + jwt.b64url(_signature(private, signing_input))).decode("ascii")

    def _begin(self, place: Place, claims: Mapping[str, Any], key: SigningKey) -> Begun:
        """The header and the claims in base64url, up to the comma before the stamp, and who signs them.

        Three bytes make four characters: two spaces at most, which mean nothing in JSON, let the rest be encoded alone.
        """
        assert key.purpose == "token", "each key signs for one purpose"
        header = _encode({"typ": "at+jwt", "alg": key.algorithm, "kid": key.id}).encode()
        opened = _encode(claims).encode()[:-1] + b","
        beginning = jwt.b64url(header) + b"." + jwt.b64url(opened + b" " * (-len(opened) % 3))
        if len(self._begun) >= BEGUN_LIMIT:
            self._begun.clear()
        self._begun[place] = beginning, self._opened.get(key.id) or self._open(key)
        return self._begun[place]

    def _open(self, key: SigningKey) -> PrivateKey:
        plain = unseal_with(self._keyring.keys(SIGNING_KEYS), key.private_key, key.id.encode())
        private = serialization.load_der_private_key(plain, None)
        assert isinstance(private, PrivateKey)
        self._opened[key.id] = private
        return private


def _signature(private: PrivateKey, signing_input: bytes) -> bytes:
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(signing_input, padding.PKCS1v15(), hashes.SHA256())
    der = private.sign(signing_input, ES256)
    # RFC 7518 §3.4 wants r and s in 32 bytes each; DER leads each by a tag and its length, and keeps it short.
    end = 4 + der[3]
    return der[4:end][-32:].rjust(32, b"\0") + der[end + 2 :][-32:].rjust(32, b"\0")


def _public_jwk(private: PrivateKey) -> dict[str, str]:
    if isinstance(private, rsa.RSAPrivateKey):
        numbers = private.public_key().public_numbers()
        size = (numbers.n.bit_length() + 7) // 8
        return {"kty": "RSA", "n": jwt.b64url_encode(numbers.n.to_bytes(size, "big")), "e": "AQAB"}
    point = private.public_key().public_numbers()
    x, y = (jwt.b64url_encode(number.to_bytes(32, "big")) for number in (point.x, point.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}
