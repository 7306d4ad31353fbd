"""JWT access tokens, RFC 9068 §4: what is proved, at which time, and for what reason the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tests.verify import bad_tokens
from tests.verify.issuing import AUDIENCE, ISSUER, NOW, claims, ec_key, keys, rsa_key, token

from doorward_verify import access_token
from doorward_verify.errors import InvalidToken, KeyUnknown
from doorward_verify.verified import Verified


def verify(text: str, now: float = NOW, **options: Any) -> Verified:
    return access_token.verify(text, keys(), issuer=ISSUER, audience=AUDIENCE, now=now, **options)


def reason(text: str, now: float = NOW, **options: Any) -> str:
    with pytest.raises(InvalidToken) as refused:
        verify(text, now, **options)
    return refused.value.reason


def test_a_good_token_proves_what_it_says() -> None:
    assert verify(token()) == Verified(
        credential="jwt", subject="client_8sK2", account="acme", client_id="client_8sK2", key_id=None,
        scope=frozenset({"invoices:read"}), audience=AUDIENCE, environment="live", expires_at=NOW + 300,
        grant_id="grant_1", act=None, stale=False, claims=claims(),
    )  # fmt: skip


def test_an_actor_is_passed_on() -> None:
    assert verify(token(act={"sub": "client_2", "act": {"sub": "client_3"}})).act == {
        "sub": "client_2", "act": {"sub": "client_3"},
    }  # fmt: skip


def test_the_claims_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        verify(token()).claims["scope"] = "everything"  # type: ignore[index]


@pytest.mark.parametrize("key", [ec_key(), rsa_key()], ids=["ES256", "RS256"])
def test_a_token_lives_until_exp_and_the_leeway(key: Any) -> None:
    text = token(key)
    assert verify(text, NOW + 309.9)
    assert reason(text, NOW + 310) == "credential_expired"
    assert verify(text, NOW + 299.9, leeway=0)
    assert reason(text, NOW + 300, leeway=0) == "credential_expired"


def test_a_token_begins_with_iat_and_nbf_and_the_leeway() -> None:
    assert verify(token(), NOW - 10)
    assert reason(token(), NOW - 10.1) == "not_yet_valid"
    assert reason(token(iat=NOW + 50, nbf=NOW)) == "not_yet_valid"
    assert verify(token(nbf=NOW + 50), NOW + 40)
    assert reason(token(nbf=NOW + 50), NOW + 39) == "not_yet_valid"


def test_more_leeway_than_ten_seconds_is_no_leeway_to_ask_for() -> None:
    with pytest.raises(ValueError, match="10 seconds"):
        verify(token(), leeway=11)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (token(iss="https://other.example.com"), "wrong_issuer"),
        (token(aud="https://other.example.com"), "wrong_audience"),
        (token(cnf={"jkt": "a"}), "token_bound"),
        (token(exp="1"), "token_malformed"),
        (token(scope=[]), "token_malformed"),
        (token(sub=...), "token_malformed"),
        (token(head={"typ": "JWT"}), "token_type_wrong"),
        (token(head={"kid": "new"}), "signing_key_unknown"),
        (token(ec_key("thief"), {"kid": "ec-1"}), "signature_invalid"),
        ("a.b", "token_malformed"),
    ],
)
def test_the_reason_says_which_rule_was_broken(text: str, expected: str) -> None:
    assert reason(text) == expected


def test_of_a_forged_token_no_claim_is_looked_at() -> None:
    thief = ec_key("thief")
    lies: list[dict[str, Any]] = [{"iss": "x"}, {"aud": "x"}, {"exp": 1}, {"cnf": {}}, {"sub": None}]
    for changes in lies:
        assert reason(token(thief, {"kid": "ec-1"}, **changes)) == "signature_invalid"


def test_an_unknown_key_is_named_so_that_it_can_be_looked_for() -> None:
    with pytest.raises(KeyUnknown) as unknown:
        verify(token(head={"kid": "new"}))
    assert unknown.value.kid == "new"


def test_an_audience_is_an_exact_member() -> None:
    assert access_token.names("a", "a")
    assert access_token.names(["b", "a"], "a")
    for claim in ("ab", "A", "", None, 1, True, ["ab"], [], ["a", 1], [["a"]], {"a": 1}, ("a",)):
        assert not access_token.names(claim, "a")


@pytest.mark.parametrize(("name", "text"), bad_tokens.good().items(), ids=list(bad_tokens.good()))
def test_a_control_is_accepted(name: str, text: str) -> None:
    assert verify(text).credential == "jwt"
