"""Claims to JWTs: what is signed verifies, no two tokens are mixed up, and private keys open in their place alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.given import (
    IDENTIFIER,
    NOW,
    POLICY,
    a_client,
    a_grant,
    a_moment,
    an_account,
    an_api,
    scope,
)

from doorward.protocol import token
from doorward.protocol.entities import SigningKey
from doorward.protocol.refusal import InvalidRequest
from doorward.protocol.status_list import Place
from doorward.protocol.token import Stamp
from doorward.sign import BEGUN_LIMIT, Keyring, Signer, derive, seal, unseal
from doorward_verify import access_token, jwt

MASTER_KEY = b"m" * 32
SEALING_KEY = derive(MASTER_KEY, "signing keys")
STAMP = Stamp(NOW, NOW + 300, "jti0123456789", "2:41")
STAMPED = {"iat": NOW, "exp": NOW + 300, "jti": "jti0123456789", "pos": "2:41"}
CLAIMS = {
    "iss": POLICY.issuer, "sub": "client_1", "aud": IDENTIFIER, "client_id": "client_1", "scope": "read",
    "grant_id": "grant_1", "account": "acme",
}  # fmt: skip
ALGORITHMS = ("ES256", "RS256")
each_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)


def a_signing_key(algorithm: str = "ES256", kid: str = "") -> SigningKey:
    return generated(algorithm, kid or kid_of(algorithm))


@cache
def generated(algorithm: str, kid: str) -> SigningKey:
    return Signer(Keyring.of(MASTER_KEY)).generate(kid, algorithm, NOW)


def kid_of(algorithm: str) -> str:
    """As long as those that the server gives."""
    return f"signing_00000000000{algorithm}"


@cache
def a_signer() -> Signer:
    return Signer(Keyring.of(MASTER_KEY))


def published(*keys: SigningKey) -> jwt.Keys:
    return jwt.keys_from_jwks({"keys": [dict(key.public_jwk) for key in keys]})


def verified_claims(text: str, key: SigningKey) -> Mapping[str, Any]:
    return access_token.verify(text, published(key), issuer=POLICY.issuer, audience=IDENTIFIER, now=NOW).claims


# What is signed


@each_algorithm
def test_a_token_verifies_with_the_published_key(algorithm: str) -> None:
    key = a_signing_key(algorithm)
    assert verified_claims(a_signer().jwt(CLAIMS, STAMP, key), key) == {**CLAIMS, **STAMPED}


@each_algorithm
def test_the_header_names_type_algorithm_and_key_and_nothing_else(algorithm: str) -> None:
    header = jwt.parse(a_signer().jwt(CLAIMS, STAMP, a_signing_key(algorithm))).header
    assert header == {"typ": "at+jwt", "alg": algorithm, "kid": kid_of(algorithm)}


@pytest.mark.parametrize("length", range(7))
def test_claims_of_every_length_are_encoded_as_one(length: int) -> None:
    claims = {**CLAIMS, "plan": "x" * length}
    text = a_signer().jwt(claims, STAMP, a_signing_key())
    assert verified_claims(text, a_signing_key()) == {**claims, **STAMPED}
    assert "=" not in text


json_values = st.one_of(
    st.text(st.characters(blacklist_categories=["Cs"])), st.integers(-(2**53), 2**53), st.booleans()
)


@given(st.lists(st.dictionaries(st.sampled_from(["plan", "seats", "trial"]), json_values), min_size=1, max_size=4))
def test_whatever_was_signed_before_a_token_has_its_own_claims(all_claims: list[dict[str, Any]]) -> None:
    for more in all_claims * 2:
        claims = {**CLAIMS, **more}
        found = jwt.parse(a_signer().jwt(claims, STAMP, a_signing_key())).claims
        # As text, since true and 1 are equal to Python.
        assert json.dumps(found) == json.dumps({**claims, **STAMPED})


def test_one_and_true_are_two_values() -> None:
    signer = Signer(Keyring.of(MASTER_KEY))
    for value in (1, True, 0, False, 1):
        found = jwt.parse(signer.jwt({**CLAIMS, "plan": value}, STAMP, a_signing_key())).claims["plan"]
        assert (found, type(found)) == (value, type(value))


def test_the_same_values_under_other_names_are_other_claims() -> None:
    signer = Signer(Keyring.of(MASTER_KEY))
    for claims in ({"a": "x", "b": "y"}, {"b": "x", "a": "y"}, {"a": "y", "b": "x"}):
        assert jwt.parse(signer.jwt(claims, STAMP, a_signing_key())).claims == {**claims, **STAMPED}


def test_each_client_gets_its_own_claims_each_time() -> None:
    signer = Signer(Keyring.of(MASTER_KEY))
    for _ in range(3):
        for client in ("client_1", "client_2"):
            claims = {**CLAIMS, "sub": client, "client_id": client}
            found = verified_claims(signer.jwt(claims, STAMP, a_signing_key()), a_signing_key())
            assert found["sub"] == found["client_id"] == client


def test_each_token_gets_its_own_stamp() -> None:
    signer = Signer(Keyring.of(MASTER_KEY))
    for number in range(3):
        stamp = Stamp(NOW - number, NOW + 300 - number, f"jti{number}", f"3:{number}")
        found = verified_claims(signer.jwt(CLAIMS, stamp, a_signing_key()), a_signing_key())
        assert (found["iat"], found["exp"], found["jti"], found["pos"]) == (
            NOW - number, NOW + 300 - number, f"jti{number}", f"3:{number}",
        )  # fmt: skip


@each_algorithm
@pytest.mark.parametrize("uri", ["https://auth.example.com/statuslists/17", 'https://ex"ample.com/größe/1'])
def test_a_token_names_its_own_bit_and_its_neighbour_none(algorithm: str, uri: str) -> None:
    signer, key = Signer(Keyring.of(MASTER_KEY)), a_signing_key(algorithm)
    for idx in (0, 1_048_575):
        status: Any = {"status_list": {"idx": idx, "uri": uri}}
        found = verified_claims(signer.jwt(CLAIMS, replace(STAMP, status=status), key), key)
        assert found == {**CLAIMS, **STAMPED, "status": status}
        assert "status" not in verified_claims(signer.jwt(CLAIMS, STAMP, key), key)


def test_each_key_signs_its_own_tokens() -> None:
    signer, keys = Signer(Keyring.of(MASTER_KEY)), [a_signing_key(kid=f"signing_{number}") for number in (1, 2)]
    for _ in range(2):
        for key in (*keys, a_signing_key("RS256")):
            assert verified_claims(signer.jwt(CLAIMS, STAMP, key), key)
    with pytest.raises(access_token.KeyUnknown):
        verified_claims(signer.jwt(CLAIMS, STAMP, keys[0]), keys[1])


def test_what_is_kept_of_claims_is_bounded() -> None:
    signer = Signer(Keyring.of(MASTER_KEY))
    key = a_signing_key()
    for number in range(BEGUN_LIMIT + 2):
        text = signer.jwt({**CLAIMS, "n": number}, STAMP, key)
    assert len(signer._begun) <= BEGUN_LIMIT
    assert verified_claims(text, key)["n"] == BEGUN_LIMIT + 1
    assert verified_claims(signer.jwt({**CLAIMS, "n": 0}, STAMP, key), key)["n"] == 0


def test_a_short_r_or_s_is_padded() -> None:
    """DER keeps numbers short, RFC 7518 §3.4 does not; one signature in 128 has such a number."""
    signer, key, short = Signer(Keyring.of(MASTER_KEY)), a_signing_key(), set()
    for _ in range(20_000):
        text = signer.jwt(CLAIMS, STAMP, key)
        signature = jwt.parse(text).signature
        assert len(signature) == 64
        for half in (0, 32):
            if signature[half] == 0:
                assert verified_claims(text, key)
                short.add(half)
        if len(short) == 2:
            break
    assert short == {0, 32}


# The size budget


@each_algorithm
@pytest.mark.parametrize("place", [None, Place(10**9, 1_048_575, NOW + 300)])
def test_a_token_of_4_kib_is_signed_and_a_larger_one_is_not(algorithm: str, place: Place | None) -> None:
    api = an_api(
        claims={"big": "account.metadata.big"}, signing_algorithm=algorithm, status_list=place is not None
    )  # fmt: skip
    key, sizes = a_signing_key(algorithm), []
    for length in range(2000, 3000, 20):
        facts = a_client(a_grant(api), account=an_account(metadata={"big": "x" * length}))
        with suppress(InvalidRequest):
            terms = token.settle(facts, facts.grants[0], scope("read"), (key,), POLICY)
            reply = token.issue(terms, a_moment(), place).reply
            sizes.append(len(a_signer().jwt(reply.claims, reply.stamp, key)))
    assert 3900 < max(sizes) <= 4096


# Heartbeats


def test_a_heartbeat_is_a_jws_of_its_own_type_under_the_key_of_the_feed() -> None:
    key = Signer(Keyring.of(MASTER_KEY)).generate("feed_1", "ES256", NOW, "feed")
    text = Signer(Keyring.of(MASTER_KEY)).heartbeat({"pos": "1:2", "last": "1:1"}, key)
    header, payload, signature, signing_input = jwt.unpack(text)
    assert header.members == {"typ": "feed+jwt", "alg": "ES256", "kid": "feed_1"}
    assert jwt.read_claims(payload) == {"pos": "1:2", "last": "1:1"}
    jwt.authenticate(header, signature, signing_input, published(key))


def test_a_status_list_is_a_jws_of_its_own_type_under_a_key_of_tokens() -> None:
    text = a_signer().status_list({"sub": "https://auth.example.com/statuslists/1", "ttl": 60}, a_signing_key())
    header, payload, signature, signing_input = jwt.unpack(text)
    assert header.members == {"typ": "statuslist+jwt", "alg": "ES256", "kid": kid_of("ES256")}
    assert jwt.read_claims(payload) == {"sub": "https://auth.example.com/statuslists/1", "ttl": 60}
    jwt.authenticate(header, signature, signing_input, published(a_signing_key()))


def test_no_key_signs_for_the_other_purpose() -> None:
    signer = Signer(Keyring.of(MASTER_KEY))
    with pytest.raises(AssertionError, match="one purpose"):
        signer.heartbeat({}, a_signing_key())
    with pytest.raises(AssertionError, match="one purpose"):
        signer.jwt(CLAIMS, STAMP, signer.generate("feed_1", "ES256", NOW, "feed"))
    with pytest.raises(AssertionError, match="one purpose"):
        signer.status_list({}, signer.generate("feed_1", "ES256", NOW, "feed"))


# Keys


@each_algorithm
def test_a_new_key_is_active_and_published_with_its_algorithm(algorithm: str) -> None:
    key = a_signing_key(algorithm)
    assert (key.id, key.algorithm, key.state) == (kid_of(algorithm), algorithm, "active")
    assert (key.created_at, key.activated_at) == (NOW, NOW)
    shown = {name: key.public_jwk[name] for name in ("kid", "alg", "use")}
    assert shown == {"kid": key.id, "alg": algorithm, "use": "sig"}
    assert published(key)[key.id].algorithm == algorithm


def test_only_the_public_half_is_published() -> None:
    assert set(a_signing_key("ES256").public_jwk) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert set(a_signing_key("RS256").public_jwk) == {"kty", "n", "e", "kid", "alg", "use"}


def test_keys_have_the_size_that_rfc_7518_asks_for() -> None:
    opened = {
        algorithm: load_der_private_key(
            unseal(SEALING_KEY, a_signing_key(algorithm).private_key, kid_of(algorithm).encode()), None
        )
        for algorithm in ALGORITHMS
    }
    es256, rs256 = opened["ES256"], opened["RS256"]
    assert isinstance(es256, ec.EllipticCurvePrivateKey)
    assert isinstance(rs256, rsa.RSAPrivateKey)
    assert isinstance(es256.curve, ec.SECP256R1)
    assert rs256.key_size == 2048
    assert rs256.public_key().public_numbers().e == 65537


def test_a_short_coordinate_is_padded() -> None:
    """RFC 7518 §6.2.1.2 wants 32 bytes; one key in 128 has a coordinate that fits into fewer."""
    signer, short = Signer(Keyring.of(MASTER_KEY)), set()
    for _ in range(20_000):
        jwk = signer.generate("k", "ES256", NOW).public_jwk
        for name in ("x", "y"):
            coordinate = jwt.b64url_decode(str(jwk[name]))
            assert len(coordinate) == 32
            if coordinate[0] == 0:
                assert jwt.key_from_jwk(jwk) is not None
                short.add(name)
        if len(short) == 2:
            break
    assert short == {"x", "y"}


def test_no_two_keys_are_the_same() -> None:
    assert a_signing_key(kid="one").public_jwk["x"] != a_signing_key(kid="two").public_jwk["x"]


@each_algorithm
def test_a_private_key_opens_under_its_own_master_key_alone(algorithm: str) -> None:
    with pytest.raises(InvalidTag):
        Signer(Keyring.of(b"n" * 32)).jwt(CLAIMS, STAMP, a_signing_key(algorithm))


def test_a_private_key_opens_under_its_own_kid_alone() -> None:
    stolen = replace(a_signing_key(kid="one"), private_key=a_signing_key(kid="two").private_key)
    for moved in (stolen, replace(a_signing_key(kid="one"), id="two")):
        with pytest.raises(InvalidTag):
            Signer(Keyring.of(MASTER_KEY)).jwt(CLAIMS, STAMP, moved)


def test_a_private_key_that_signs_no_more_is_forgotten_and_no_other() -> None:
    signer, keys = Signer(Keyring.of(MASTER_KEY)), [a_signing_key(kid="one"), a_signing_key(kid="two")]
    for key in keys:
        signer.jwt(CLAIMS, STAMP, key)
    signer.forget(but={"two", "three"})
    closed = [replace(key, private_key=b"") for key in keys]
    assert verified_claims(signer.jwt({**CLAIMS, "n": 2}, STAMP, closed[1]), keys[1])
    for claims in (CLAIMS, {**CLAIMS, "n": 2}):
        with pytest.raises(ValueError, match=r".*"):
            signer.jwt(claims, STAMP, closed[0])


def test_a_spare_has_not_begun_to_sign() -> None:
    spare = Signer(Keyring.of(MASTER_KEY)).generate("spare", "ES256", NOW, state="pending")
    assert (spare.state, spare.created_at, spare.activated_at) == ("pending", NOW, None)


def test_a_private_key_is_opened_once() -> None:
    signer, key = Signer(Keyring.of(MASTER_KEY)), a_signing_key()
    signer.jwt(CLAIMS, STAMP, key)
    closed = replace(key, private_key=b"not a box at all")
    assert verified_claims(signer.jwt({**CLAIMS, "n": 2}, STAMP, closed), key)["n"] == 2


# Sealing


def test_a_box_opens_to_what_was_put_in() -> None:
    for plain in (b"", b"plain", bytes(1000)):
        assert unseal(SEALING_KEY, seal(SEALING_KEY, plain, b"place"), b"place") == plain


def test_a_box_does_not_show_what_is_in_it() -> None:
    boxes = {seal(SEALING_KEY, b"what is in it", b"place") for _ in range(50)}
    assert len(boxes) == len({box[:12] for box in boxes}) == 50
    assert not any(b"what" in box or b"place" in box for box in boxes)


def test_a_box_opens_with_its_key_in_its_place_and_whole_or_not_at_all() -> None:
    box = seal(SEALING_KEY, b"plain", b"place")
    changed = [box[:i] + bytes([box[i] ^ 1]) + box[i + 1 :] for i in range(len(box))]
    for key, wrong, place in (
        (derive(MASTER_KEY, "cursors"), box, b"place"),
        (SEALING_KEY, box, b"another place"),
        (SEALING_KEY, box[:-1], b"place"),
        *((SEALING_KEY, one, b"place") for one in changed),
    ):
        with pytest.raises(InvalidTag):
            unseal(key, wrong, place)


def test_each_purpose_has_a_key_of_its_own() -> None:
    keys = {derive(MASTER_KEY, purpose) for purpose in ("signing keys", "cursors", "request ids")}
    assert len(keys | {MASTER_KEY, derive(b"n" * 32, "cursors")}) == 5
    assert {len(key) for key in keys} == {32}
    assert derive(MASTER_KEY, "cursors") == derive(MASTER_KEY, "cursors")


@each_algorithm
def test_an_id_token_is_signed_as_one(algorithm: str) -> None:
    """T075: of no type that is taken for an access token."""
    key = a_signing_key(algorithm)
    text = a_signer().id_token({"iss": POLICY.issuer, "sub": "Zoë"}, key)
    header, payload, signature, signing_input = jwt.unpack(text)
    jwt.authenticate(header, signature, signing_input, published(key))
    assert header.members == {"typ": "JWT", "alg": algorithm, "kid": key.id}
    assert jwt.read_claims(payload) == {"iss": POLICY.issuer, "sub": "Zoë"}


def test_a_key_of_the_feed_signs_no_id_token() -> None:
    with pytest.raises(AssertionError):
        a_signer().id_token({}, replace(a_signing_key(), purpose="feed"))
