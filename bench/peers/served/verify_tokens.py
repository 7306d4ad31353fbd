"""Libraries that verify JWTs, and Doorward's verifier, in one process of the peers' environment: microseconds as JSON.

Standard input says which tokens: {"issuer", "verifiers": {alg: [audience, id, secret]}, "tokens": {alg: [...]},
"jwks"}. Every library checks signature, issuer, audience and times. The key is parsed once, or for every token where
the name says so. Doorward's verifier hears its feed meanwhile and must refuse what is revoked; it sees each token for
the first time once, so that every round has tokens of its own, and the same ones for everybody.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jwt as pyjwt
from authlib.jose import JsonWebKey, JsonWebToken
from jose import jwt as python_jose
from jose.jwk import construct as constructed
from joserfc import jwt as joserfc
from joserfc.jwk import JWKRegistry

from doorward_verify import Verifier

ROUNDS = 9
KNOWN_CALLS = 2000

Call = Callable[[str], object]


def pyjwt_call(alg: str, jwk: dict[str, Any], issuer: str, audience: str) -> Call:
    key = pyjwt.PyJWK(jwk).key
    return lambda token: pyjwt.decode(token, key, algorithms=[alg], issuer=issuer, audience=audience)


def pyjwt_per_token(alg: str, jwk: dict[str, Any], issuer: str, audience: str) -> Call:
    """A PEM text for a key, as its documentation's examples have it."""
    text = JsonWebKey.import_key(jwk).as_pem()
    return lambda token: pyjwt.decode(token, text, algorithms=[alg], issuer=issuer, audience=audience)


def joserfc_call(alg: str, jwk: dict[str, Any], issuer: str, audience: str) -> Call:
    key = JWKRegistry.import_key(jwk)
    wanted = joserfc.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer}, aud={"essential": True, "value": audience}
    )
    return lambda token: wanted.validate(joserfc.decode(token, key, algorithms=[alg]).claims)


def joserfc_per_token(alg: str, jwk: dict[str, Any], issuer: str, audience: str) -> Call:
    return lambda token: joserfc_call(alg, jwk, issuer, audience)(token)


def python_jose_call(alg: str, jwk: dict[str, Any], issuer: str, audience: str) -> Call:
    key = constructed(jwk, alg)
    return lambda token: python_jose.decode(token, key, algorithms=[alg], issuer=issuer, audience=audience)


def python_jose_per_token(alg: str, jwk: dict[str, Any], issuer: str, audience: str) -> Call:
    return lambda token: python_jose.decode(token, jwk, algorithms=[alg], issuer=issuer, audience=audience)


def authlib_call(alg: str, jwk: dict[str, Any], issuer: str, audience: str) -> Call:
    key, reader = JsonWebKey.import_key(jwk), JsonWebToken([alg])
    wanted = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": audience}}
    return lambda token: reader.decode(token, key, claims_options=wanted).validate()


CALLS = {
    "PyJWT": pyjwt_call,
    "PyJWT, a key as text": pyjwt_per_token,
    "joserfc": joserfc_call,
    "joserfc, key parsed per token": joserfc_per_token,
    "python-jose": python_jose_call,
    "python-jose, key parsed per token": python_jose_per_token,
    "authlib.jose": authlib_call,
}


def microseconds(call: Call, tokens: Sequence[str]) -> float:
    """Of this thread's CPU time: waiting for the core says nothing."""
    begun = time.thread_time()
    for token in tokens:
        call(token)
    return (time.thread_time() - begun) / len(tokens) * 1e6


def refuses_what_was_changed(call: Call, token: str) -> bool:
    head, claims, signature = token.split(".")
    try:
        call(".".join((head, claims, signature[:-9] + ("A" if signature[-9] != "A" else "B") + signature[-8:])))
    except Exception:
        return True
    return False


def measured(told: dict[str, Any], alg: str) -> dict[str, list[float]]:
    audience, verifier_id, secret = told["verifiers"][alg]
    warm, *tokens = told["tokens"][alg]
    kid = pyjwt.get_unverified_header(warm)["kid"]
    jwk = next(key for key in told["jwks"]["keys"] if key["kid"] == kid)
    verifier = Verifier(told["issuer"], audience=audience, verifier_id=verifier_id, verifier_secret=secret)
    calls: dict[str, Call] = {name: make(alg, jwk, told["issuer"], audience) for name, make in CALLS.items()}
    for name, call in {"Doorward": verifier.check, **calls}.items():
        call(warm)
        if not refuses_what_was_changed(call, warm):
            raise SystemExit(f"{name} took a token whose signature was changed")
    if verifier.state != "synced":
        raise SystemExit(f"the verifier is {verifier.state}")
    found: dict[str, list[float]] = {name: [] for name in ("Doorward, known", "Doorward, unknown", *calls)}
    each = len(tokens) // ROUNDS
    for number in range(ROUNDS):
        batch = tokens[number * each : (number + 1) * each]
        found["Doorward, known"].append(microseconds(verifier.check, [warm] * KNOWN_CALLS))
        found["Doorward, unknown"].append(microseconds(verifier.check, batch))
        for name, call in calls.items():
            found[name].append(microseconds(call, batch))
    return found


def main() -> None:
    told = json.load(sys.stdin)
    json.dump({alg: measured(told, alg) for alg in told["tokens"]}, sys.stdout)


if __name__ == "__main__":
    main()
