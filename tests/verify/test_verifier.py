"""The verifier against a real issuer: what it asks, and what it makes of the answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.verify.asking import KEY, OPAQUE, TEST_KEY, MakeVerifier, active, refused
from tests.verify.issuer_server import INTROSPECTION, JWKS, Issuer, inactive
from tests.verify.issuing import AUDIENCE, NOW, ec_key, jwks, token
from tests.verify.waiting import Clock

from doorward_verify import Verified, Verifier, api_key, jwt


class TestKeysAndOpaqueTokens:
    def test_a_key_is_asked_by_its_digest_and_its_text_never_leaves(self, verifier: Verifier, issuer: Issuer) -> None:
        verifier.check(KEY)
        digest = jwt.b64url_encode(hashlib.sha256(KEY.encode()).digest())
        assert issuer.questions == [{"token_sha256": digest, "cost": "1", "spare": "0"}]

    def test_a_good_key_proves_what_the_server_says(self, verifier: Verifier) -> None:
        assert verifier.check(KEY) == Verified(
            "api_key", "acme", "acme", None, "key_1", frozenset({"invoices:read"}), AUDIENCE, "live", NOW + 1000,
            None, None, False,
            {"sub": "acme", "aud": AUDIENCE, "scope": "invoices:read", "account": "acme", "key_id": "key_1",
             "exp": NOW + 1000, "environment": "live"},
        )  # fmt: skip

    def test_an_opaque_token_is_asked_the_same_way(self, verifier: Verifier, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = active(client_id="client_1", grant_id="grant_1", act={"sub": "b"}, key_id=...)
        found = verifier.check(OPAQUE)
        assert (found.credential, found.client_id, found.grant_id, found.act) == (
            "opaque",
            "client_1",
            "grant_1",
            {"sub": "b"},
        )

    def test_a_key_without_expiry_and_scope_is_good(self, verifier: Verifier, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = active(exp=..., scope=...)
        found = verifier.check(KEY)
        assert (found.expires_at, found.scope) == (None, frozenset())

    def test_an_inactive_key_is_unknown(self, verifier: Verifier, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = inactive
        assert refused(lambda: verifier.check(KEY)) == "credential_unknown"

    @pytest.mark.parametrize(
        "text",
        [
            KEY[:-1],
            KEY + "0",
            KEY.upper(),
            "dw_live_",
            "",
            "hello",
            "a b",
            "\x00",
            "é",
            "\ud800",
            "a.é.b",
            "a.\ud800.b",
        ],
    )
    def test_a_malformed_key_is_refused_without_asking(self, verifier: Verifier, issuer: Issuer, text: str) -> None:
        assert refused(lambda: verifier.check(text)) == "credential_malformed"
        assert issuer.counts == {}

    @pytest.mark.parametrize("kind", ["a", "s", "r", "g"])
    def test_a_secret_of_another_kind_is_refused_without_asking(
        self, verifier: Verifier, issuer: Issuer, kind: str
    ) -> None:
        text = api_key.assemble("dw", kind, "live", "a" * 12, "b" * 32)
        assert refused(lambda: verifier.check(text)) == "credential_malformed"
        assert issuer.counts == {}

    def test_a_test_key_is_refused_unless_the_verifier_is_for_tests(
        self, verifier: Verifier, verifier_of: MakeVerifier, issuer: Issuer
    ) -> None:
        assert refused(lambda: verifier.check(TEST_KEY)) == "wrong_environment"
        testing = verifier_of(environment="test")
        assert refused(lambda: testing.check(KEY)) == "wrong_environment"
        assert issuer.counts == {}
        issuer.replies[INTROSPECTION] = active(environment="test")
        assert testing.check(TEST_KEY).environment == "test"

    def test_a_deployments_own_brand_is_the_only_one(self, verifier_of: MakeVerifier, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = active
        branded = verifier_of(brand="acme")
        assert branded.check(api_key.assemble("acme", "", "live", "a" * 12, "b" * 32))
        assert refused(lambda: branded.check(KEY)) == "credential_malformed"

    def test_the_uri_scheme_makes_no_other_key_of_it(self, verifier: Verifier, issuer: Issuer) -> None:
        assert verifier.check(f"secret-token:{KEY}") == verifier.check(KEY)
        assert issuer.counts[INTROSPECTION] == 1

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [({"aud": "https://other.example.com"}, "wrong_audience"), ({"aud": ...}, "wrong_audience"),
         ({"aud": []}, "wrong_audience"), ({"iss": "https://other.example.com"}, "wrong_issuer"),
         ({"cnf": {"jkt": "a"}}, "token_bound"),
         ({"exp": NOW}, "credential_expired")],
    )  # fmt: skip
    def test_an_active_key_that_is_not_for_us_is_refused(
        self, verifier: Verifier, issuer: Issuer, changes: dict[str, Any], reason: str
    ) -> None:
        issuer.replies[INTROSPECTION] = active(**changes)
        assert refused(lambda: verifier.check(KEY)) == reason

    @pytest.mark.parametrize(
        "changes",
        [{"exp": "1"}, {"exp": True}, {"exp": 1.5}, {"scope": ["a"]}, {"scope": 1}, {"scope": " a"}, {"scope": None},
         {"sub": 1}, {"sub": ""}, {"account": []}, {"key_id": "a\nb"}, {"environment": "test"}, {"credential": "jwt"},
         {"act": "a"}, {"client_id": {}}],
        ids=str,
    )  # fmt: skip
    def test_an_active_answer_that_makes_no_sense_is_the_servers_fault(
        self, verifier: Verifier, issuer: Issuer, changes: dict[str, Any]
    ) -> None:
        issuer.replies[INTROSPECTION] = active(**changes)
        assert refused(lambda: verifier.check(KEY)) == "server_unreachable"


class TestJWTs:
    def test_a_token_is_verified_here_and_then_asked_after(
        self, verifier: Verifier, issuer: Issuer, good_jwt: str
    ) -> None:
        found = verifier.check(good_jwt)
        assert (found.credential, found.subject, found.expires_at) == ("jwt", "client_8sK2", NOW + 300)
        assert issuer.questions == [{"token": good_jwt}]

    def test_a_revoked_token_is_refused(self, verifier: Verifier, issuer: Issuer, good_jwt: str) -> None:
        issuer.replies[INTROSPECTION] = inactive
        assert refused(lambda: verifier.check(good_jwt)) == "credential_revoked"

    @pytest.mark.parametrize(
        ("make", "reason"),
        [(lambda url: token(iss="https://thief.example"), "wrong_issuer"),
         (lambda url: token(iss=url, aud="https://other.example.com"), "wrong_audience"),
         (lambda url: token(iss=url, exp=NOW - 10), "credential_expired"),
         (lambda url: token(ec_key("thief"), {"kid": "ec-1"}, iss=url), "signature_invalid"),
         (lambda url: token(iss=url, head={"typ": "JWT"}), "token_type_wrong"),
         (lambda url: token(iss=url, head={"jku": url}), "token_malformed")],
    )  # fmt: skip
    def test_a_bad_token_is_never_asked_after(
        self, verifier: Verifier, issuer: Issuer, make: Callable[[str], str], reason: str
    ) -> None:
        verifier.check(token(iss=issuer.url))
        counts = issuer.counts.copy()
        assert refused(lambda: verifier.check(make(issuer.url))) == reason
        assert issuer.counts == counts

    def test_a_new_signing_key_is_found_at_once(self, verifier: Verifier, issuer: Issuer, good_jwt: str) -> None:
        verifier.check(good_jwt)
        issuer.publish(jwks(ec_key(), ec_key("new")))
        assert verifier.check(token(ec_key("new"), iss=issuer.url))
        assert issuer.counts[JWKS] == 2

    def test_many_unknown_kids_cause_one_reading(self, verifier: Verifier, issuer: Issuer, good_jwt: str) -> None:
        verifier.check(good_jwt)
        for number in range(50):
            text = token(iss=issuer.url, head={"kid": f"unknown-{number}"})
            assert refused(partial(verifier.check, text)) == "signing_key_unknown"
        assert issuer.counts[JWKS] == 2

    def test_a_cold_start_with_an_unknown_kid_reads_once(self, verifier: Verifier, issuer: Issuer) -> None:
        assert refused(lambda: verifier.check(token(iss=issuer.url, head={"kid": "x"}))) == "signing_key_unknown"
        assert issuer.counts[JWKS] == 1

    def test_a_token_is_asked_after_until_it_expires_and_not_beyond(
        self, verifier: Verifier, issuer: Issuer, clock: Clock
    ) -> None:
        text = token(iss=issuer.url, exp=NOW + 2)
        verifier.check(text)
        clock.advance(11.9)
        assert verifier.check(text)
        clock.advance(0.1)
        assert refused(lambda: verifier.check(text)) == "credential_expired"
        assert issuer.counts[INTROSPECTION] == 2

    def test_tokens_that_share_everything_but_their_signature_are_asked_after_apart(
        self, verifier: Verifier, issuer: Issuer
    ) -> None:
        """ECDSA gives each signing another signature: two texts, two entries (T081)."""
        first, second = token(iss=issuer.url), token(iss=issuer.url)
        assert first != second
        verifier.check(first)
        issuer.replies[INTROSPECTION] = inactive
        assert refused(lambda: verifier.check(second)) == "credential_revoked"
        assert verifier.check(first)
