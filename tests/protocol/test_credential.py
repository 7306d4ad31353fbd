"""Is a credential good now? One answer for api keys, opaque tokens and JWTs, and nothing is good by accident."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.given import (
    ADMIN_KEY,
    CLIENT_SECRET,
    EARLIER,
    IDENTIFIER,
    KEY,
    NOW,
    POLICY,
    a_key,
    a_moment,
    a_secret,
    a_signing_key,
    an_access_token,
    an_account,
    an_api,
    kept,
    published,
    scope,
    work_of,
)

from doorward.protocol.credential import (
    UNKNOWN,
    ApiKeyFacts,
    Presented,
    TokenFacts,
    Verdict,
    api_key_claims,
    check_api_key,
    check_jwt,
    check_opaque,
    presented,
)
from doorward.protocol.policy import DAY
from doorward_verify import api_key, jwt

JWT, JWT_FACTS = an_access_token()
OPAQUE, OPAQUE_FACTS = an_access_token("opaque")


def key_verdict(facts: ApiKeyFacts | None, text: str = KEY, now: int = NOW) -> Verdict:
    return check_api_key(api_key.digest(text), facts, POLICY, a_moment(now))


def opaque_verdict(facts: TokenFacts | None = OPAQUE_FACTS, text: str = OPAQUE, now: int = NOW) -> Verdict:
    return check_opaque(api_key.digest(text), facts, POLICY, a_moment(now))


def jwt_verdict(
    facts: TokenFacts | None = JWT_FACTS, text: str = JWT, now: int = NOW, keys: jwt.Keys | None = None
) -> Verdict:
    return check_jwt(text, facts, published() if keys is None else keys, POLICY, a_moment(now))


TOKENS: dict[str, Any] = {"jwt": (jwt_verdict, JWT_FACTS), "opaque": (opaque_verdict, OPAQUE_FACTS)}
each_token = pytest.mark.parametrize(("check", "facts"), TOKENS.values(), ids=TOKENS)


# What a text is


def test_an_api_key_is_known_by_its_form() -> None:
    assert presented(KEY, "dw") == Presented("api_key", kept(KEY, "").id, api_key.digest(KEY))


def test_an_opaque_token_is_known_by_its_form() -> None:
    assert presented(OPAQUE, "dw") == Presented("opaque", OPAQUE_FACTS.jti, api_key.digest(OPAQUE))


def test_a_jwt_is_known_by_its_two_dots() -> None:
    assert presented(JWT, "dw") == Presented("jwt", jwt=JWT)
    assert presented("a.b.c", "dw").kind == "jwt"


@pytest.mark.parametrize("text", [CLIENT_SECRET, ADMIN_KEY, a_secret("g")])
def test_secrets_of_other_kinds_are_no_credentials_for_apis(text: str) -> None:
    assert presented(text, "dw").kind == "unknown"


@pytest.mark.parametrize("text", ["", "x", "a.b", "a.b.c.d", KEY.upper(), KEY + " ", " " + KEY, KEY[:-1] + "é"])
def test_what_cannot_be_ours_is_unknown_without_asking_anybody(text: str) -> None:
    assert presented(text, "dw") in (Presented("unknown"), Presented("legacy", digest=api_key.digest(text)))


def test_the_uri_scheme_of_secrets_may_stay_on_a_credential() -> None:
    for text in (KEY, OPAQUE, JWT):
        assert (
            presented(f"secret-token:{text}", "dw") == presented(f"Secret-Token:{text}", "dw") == presented(text, "dw")
        )


def test_a_key_of_another_brand_is_one_at_most_that_was_imported() -> None:
    assert presented(KEY, "acme") == Presented("legacy", digest=api_key.digest(KEY))


def test_a_test_key_renamed_to_live_is_unknown() -> None:
    assert presented(a_secret(environment="test").replace("_test_", "_live_"), "dw").kind == "unknown"


@given(st.integers(0, len(KEY) - 1), st.sampled_from(api_key.ALPHABET + "_-. "))
def test_a_key_with_one_wrong_character_is_unknown(place: int, character: str) -> None:
    wrong = KEY[:place] + character + KEY[place + 1 :]
    assert wrong == KEY or presented(wrong, "dw").kind != "api_key"


@pytest.mark.parametrize("text", [KEY, OPAQUE])
def test_no_part_of_a_credential_is_one(text: str) -> None:
    parts = [text[:end] for end in range(len(text))] + [text[start:] for start in range(1, len(text))]
    # An end of one has no form any more, and may be anybody's.
    assert {presented(part, "dw").kind for part in parts} == {"unknown", "legacy"}
    assert {presented(text + more, "dw").kind for more in ("0", "\n", " ", text)} == {"unknown"}


# Api keys


def test_the_right_key_is_good() -> None:
    verdict = key_verdict(a_key())
    assert (verdict.active, verdict.reason, verdict.exists) == (True, None, True)
    assert (verdict.kind, verdict.id, verdict.api, verdict.client_id) == ("api_key", "key_1", an_api(), None)


def test_what_is_told_of_a_key_is_what_is_told_of_a_token() -> None:
    assert api_key_claims(a_key(), POLICY) == {
        "iss": "https://auth.example.com",
        "sub": "acme",
        "aud": IDENTIFIER,
        "scope": "read",
        "iat": EARLIER,
        "account": "acme",
        "key_id": "key_1",
        "secret_id": KEY[8:20],
        "environment": "live",
        "exp": NOW + DAY,
        "transports": ["bearer", "header"],
        "browsers": "flag",
    }


def test_a_test_key_is_told_apart() -> None:
    text = a_secret(environment="test")
    claims = api_key_claims(a_key(text, environment="test"), POLICY)
    assert claims["environment"] == "test"


def test_a_key_that_never_expires_has_no_exp() -> None:
    assert key_verdict(a_key(expires_at=None), now=NOW * 2).active
    assert "exp" not in api_key_claims(a_key(expires_at=None), POLICY)


def test_a_key_loses_the_scopes_that_its_api_no_longer_defines() -> None:
    facts = a_key(api=an_api(scopes={"write": "Write"}), scope=scope("read write"))
    assert api_key_claims(facts, POLICY)["scope"] == "write"


def test_claims_of_the_apis_own_come_from_account_and_key() -> None:
    sources = {
        "plan": "account.metadata.plan", "team": "key.metadata.team", "label": "key.name",
        "client": "client.name", "none": "account.metadata.none",
    }  # fmt: skip
    facts = a_key(
        account=an_account(metadata={"plan": "gold"}), api=an_api(claims=sources), metadata={"team": 7}, name="CI"
    )
    claims = api_key_claims(facts, POLICY)
    assert {name: claims.get(name) for name in sources} == {
        "plan": "gold", "team": 7, "label": "CI", "client": None, "none": None,
    }  # fmt: skip
    assert "none" not in claims


@pytest.mark.parametrize("facts", [None, a_key(a_secret(seed="other")), a_key(a_secret(seed="other"), state="revoked")])
def test_without_the_right_secret_a_key_is_unknown(facts: ApiKeyFacts | None) -> None:
    assert key_verdict(facts) == UNKNOWN
    assert not UNKNOWN.exists
    assert (UNKNOWN.reason, UNKNOWN.claims, UNKNOWN.id) == ("credential_unknown", None, "")


def test_an_unknown_key_costs_the_same_work_as_a_known_one() -> None:
    for facts in (a_key(), a_key(a_secret(seed="other")), None):
        assert work_of(check_api_key, api_key.digest(KEY), facts) == 1


def with_secret(**fields: Any) -> ApiKeyFacts:
    return replace(a_key(), secret=kept(KEY, "key_1", **fields))


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (a_key(state="revoked"), "credential_revoked"),
        (with_secret(revoked_at=EARLIER), "credential_revoked"),
        (a_key(expires_at=NOW), "credential_expired"),
        (a_key(expires_at=NOW + 1), None),
        (with_secret(expires_at=NOW), "credential_expired"),
        (with_secret(expires_at=NOW + 1), None),
        (a_key(account=an_account(state="suspended")), "account_suspended"),
        (a_key(account=an_account(state="suspended"), expires_at=NOW), "credential_expired"),
        (a_key(account=an_account(state="suspended"), expires_at=NOW, state="revoked"), "credential_revoked"),
    ],
)
def test_a_key_ends_by_revocation_expiry_or_suspension(facts: ApiKeyFacts, reason: str | None) -> None:
    verdict = key_verdict(facts)
    assert (verdict.reason, verdict.exists, verdict.id) == (reason, True, "key_1")
    assert verdict.active is (reason is None)


# Tokens


@each_token
def test_a_token_is_good_as_long_as_all_that_it_hangs_on(check: Any, facts: TokenFacts) -> None:
    verdict = check()
    assert (verdict.active, verdict.exists, verdict.id) == (True, True, facts.jti)
    assert (verdict.api, verdict.client_id) == (facts.api, "client_1")
    assert {name: verdict.claims[name] for name in ("sub", "aud", "scope", "exp", "jti", "pos")} == {
        "sub": "client_1", "aud": IDENTIFIER, "scope": "read write", "exp": NOW + 300, "jti": facts.jti, "pos": "2:41",
    }  # fmt: skip


@each_token
def test_a_token_ends_with_its_grant_its_client_and_its_account(check: Any, facts: TokenFacts) -> None:
    ends = {
        "credential_revoked": [replace(facts, revoked=True), replace(facts, grant=revoked(facts.grant))],
        "client_disabled": [replace(facts, client=replace(facts.client, state=s)) for s in ("disabled", "deleted")],
        "account_suspended": [replace(facts, account=an_account(state="suspended"))],
    }
    for reason, all_facts in ends.items():
        for ended in all_facts:
            assert (check(ended).reason, check(ended).exists) == (reason, True)


def revoked(entity: Any) -> Any:
    return replace(entity, revoked_at=EARLIER)


@each_token
def test_a_token_that_is_older_than_a_cut_off_stays_dead(check: Any, facts: TokenFacts) -> None:
    """What a suspended account had is not revived by its resumption (decision 3, T103); the token is of 2:41."""
    assert check(replace(facts, cut_off=41)).active
    ended = check(replace(facts, cut_off=42))
    assert (ended.reason, ended.exists) == ("credential_revoked", True)


@each_token
def test_a_token_ends_at_its_exp_to_the_second(check: Any, facts: TokenFacts) -> None:
    assert check(now=NOW + 299).active
    for late in (300, 305, 311, 10**6):
        assert check(now=NOW + late).reason == "credential_expired"


@each_token
def test_a_token_is_unknown_when_nothing_is_known_of_it(check: Any, facts: TokenFacts) -> None:
    assert check(None) == UNKNOWN


def test_an_opaque_token_is_unknown_without_its_secret() -> None:
    for text in (KEY, a_secret("o", seed="other")):
        assert opaque_verdict(text=text) == UNKNOWN
    assert opaque_verdict(JWT_FACTS) == UNKNOWN


def test_an_unknown_opaque_token_costs_the_same_work_as_a_known_one() -> None:
    digest = api_key.digest(OPAQUE)
    for facts in (OPAQUE_FACTS, JWT_FACTS, None):
        assert work_of(check_opaque, digest, facts) == 1


# JWTs


def tampered(place: int) -> str:
    parts = JWT.split(".")
    part = parts[place]
    parts[place] = part[:8] + ("A" if part[8] != "A" else "B") + part[9:]
    return ".".join(parts)


def test_a_jwt_with_another_signature_is_not_ours() -> None:
    assert jwt_verdict(text=tampered(2)) == Verdict("signature_invalid")


@pytest.mark.parametrize("place", [0, 1])
def test_a_jwt_that_was_changed_is_not_ours(place: int) -> None:
    verdict = jwt_verdict(text=tampered(place))
    assert not verdict.active
    assert not verdict.exists


def test_a_jwt_of_an_unpublished_key_is_not_ours() -> None:
    assert jwt_verdict(keys={}) == Verdict("signing_key_unknown")


def test_a_jwt_of_a_key_of_the_same_name_is_not_ours() -> None:
    other = {**a_signing_key("signing_2").public_jwk, "kid": "signing_1"}
    assert jwt_verdict(keys=jwt.keys_from_jwks({"keys": [other]})) == Verdict("signature_invalid")


def test_a_jwt_of_another_issuer_is_not_ours() -> None:
    policy = replace(POLICY, issuer="https://auth.example.org")
    assert check_jwt(JWT, JWT_FACTS, published(), policy, a_moment()) == Verdict("wrong_issuer")


def test_a_jwt_from_the_future_is_not_good_yet() -> None:
    assert jwt_verdict(now=NOW - 11) == Verdict("not_yet_valid")


@pytest.mark.parametrize("text", ["..", "a.b.c", JWT[:-1], JWT + "A", f"{JWT}=", "é.é.é", JWT.replace(".", ". ")])
def test_a_malformed_jwt_is_not_ours(text: str) -> None:
    verdict = jwt_verdict(text=text)
    assert not verdict.active
    assert not verdict.exists
    assert verdict.claims is None


@pytest.mark.parametrize("audience", [None, [IDENTIFIER], 1, {}])
def test_a_jwt_for_several_audiences_is_not_ours(audience: Any) -> None:
    claims = jwt.b64url_encode(jwt_with(audience))
    assert jwt_verdict(text=f"{JWT.partition('.')[0]}.{claims}.c2ln") == UNKNOWN


def jwt_with(audience: Any) -> bytes:
    return json.dumps({"iss": POLICY.issuer, "aud": audience, "exp": NOW + 300}).encode()


@given(st.text(max_size=80))
def test_no_text_is_good_by_accident(text: str) -> None:
    about = presented(text, "dw")
    digest = about.digest
    assert not check_api_key(digest, a_key(), POLICY, a_moment()).active
    assert not check_opaque(digest, OPAQUE_FACTS, POLICY, a_moment()).active
    assert not jwt_verdict(text=text).active


# What the answers rest on


def test_a_key_rests_on_its_account_and_api_and_on_the_end_of_everything() -> None:
    assert set(a_key().refs) == {"api_key/key_1", "account/acme", "api/api_1", "deployment/all"}


@each_token
def test_a_token_rests_on_all_that_can_end_it(check: Any, facts: TokenFacts) -> None:
    assert set(facts.refs) == {
        f"token/{facts.jti}", "grant/grant_api_1", "client/client_1", "account/acme", "api/api_1", "deployment/all",
    }  # fmt: skip
