"""Strict compact JWS, RFC 7515 §7.1, and JWK, RFC 7517: one algorithm per key, chosen by `kid` alone.

BASE64URL(header) "." BASE64URL(claims) "." BASE64URL(signature)
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from functools import cache, lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from doorward_verify import strict_json
from doorward_verify.errors import InvalidToken, KeyUnknown

LIMIT = 16 * 1024
HEADER_LIMIT = 4 * 1024

# Each of these changes what is signed, or names a key of the sender's choice, or makes it no JWS.
REFUSED_MEMBERS = frozenset({"crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc"})
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class Header(NamedTuple):
    """The members by which a token is checked, and all of them."""

    alg: str
    kid: str | None
    typ: str
    members: Mapping[str, Any]


class Parsed(NamedTuple):
    """A JWT of which nothing is believed yet."""

    header: Mapping[str, Any]
    claims: dict[str, Any]
    signature: bytes
    signing_input: bytes

    def __repr__(self) -> str:
        return f"Parsed(header={dict(self.header)!r})"


def parse(text: str) -> Parsed:
    """Raises InvalidToken for whatever is not exactly one JWT."""
    header, payload, signature, signing_input = unpack(text)
    return Parsed(header.members, read_claims(payload), signature, signing_input)


def unpack(text: str) -> tuple[Header, bytes, bytes, bytes]:
    """The header, payload, signature and signing input of a compact JWS, whatever its payload is."""
    if len(text) > LIMIT:
        raise malformed()
    try:
        signing_input, _, signature = text.encode("ascii").rpartition(b".")
        header, _, payload = signing_input.partition(b".")
        return _header(header), _decode(payload), _decode(signature), signing_input
    except ValueError:
        raise malformed() from None


def read_claims(payload: bytes) -> dict[str, Any]:
    try:
        return strict_json.parse(payload)
    except ValueError:
        raise malformed() from None


@lru_cache(maxsize=64)
def _header(raw: bytes) -> Header:
    """An issuer's tokens share a handful of headers, so that reading one is mostly looking it up."""
    if len(raw) > HEADER_LIMIT:
        raise ValueError("header is too large")
    members = strict_json.parse(_decode(raw))
    if not REFUSED_MEMBERS.isdisjoint(members):
        raise ValueError("a header member is refused")
    alg, kid, typ = members.get("alg"), members.get("kid", ""), members.get("typ", "")
    if not isinstance(alg, str) or not isinstance(kid, str) or not isinstance(typ, str):
        raise ValueError("alg, kid or typ is not a string")
    return Header(alg, kid if "kid" in members else None, typ, MappingProxyType(members))


def malformed() -> InvalidToken:
    return InvalidToken("the token is malformed", reason="token_malformed")


# Everything outside the base64url alphabet, the padding included, becomes a byte that base64 does not know.
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_STANDARD = bytes(
    {ord("-"): ord("+"), ord("_"): ord("/")}.get(byte, byte) if byte in _ALPHABET else 0 for byte in range(256)
)
_PADDING = {0: b"", 2: b"==", 3: b"="}
# The bits beyond the last byte must be zero, or several texts would mean the same bytes (RFC 4648 §3.5).
_LAST = {0: _ALPHABET, 2: _ALPHABET[::16], 3: _ALPHABET[::4]}


def _decode(raw: bytes) -> bytes:
    """Canonical base64url of at least one byte, RFC 7515 §2; raises ValueError for anything else."""
    rest = len(raw) % 4
    if not raw or rest == 1 or raw[-1] not in _LAST[rest]:
        raise ValueError("not canonical base64url")
    return binascii.a2b_base64(raw.translate(_STANDARD) + _PADDING[rest], strict_mode=True)


def b64url_decode(text: str) -> bytes:
    """Raises ValueError unless the text is canonical base64url without padding."""
    return _decode(text.encode("ascii")) if text else b""


def b64url(value: bytes) -> bytes:
    return binascii.b2a_base64(value, newline=False).translate(_URL_SAFE, b"=")


def b64url_encode(value: bytes) -> str:
    return b64url(value).decode("ascii")


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class ES256:
    """ECDSA on P-256 with SHA-256, RFC 7518 §3.4: r and s, 32 bytes each."""

    algorithm = "ES256"
    _prehashed = ec.ECDSA(Prehashed(hashes.SHA256()))
    _order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551.to_bytes(32, "big")
    _zero = bytes(32)

    def __init__(self, public: ec.EllipticCurvePublicKey) -> None:
        if not isinstance(public.curve, ec.SECP256R1):
            raise ValueError("the curve is not P-256")
        self._public = public

    def verify(self, signature: bytes, signing_input: bytes) -> None:
        """Raises InvalidToken unless the signature fits."""
        r, s = signature[:32], signature[32:]
        if len(signature) != 64 or not self._zero < r < self._order or not self._zero < s < self._order:
            raise _forged()
        try:
            self._public.verify(_der(r, s), sha256(signing_input).digest(), self._prehashed)
        except InvalidSignature:
            raise _forged() from None


class RS256:
    """RSASSA-PKCS1-v1_5 with SHA-256, RFC 7518 §3.3."""

    algorithm = "RS256"
    _hash = hashes.SHA256()
    _padding = padding.PKCS1v15()

    def __init__(self, public: rsa.RSAPublicKey) -> None:
        numbers = public.public_numbers()
        if not 2048 <= public.key_size <= 8192 or numbers.e >= 2**32 or _is_roca(numbers.n):
            raise ValueError("the RSA key is too weak, or too slow to use")
        self._public = public

    def verify(self, signature: bytes, signing_input: bytes) -> None:
        """Raises InvalidToken unless the signature fits."""
        try:
            self._public.verify(signature, signing_input, self._padding, self._hash)
        except InvalidSignature:
            raise _forged() from None


# Primes for which 65537 generates but a part of all remainders, so that membership says something.
_TELLING_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)


def _is_roca(modulus: int) -> bool:
    """CVE-2017-15361: moduli that some smart cards made, powers of 65537 by every small prime, can be factored."""
    return all(modulus % prime in _powers_of_65537(prime) for prime in _TELLING_PRIMES)


@cache
def _powers_of_65537(prime: int) -> frozenset[int]:
    return frozenset(pow(65537, exponent, prime) for exponent in range(prime))


def _forged() -> InvalidToken:
    return InvalidToken("the signature is invalid", reason="signature_invalid")


def _der(r: bytes, s: bytes) -> bytes:
    """The ASN.1 form of r and s, each below 2^256, so that every length fits into one byte."""
    r, s = r.lstrip(b"\0"), s.lstrip(b"\0")
    if r[0] > 127:
        r = b"\0" + r
    if s[0] > 127:
        s = b"\0" + s
    return _SEQUENCE[len(r) + len(s)] + _INTEGER[len(r)] + r + _INTEGER[len(s)] + s


# The beginning of each by the length of what it holds.
_INTEGER = [bytes((2, length)) for length in range(34)]
_SEQUENCE = [bytes((0x30, length + 4)) for length in range(67)]


Key = ES256 | RS256
Keys = Mapping[str, Key]


def authenticate(header: Header, signature: bytes, signing_input: bytes, keys: Keys) -> str:
    """The id of the key that signed. Raises KeyUnknown, or InvalidToken unless the key that `kid` names, or the only
    one, signed the token its one way.
    """
    kid = _only(keys) if header.kid is None else header.kid
    key = keys.get(kid)
    if key is None:
        raise KeyUnknown(kid)
    if header.alg != key.algorithm:
        raise _forged()
    key.verify(signature, signing_input)
    return kid


def _only(keys: Keys) -> str:
    if len(keys) != 1:
        raise KeyUnknown("")
    return next(iter(keys))


def keys_from_jwks(document: Mapping[str, Any]) -> Keys:
    """The usable keys of a set by `kid`. Others are passed over (RFC 7517 §5); a repeated `kid` names none."""
    keys: dict[str, Key] = {}
    seen: set[str] = set()
    members = document.get("keys")
    for jwk in members if isinstance(members, list) else ():
        kid = jwk.get("kid") if isinstance(jwk, dict) else None
        if not isinstance(kid, str):
            continue
        if kid in seen:
            keys.pop(kid, None)
        elif (key := key_from_jwk(jwk)) is not None:
            keys[kid] = key
        seen.add(kid)
    return keys


def key_from_jwk(jwk: Mapping[str, Any]) -> Key | None:
    """A public signature key with one algorithm, or None (T071)."""
    if not PRIVATE_MEMBERS.isdisjoint(jwk) or jwk.get("use", "sig") != "sig" or not _may_verify(jwk):
        return None
    kind = jwk.get("kty"), jwk.get("crv"), jwk.get("alg")
    try:
        match kind:
            case "EC", "P-256", None | "ES256":
                return ES256(
                    ec.EllipticCurvePublicNumbers(
                        _number(jwk, "x", 32), _number(jwk, "y", 32), ec.SECP256R1()
                    ).public_key()
                )
            case "RSA", None, None | "RS256":
                return RS256(rsa.RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n")).public_key())
    except ValueError:
        pass
    return None


def _may_verify(jwk: Mapping[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return isinstance(operations, list) and "verify" in operations


def _number(jwk: Mapping[str, Any], member: str, size: int | None = None) -> int:
    text = jwk.get(member)
    if not isinstance(text, str):
        raise ValueError(f"{member} is missing")
    raw = b64url_decode(text)
    if size is not None and len(raw) != size:
        raise ValueError(f"{member} has the wrong length")
    return int.from_bytes(raw, "big")
