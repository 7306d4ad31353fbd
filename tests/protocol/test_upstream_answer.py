"""Answers of upstreams: of every one that was not made for this sign-in, nothing is believed."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from joserfc import jwt as outside
from joserfc.jwk import OctKey
from tests.protocol.elsewhere import (
    ACME,
    NONCE,
    SUBJECT,
    a_key_pair,
    a_page,
    an_expected,
    an_upstream,
    published,
    signed,
)
from tests.protocol.given import NOW, POLICY, refused

from doorward.protocol import id_token as ours
from doorward.protocol import upstream_answer as answer
from doorward.protocol.upstream import ClaimNames
from doorward_verify.errors import KeyUnknown

BOTH = ("RS256", "ES256")
CLAIMS: dict[str, Any] = {
    "iss": ACME.issuer, "sub": SUBJECT, "aud": "doorward", "exp": NOW + 300, "iat": NOW, "nonce": NONCE,
}  # fmt: skip
ASSERTED: dict[str, Any] = {
    **CLAIMS, "iss": "https://shop.example", "aud": POLICY.issuer, "exp": NOW + 60, "jti": "an id of its own",
}  # fmt: skip
TYPE = "sign-in-assertion+jwt"


def check(
    text: str, access_token: str | None = "an access token", algorithms: tuple[str, ...] = BOTH, now: int = NOW
) -> Mapping[str, Any]:
    return answer.id_token(text, published(), algorithms, an_expected(), access_token, now)


def changed(base: Mapping[str, Any], **claims: Any) -> dict[str, Any]:
    """With other claims; one that is None is left out."""
    return {name: value for name, value in {**base, **claims}.items() if value is not None}


def test_an_id_token_for_this_sign_in_is_believed() -> None:
    assert check(signed(CLAIMS)) == CLAIMS
    assert check(signed(CLAIMS, typ=None)) == CLAIMS
    assert check(signed(CLAIMS, typ="jwt")) == CLAIMS
    with_hash = changed(CLAIMS, at_hash=ours.at_hash("an access token"))
    assert check(signed(with_hash)) == with_hash
    several = changed(CLAIMS, aud=["doorward", "another"], azp="doorward")
    assert check(signed(several)) == several
    assert check(signed(changed(CLAIMS, aud=["doorward"])))["aud"] == ["doorward"]


def test_both_algorithms_are_read() -> None:
    pair = a_key_pair("acme_rsa", "RS256")
    claims = answer.id_token(signed(CLAIMS, pair), published(pair), BOTH, an_expected(), None, NOW)
    assert claims == CLAIMS


BAD: dict[str, dict[str, Any]] = {
    "no iss": {"iss": None},
    "another iss": {"iss": "https://evil.example"},
    "an iss with a slash more": {"iss": ACME.issuer + "/"},
    "an iss in a list": {"iss": [ACME.issuer]},
    "no aud": {"aud": None},
    "another aud": {"aud": "somebody-else"},
    "an aud that begins like ours": {"aud": "doorward2"},
    "an aud that is no string": {"aud": ["doorward", 7]},
    "several aud without azp": {"aud": ["doorward", "another"]},
    "several aud with another azp": {"aud": ["doorward", "another"], "azp": "another"},
    "another azp": {"azp": "another"},
    "no nonce": {"nonce": None},
    "another nonce": {"nonce": NONCE[:-1] + "_"},
    "a nonce in a list": {"nonce": [NONCE]},
    "no exp": {"exp": None},
    "it has expired": {"exp": NOW - 10},
    "an exp that is true": {"exp": True},
    "an exp that is a string": {"exp": str(NOW + 300)},
    "no iat": {"iat": None},
    "an iat of the future": {"iat": NOW + 60},
    "an nbf of the future": {"nbf": NOW + 60},
    "no sub": {"sub": None},
    "an empty sub": {"sub": ""},
    "a sub that is a number": {"sub": 7},
    "a sub that is too long": {"sub": "x" * 256},
    "a sub with a line feed": {"sub": "a\nb"},
    "another at_hash": {"at_hash": ours.at_hash("another token")},
    "an at_hash that is a number": {"at_hash": 7},
}


@pytest.mark.parametrize("claims", BAD.values(), ids=BAD.keys())
def test_an_id_token_with_a_claim_that_does_not_fit_is_refused(claims: dict[str, Any]) -> None:
    with refused("access_denied", reason="upstream_failed"):
        check(signed(changed(CLAIMS, **claims)))


def test_clocks_may_differ_by_seconds() -> None:
    assert check(signed(changed(CLAIMS, exp=NOW - 9)))
    assert check(signed(changed(CLAIMS, iat=NOW + 9, nbf=NOW + 9)))


def test_an_at_hash_without_an_access_token_is_refused() -> None:
    with refused("access_denied", reason="upstream_failed"):
        check(signed(changed(CLAIMS, at_hash=ours.at_hash("an access token"))), access_token=None)


def test_a_token_that_says_it_is_something_else_is_refused() -> None:
    for typ in ("at+jwt", "logout+jwt", TYPE, "JWTT"):
        with refused("access_denied", reason="upstream_failed"):
            check(signed(CLAIMS, typ=typ))


def unsigned(header: Mapping[str, Any]) -> str:
    parts = (json.dumps(part).encode() for part in (header, CLAIMS))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def test_nothing_is_believed_without_a_signature_that_an_upstream_can_make() -> None:
    public = json.dumps(a_key_pair().as_dict(private=False)).encode()
    by_public_key = outside.encode({"alg": "HS256", "kid": "acme_1"}, CLAIMS, OctKey.import_key(public))
    text = signed(CLAIMS)
    forged = text[: text.rindex(".") + 1] + signed(changed(CLAIMS, sub="other")).rpartition(".")[2]
    for bad in (
        unsigned({"alg": "none", "typ": "JWT"}), unsigned({"alg": "none", "kid": "acme_1"}), by_public_key, forged,
        text + "x", text.rpartition(".")[0] + ".", "", "a.b.c", signed(CLAIMS, a_key_pair("acme_1", "RS256")),
    ):  # fmt: skip
        with refused("access_denied", reason="upstream_failed"):
            check(bad)


def test_a_key_that_is_not_known_yet_is_said_so_that_it_can_be_looked_for() -> None:
    with pytest.raises(KeyUnknown):
        check(signed(CLAIMS, a_key_pair("acme_2")))


def test_an_algorithm_that_the_provider_never_announced_is_refused() -> None:
    with refused("access_denied", reason="upstream_failed"):
        check(signed(CLAIMS), algorithms=("RS256",))


def test_the_subject_may_have_another_name() -> None:
    upstream = an_upstream(claims=ClaimNames(sub="oid"))
    text = signed(changed(CLAIMS, sub=None, oid="0f1e2d"))
    claims = answer.id_token(text, published(), BOTH, an_expected(upstream), None, NOW)
    assert answer.told(claims, an_expected(upstream)).subject == "0f1e2d"


def test_the_answer_says_who_gives_it() -> None:
    answer.check_issuer(ACME, ACME.issuer, True)
    answer.check_issuer(ACME, ACME.issuer, False)
    answer.check_issuer(ACME, None, False)
    for iss, promised in ((None, True), ("https://evil.example", False), (ACME.issuer + "/", True)):
        with refused("access_denied", reason="upstream_failed"):
            answer.check_issuer(ACME, iss, promised)


def test_userinfo_adds_what_is_about_the_same_subject() -> None:
    found = {"sub": SUBJECT, "email": "ada@acme.example", "nonce": "theirs"}
    assert answer.with_userinfo(CLAIMS, found, ACME) == {**CLAIMS, "email": "ada@acme.example"}
    for other in ({"email": "ada@acme.example"}, {"sub": "other"}, {"sub": [SUBJECT]}):
        with refused("access_denied", reason="upstream_failed"):
            answer.with_userinfo(CLAIMS, other, ACME)


def test_an_address_and_whether_it_is_his_come_from_one_place() -> None:
    """Else the one that is vouched for there would vouch for another one here."""
    boss, mallory = {**CLAIMS, "email": "boss@acme.example"}, {"sub": SUBJECT, "email": "mallory@acme.example"}
    met = answer.with_userinfo(boss, {**mallory, "email_verified": True}, ACME)
    assert (met["email"], met.get("email_verified")) == ("boss@acme.example", None)
    met = answer.with_userinfo({**CLAIMS, "email_verified": True}, mallory, ACME)
    assert (met["email"], met.get("email_verified")) == ("mallory@acme.example", None)
    met = answer.with_userinfo(CLAIMS, {**mallory, "email_verified": True}, ACME)
    assert (met["email"], met.get("email_verified")) == ("mallory@acme.example", True)


def test_who_had_to_sign_in_again_did() -> None:
    def told(max_age: int | None, auth_time: object) -> int | None:
        return answer.told({**CLAIMS, "auth_time": auth_time}, an_expected(max_age=max_age)).auth_time

    assert told(None, None) is None
    assert told(None, NOW - 90_000) == NOW - 90_000
    assert told(300, NOW - 300) == NOW - 300
    assert told(0, NOW - 5) == NOW - 5
    for max_age, auth_time in ((300, None), (300, NOW - 30 - 300 - 61), (0, NOW - 30 - 61), (0, "now")):
        with refused("access_denied", reason="upstream_not_fresh"):
            told(max_age, auth_time)


def assert_(text: str) -> Mapping[str, Any]:
    return answer.assertion(text, a_page(), NONCE, POLICY.issuer, NOW)


def test_an_assertion_for_this_sign_in_is_believed() -> None:
    assert assert_(signed(ASSERTED, a_key_pair("shop_1"), typ=TYPE)) == ASSERTED


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": [POLICY.issuer]}, {"aud": "https://other.example"}, {"aud": None}, {"iss": ACME.issuer},
        {"nonce": None}, {"nonce": "another"}, {"jti": None}, {"jti": "short"}, {"jti": 12345678}, {"jti": "x" * 201},
        {"exp": NOW + 301}, {"exp": NOW - 10}, {"iat": None}, {"iat": NOW + 60}, {"sub": None},
    ],
    ids=str,
)  # fmt: skip
def test_an_assertion_with_a_claim_that_does_not_fit_is_refused(claims: dict[str, Any]) -> None:
    with refused("access_denied", reason="upstream_failed"):
        assert_(signed(changed(ASSERTED, **claims), a_key_pair("shop_1"), typ=TYPE))


def test_an_assertion_has_a_type_and_a_key_of_its_own() -> None:
    for text in (
        signed(ASSERTED, a_key_pair("shop_1")), signed(ASSERTED, a_key_pair("shop_1"), typ=None),
        signed(ASSERTED, a_key_pair("shop_1"), typ="at+jwt"), signed(ASSERTED, a_key_pair("shop_2"), typ=TYPE),
        signed(ASSERTED, a_key_pair("acme_1"), typ=TYPE, kid="shop_1"),
    ):  # fmt: skip
        with refused("access_denied", reason="upstream_failed"):
            assert_(text)


def test_an_assertion_is_known_again_by_its_issuer_and_id() -> None:
    page = a_page()
    assert answer.proof(page, ASSERTED) == answer.proof(page, changed(ASSERTED, sub="other"))
    assert answer.proof(page, ASSERTED) != answer.proof(page, changed(ASSERTED, jti="another id"))
    assert answer.proof(page, ASSERTED) != answer.proof(replace(page, issuer="https://other.example"), ASSERTED)
