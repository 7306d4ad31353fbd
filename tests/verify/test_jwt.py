"""Compact JWS and JWK: the RFCs' examples, canonical base64url, and which keys are keys (T071)."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from tests.vectors import outside, outside_json
from tests.verify.issuing import ec_key, header, jwks, keys, number, public_jwk, rsa_key, token

from doorward_verify import jwt
from doorward_verify.errors import InvalidToken, KeyUnknown

RFC7515_CLAIMS = {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}

# RFC 7515 A.2
RS256_KEY = {
    "kty": "RSA", "e": "AQAB",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
         "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
         "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
         "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
}  # fmt: skip
RS256_TOKEN = (
    "eyJhbGciOiJSUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t"
    "1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j"
    "zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ"
    "Ge77Rw"
)
# RFC 7515 A.3
ES256_KEY = {
    "kty": "EC", "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}  # fmt: skip
ES256_TOKEN = (
    "eyJhbGciOiJFUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
# RFC 7515 A.1, signed with a shared secret, and A.5, not signed at all
HS256_TOKEN = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
UNSECURED_TOKEN = (
    "eyJhbGciOiJub25lIn0"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
)
RFC7515_KEYS = [{**RS256_KEY, "kid": "a2"}, {**ES256_KEY, "kid": "a3"}]


def authenticated(text: str, known: jwt.Keys) -> None:
    head, _, signature, signing_input = jwt.unpack(text)
    jwt.authenticate(head, signature, signing_input, known)


@pytest.mark.parametrize(("text", "kid"), [(RS256_TOKEN, "a2"), (ES256_TOKEN, "a3")])
def test_the_examples_of_rfc_7515_are_verified_by_their_key(text: str, kid: str) -> None:
    known = jwt.keys_from_jwks({"keys": [jwk for jwk in RFC7515_KEYS if jwk["kid"] == kid]})
    authenticated(text, known)
    assert jwt.parse(text).claims == RFC7515_CLAIMS


@pytest.mark.parametrize(("text", "kid"), [(RS256_TOKEN, "a3"), (ES256_TOKEN, "a2")])
def test_the_examples_of_rfc_7515_are_refused_by_the_other_key(text: str, kid: str) -> None:
    known = jwt.keys_from_jwks({"keys": [jwk for jwk in RFC7515_KEYS if jwk["kid"] == kid]})
    with pytest.raises(InvalidToken, match="signature"):
        authenticated(text, known)


@pytest.mark.parametrize("text", [HS256_TOKEN, UNSECURED_TOKEN])
def test_the_examples_without_a_public_key_are_refused_by_every_key(text: str) -> None:
    for jwk in RFC7515_KEYS:
        with pytest.raises(InvalidToken):
            authenticated(text, jwt.keys_from_jwks({"keys": [jwk]}))


def test_every_altered_character_of_an_example_is_noticed() -> None:
    known = jwt.keys_from_jwks({"keys": RFC7515_KEYS[1:]})
    for place, letter in enumerate(ES256_TOKEN):
        altered = ES256_TOKEN[:place] + ("A" if letter != "A" else "B") + ES256_TOKEN[place + 1 :]
        with pytest.raises(InvalidToken):
            authenticated(altered, known)


def test_the_published_examples_beside_the_clone_agree() -> None:
    examples = {example["rfc"]: example for example in outside_json("rfc-examples/vectors.json")["vectors"]}
    assert examples["7515 A.3"]["token"] == ES256_TOKEN
    assert examples["7515 A.1"]["token"] == HS256_TOKEN
    assert examples["7515 A.5"]["token"] == UNSECURED_TOKEN
    authenticated(ES256_TOKEN, jwt.keys_from_jwks({"keys": [{**examples["7515 A.3"]["jwk"], "kid": "a"}]}))
    for example in examples.values():
        if "proof" in example:
            with pytest.raises(InvalidToken):  # its header brings its own key
                jwt.parse(example["proof"])


def test_of_the_cookbook_of_rfc_7520_what_is_signed_by_rs256_alone_is_verified() -> None:
    examples = [json.loads(path.read_text()) for path in sorted(outside("jose-cookbook/jws").glob("*.json"))]
    compact = [example for example in examples if "compact" in example["output"]]
    assert len(compact) == 5
    for example in compact:
        public = {name: value for name, value in example["input"]["key"].items() if name in ("kty", "kid", "n", "e")}
        known = jwt.keys_from_jwks({"keys": [{**public, "alg": "RS256"}]})
        if example["input"]["alg"] == "RS256":
            authenticated(example["output"]["compact"], known)
        else:
            with pytest.raises(InvalidToken):
                authenticated(example["output"]["compact"], known)


def test_a_signature_that_counts_beyond_the_order_of_the_curve_is_refused() -> None:
    private = ec_key().private
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    order = int.from_bytes(jwt.ES256._order, "big")
    key = jwt.ES256(private.public_key())
    for r in (0, order, 2**256 - 1):
        for s in (0, 1, order, 2**256 - 1):
            with pytest.raises(InvalidToken, match="signature"):
                key.verify(r.to_bytes(32, "big") + s.to_bytes(32, "big"), b"")


def test_signature_numbers_of_every_length_are_verified() -> None:
    """Leading zero bytes and leading one bits both change the length in DER."""
    private = ec_key().private
    key = jwt.ES256(ec_key().private.public_key())  # type: ignore[arg-type]
    lengths = set()
    for count in range(1500):
        text = b"%d" % count
        signature = ec_key().sign(text)
        key.verify(signature, text)
        lengths.add(
            tuple((len(half.lstrip(b"\0")), half.lstrip(b"\0")[0] > 127) for half in (signature[:32], signature[32:]))
        )
    assert private.key_size == 256
    assert {(32, True), (32, False), (31, True), (31, False)} <= {half for pair in lengths for half in pair}


def test_a_key_is_chosen_by_its_kid_alone() -> None:
    known = keys()
    authenticated(token(ec_key()), known)
    authenticated(token(rsa_key()), known)
    with pytest.raises(KeyUnknown) as unknown:
        authenticated(token(head={"kid": "another"}), known)
    assert unknown.value.kid == "another"
    with pytest.raises(InvalidToken, match="signature"):
        authenticated(token(ec_key(), {"kid": rsa_key().kid}), known)


def test_without_a_kid_only_an_only_key_is_tried() -> None:
    text = token(head={"kid": ...})
    authenticated(text, jwt.keys_from_jwks(jwks(ec_key())))
    for known in (keys(), {}):
        with pytest.raises(KeyUnknown):
            authenticated(text, known)


def test_a_header_cannot_be_changed_by_who_reads_it() -> None:
    first = jwt.parse(token())
    with pytest.raises(TypeError):
        first.header["alg"] = "none"  # type: ignore[index]
    assert dict(jwt.parse(token()).header) == header(ec_key())


def test_a_parsed_token_does_not_show_itself() -> None:
    text = token()
    shown = repr(jwt.parse(text))
    for part in text.split("."):
        assert part not in shown
    assert "client_8sK2" not in shown


def usable(jwk: Any) -> bool:
    return bool(jwt.keys_from_jwks({"keys": [jwk]}))


@pytest.mark.parametrize("key", [ec_key(), rsa_key()], ids=["EC", "RSA"])
class TestJWK:
    def test_a_public_key_is_read(self, key: Any) -> None:
        assert jwt.keys_from_jwks(jwks(key))[key.kid].algorithm == key.alg

    def test_alg_use_and_key_ops_may_be_left_out(self, key: Any) -> None:
        assert usable({**public_jwk(key.private.public_key()), "kid": "a"})
        assert usable({**key.jwk, "key_ops": ["verify"]})
        assert usable({**key.jwk, "x5c": ["ignored"], "ext": True})

    @pytest.mark.parametrize(
        "changes",
        [
            {"use": "enc"}, {"use": None}, {"use": ["sig"]}, {"key_ops": ["sign"]}, {"key_ops": []},
            {"key_ops": "verify"}, {"key_ops": None}, {"alg": "HS256"}, {"alg": "none"}, {"alg": "PS256"},
            {"alg": "ES384"}, {"alg": ""}, {"alg": 1},
            {"alg": ["ES256"]}, {"kty": "oct"}, {"kty": "OKP"}, {"kty": None}, {"kty": "ec"}, {"crv": "P-384"},
            {"crv": "secp256k1"}, {"crv": 1}, {"kid": 1}, {"kid": None}, {"kid": ["a"]}, {"d": "AQAB"}, {"k": "AQAB"},
            {"p": "AQAB"}, {"dp": "AQAB"}, {"oth": []},
        ],
        ids=str,
    )  # fmt: skip
    def test_it_is_no_key_when(self, key: Any, changes: dict[str, Any]) -> None:
        assert usable(key.jwk)
        assert not usable({**key.jwk, **changes})

    def test_the_other_kinds_algorithm_makes_it_no_key(self, key: Any) -> None:
        other = "RS256" if key.alg == "ES256" else "ES256"
        assert not usable({**key.jwk, "alg": other})

    @pytest.mark.parametrize("value", ["", "=", "AQAB=", "A", "!!", "é", 1, None, ["AQAB"], "AA"])
    def test_a_malformed_number_makes_it_no_key(self, key: Any, value: Any) -> None:
        for member in ("x", "y") if key.alg == "ES256" else ("n", "e"):
            assert not usable({**key.jwk, member: value})
            assert not usable({name: text for name, text in key.jwk.items() if name != member})


def test_a_point_off_the_curve_is_no_key() -> None:
    jwk = ec_key().jwk
    assert not usable({**jwk, "x": jwk["y"]})
    assert not usable({**jwk, "x": number(0, 32), "y": number(0, 32)})
    assert not usable({**jwk, "y": number(2**256 - 1, 32)})


def test_coordinates_are_exactly_32_bytes() -> None:
    raw = jwt.b64url_decode(ec_key().jwk["x"])
    assert not usable({**ec_key().jwk, "x": jwt.b64url_encode(b"\0" + raw)})
    assert not usable({**ec_key().jwk, "x": jwt.b64url_encode(raw[:31])})


@pytest.mark.parametrize(
    ("bits", "good"), [(1024, False), (2047, False), (2048, True), (8192, True), (8193, False), (16384, False)]
)
def test_an_rsa_key_has_2048_to_8192_bits(bits: int, good: bool) -> None:
    assert usable({"kty": "RSA", "kid": "a", "e": "AQAB", "n": number(2 ** (bits - 1) + 1)}) is good


@pytest.mark.parametrize(
    ("exponent", "good"), [(65537, True), (1, False), (2, False), (65536, False), (2**32 + 1, False)]
)
def test_an_rsa_exponent_is_odd_and_small(exponent: int, good: bool) -> None:
    assert usable({**rsa_key().jwk, "e": number(exponent)}) is good


def test_a_larger_curve_is_no_key() -> None:
    with pytest.raises(ValueError, match="P-256"):
        jwt.ES256(ec.generate_private_key(ec.SECP384R1()).public_key())


def test_a_weak_rsa_key_is_no_key() -> None:
    with pytest.raises(ValueError, match="weak"):
        jwt.RS256(rsa.RSAPublicNumbers(65537, 2**1023 + 1).public_key())


def test_a_modulus_that_the_roca_cards_would_make_is_no_key() -> None:
    product = (
        2 * 3 * 5 * 7 * 11 * 13 * 17 * 19 * 23 * 29 * 31 * 37 * 41 * 43 * 47 * 53 * 59 * 61 * 67 * 71 * 73 * 79 * 83
    )
    product *= 89 * 97 * 101 * 103 * 107 * 109 * 113 * 127 * 131 * 137 * 139 * 149 * 151 * 157 * 163 * 167
    modulus = product * 2**1830 + pow(65537, 12345, product)
    assert modulus.bit_length() >= 2048
    assert not usable({"kty": "RSA", "kid": "a", "e": "AQAB", "n": number(modulus)})
    assert usable({"kty": "RSA", "kid": "a", "e": "AQAB", "n": number(modulus + 2)})


def test_keys_that_cannot_be_used_do_not_spoil_the_others() -> None:
    junk: list[Any] = [
        None,
        1,
        "a",
        [],
        {},
        {"kid": "x"},
        {"kty": "oct", "k": "AQAB", "kid": "secret"},
        {**ec_key().jwk, "kid": 1},
    ]
    assert jwt.keys_from_jwks({"keys": [*junk, ec_key().jwk, *junk]}).keys() == {ec_key().kid}
    documents: list[dict[str, Any]] = [{}, {"keys": None}, {"keys": {}}, {"keys": "a"}]
    for document in documents:
        assert jwt.keys_from_jwks(document) == {}


def test_a_kid_that_is_used_twice_names_no_key() -> None:
    first, second = ec_key("twice"), dataclasses.replace(ec_key("other"), kid="twice")
    for keys_ in ([first.jwk, second.jwk], [first.jwk, first.jwk], [first.jwk] * 3,
                  [first.jwk, {"kid": "twice", "kty": "oct", "k": "AQAB"}], [{"kid": "twice"}, first.jwk]):  # fmt: skip
        assert jwt.keys_from_jwks({"keys": [*keys_, ec_key().jwk]}).keys() == {ec_key().kid}


def test_the_code_knows_no_algorithm_but_two() -> None:
    names = {key.algorithm for key in keys().values()}
    assert names == {"ES256", "RS256"}


@given(st.binary())
def test_base64url_is_what_the_standard_library_writes_without_padding(raw: bytes) -> None:
    text = jwt.b64url_encode(raw)
    assert text == base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    assert jwt.b64url_decode(text) == raw


@given(st.text("ABCDwxyz0189-_+/= \n\x00é", max_size=12) | st.text(max_size=6))
def test_only_the_canonical_text_of_some_bytes_is_decoded(text: str) -> None:
    try:
        raw = jwt.b64url_decode(text)
    except ValueError:
        return
    assert jwt.b64url_encode(raw) == text
