"""Signing and verifying in this process, beside `cryptography` alone over the same bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from figures import Comparison, Figure
from joserfc import jwt as joserfc
from joserfc.jwk import ECKey
from live_entries import entries
from timing import Contestant, in_turns

from doorward.protocol.token import Stamp
from doorward.sign import Keyring, Signer
from doorward_verify import access_token, jwt
from doorward_verify.revocations import Log, ties_of_token

ISSUER, AUDIENCE = "https://auth.example.com", "https://api.example.com"
TOKENS = 1000
CLAIMS = {
    "iss": ISSUER,
    "sub": "client_0123456789abcdef",
    "aud": AUDIENCE,
    "client_id": "client_0123456789abcdef",
    "scope": "invoices:read invoices:write",
    "grant_id": "grant_0123456789abcdef",
    "account": "acme",
}
ES256 = ec.ECDSA(hashes.SHA256())


def run(_place: Path, _progress: Generator[None, str]) -> list[Comparison]:
    signer = Signer(Keyring.of(os.urandom(32)))
    now = int(time.time())
    key = signer.generate("signing_0123456789abcdef", "ES256", now)
    stamps = [Stamp(now, now + 300, f"{number:022}", "1:12") for number in range(TOKENS)]
    tokens = [signer.jwt(CLAIMS, stamp, key) for stamp in stamps]
    signing_inputs = [token.rpartition(".")[0].encode() for token in tokens]
    private = ec.generate_private_key(ec.SECP256R1())
    signing = _compared(
        "sign a JWT, ES256",
        Contestant(lambda stamp: signer.jwt(CLAIMS, stamp, key), stamps),
        Contestant(lambda signing_input: private.sign(signing_input, ES256), signing_inputs),
        required=85.0,
    )
    return [signing, *_verifying(tokens, key.public_jwk, now)]


def _verifying(tokens: list[str], jwk: Any, now: int) -> list[Comparison]:
    keys = jwt.keys_from_jwks({"keys": [jwk]})
    x, y = (int.from_bytes(jwt.b64url_decode(jwk[name]), "big") for name in "xy")
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    plain = Contestant(
        lambda signed: public.verify(signed[0], signed[1], ES256),
        [_signed(token) for token in tokens],
    )
    imported = ECKey.import_key(jwk)
    ours = Contestant(lambda token: access_token.verify(token, keys, issuer=ISSUER, audience=AUDIENCE, now=now), tokens)
    peer = Contestant(lambda token: joserfc.decode(token, imported, algorithms=["ES256"]), tokens)
    log, kid = Log(1, entries()), str(jwk["kid"])
    against_the_feed = Contestant(
        lambda token: log.covers(
            ties_of_token(access_token.verify(token, keys, issuer=ISSUER, audience=AUDIENCE, now=now).claims, kid)
        ),
        tokens,
    )
    return [
        _compared("verify a JWT not seen before, ES256", ours, plain, required=85.0),
        _compared("the same, and against a feed with 10,000 entries", against_the_feed, plain, required=85.0),
        _compared("for comparison: joserfc decodes the same, claims unchecked", peer, plain),
    ]


def _signed(token: str) -> tuple[bytes, bytes]:
    signing_input, _, text = token.rpartition(".")
    signature = jwt.b64url_decode(text)
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    return encode_dss_signature(r, s), signing_input.encode()


def _compared(name: str, ours: Contestant, yardstick: Contestant, required: float | None = None) -> Comparison:
    mine, theirs = in_turns(ours, yardstick)
    shares = [100 * one / other for one, other in zip(theirs, mine, strict=True)]
    return Comparison(
        Figure(name, "µs", mine),
        Figure(name, "µs", theirs),
        Figure(name, "%", shares, more_is_better=True, required=required),
        "`cryptography` alone",
    )
