"""Wycheproof's JWS, JWK and ECDSA vectors: nothing invalid is accepted, and nothing valid of our algorithms refused."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key
from tests.vectors import outside_json

from doorward_verify import jwt
from doorward_verify.errors import InvalidToken

# A JWS may sign nothing, but a JWT cannot: there is no JSON in it.
NO_JWT = {"emptyPayload"}
ALGORITHMS = {"ES256", "RS256"}


def groups(name: str) -> list[Any]:
    return list(outside_json(f"wycheproof/{name}.json")["testGroups"])


def accepts(text: str, known: jwt.Keys) -> bool:
    try:
        header, _, signature, signing_input = jwt.unpack(text)
        jwt.authenticate(header, signature, signing_input, known)
    except InvalidToken:
        return False
    return True


def keys_of(group: Any) -> jwt.Keys:
    """A set of one for a single key, whatever its kid: so that every vector is judged by its signature."""
    jwk = group.get("public") or group["private"]
    return jwt.keys_from_jwks(jwk if "keys" in jwk else {"keys": [{"kid": "only", **jwk}]})


def test_no_invalid_signature_is_accepted_and_no_valid_one_of_ours_refused() -> None:
    accepted = 0
    for group in groups("json_web_signature_test"):
        for test in group["tests"]:
            algorithm = (group.get("public") or group["private"]).get("alg")
            verdict = accepts(test["jws"], keys_of(group))
            if test["result"] != "valid":
                assert not verdict, test
            elif algorithm in ALGORITHMS and test["comment"] not in NO_JWT:
                assert verdict, test
                accepted += 1
    assert accepted >= 5


def test_no_key_set_lets_an_invalid_token_in() -> None:
    accepted = 0
    for group in groups("json_web_key_test"):
        for test in group["tests"]:
            verdict = accepts(test["jws"], keys_of(group))
            assert verdict <= (test["result"] == "valid"), test
            accepted += verdict
    assert accepted >= 1


def test_ecdsa_signatures_of_fixed_length_are_accepted_exactly_when_they_are_valid() -> None:
    count = 0
    for group in groups("ecdsa_secp256r1_sha256_p1363_test"):
        key = jwt.ES256(load_der_public_key(bytes.fromhex(group["publicKeyDer"])))  # type: ignore[arg-type]
        for test in group["tests"]:
            count += 1
            signature, message = bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])
            if test["result"] == "valid":
                key.verify(signature, message)
            else:
                with pytest.raises(InvalidToken):
                    key.verify(signature, message)
    assert count > 200
