"""The verifier against a real issuer: what it asks, what it remembers, and what it does when nobody answers."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.verify.issuer_server import INTROSPECTION, JWKS, Issuer, Question, Reply, inactive
from tests.verify.issuing import AUDIENCE, NOW, ec_key, jwks, token
from tests.verify.waiting import DEADLINE, Clock, at_once, until, waiters

from doorward_verify import (
    DoorwardError,
    InvalidToken,
    Misconfigured,
    Unavailable,
    Verified,
    Verifier,
    api_key,
    configuration,
    jwt,
)
from doorward_verify import verifier as verifiers
from doorward_verify.memory import Known, Memory
from doorward_verify.verdict import RECHECK_AFTER

KEY = api_key.assemble("dw", "", "live", "a" * 12, "b" * 32)
OTHER_KEY = api_key.assemble("dw", "", "live", "a" * 12, "c" * 32)
TEST_KEY = api_key.assemble("dw", "", "test", "a" * 12, "b" * 32)
OPAQUE = api_key.assemble("dw", "o", "live", "a" * 12, "b" * 32)

MakeVerifier = Callable[..., Verifier]


def active(_: Question | None = None, *, position: str = "1:1", **changes: Any) -> Reply:
    members = {
        "active": True, "sub": "acme", "aud": AUDIENCE, "scope": "invoices:read", "account": "acme", "key_id": "key_1",
        "exp": NOW + 1000, "environment": "live", **changes,
    }  # fmt: skip
    return Reply({k: v for k, v in members.items() if v is not ...}, headers={"doorward-position": position})


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(DoorwardError) as error:
        call()
    return error.value.reason


@pytest.fixture
def verifier(verifier_of: MakeVerifier, issuer: Issuer) -> Verifier:
    issuer.replies[INTROSPECTION] = active
    return verifier_of()


@pytest.fixture
def good_jwt(issuer: Issuer) -> str:
    return token(iss=issuer.url)


class TestKeysAndOpaqueTokens:
    def test_a_key_is_asked_by_its_digest_and_its_text_never_leaves(self, verifier: Verifier, issuer: Issuer) -> None:
        verifier.check(KEY)
        assert issuer.questions == [{"token_sha256": jwt.b64url_encode(hashlib.sha256(KEY.encode()).digest())}]

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
        "text", [KEY[:-1], KEY + "0", KEY.lower(), "dw_live_", "", "hello", "a b", "\x00", "é", "\ud800"]
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

    def test_a_test_key_is_refused_unless_the_service_is_for_tests(
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
        [({"aud": "https://other.example.com"}, "wrong_audience"), ({"aud": ...}, "wrong_audience"), ({"aud": []}, "wrong_audience"),
         ({"iss": "https://other.example.com"}, "wrong_issuer"), ({"cnf": {"jkt": "a"}}, "token_bound"),
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
            assert refused(lambda text=text: verifier.check(text)) == "signing_key_unknown"  # type: ignore[misc]
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


class TestMemory:
    @pytest.fixture(params=["key", "opaque", "jwt"])
    def text(self, request: pytest.FixtureRequest, good_jwt: str) -> str:
        return {"key": KEY, "opaque": OPAQUE, "jwt": good_jwt}[request.param]

    def test_an_answer_is_remembered_for_less_than_a_second(
        self, verifier: Verifier, issuer: Issuer, clock: Clock, text: str
    ) -> None:
        assert RECHECK_AFTER <= 0.9
        for _ in range(100):
            verifier.check(text)
        assert issuer.counts[INTROSPECTION] == 1
        clock.advance(RECHECK_AFTER - 0.01)
        verifier.check(text)
        assert issuer.counts[INTROSPECTION] == 1
        clock.advance(0.01)
        verifier.check(text)
        assert issuer.counts[INTROSPECTION] == 2

    def test_a_revocation_is_noticed_with_the_next_question(
        self, verifier: Verifier, issuer: Issuer, clock: Clock, text: str
    ) -> None:
        verifier.check(text)
        issuer.replies[INTROSPECTION] = inactive
        clock.advance(RECHECK_AFTER)
        assert refused(lambda: verifier.check(text)) in {"credential_unknown", "credential_revoked"}

    def test_a_refusal_is_remembered_as_long_and_a_resumed_credential_works_again(
        self, verifier: Verifier, issuer: Issuer, clock: Clock, text: str
    ) -> None:
        issuer.replies[INTROSPECTION] = inactive
        for _ in range(10):
            refused(lambda: verifier.check(text))
        assert issuer.counts[INTROSPECTION] == 1
        issuer.replies[INTROSPECTION] = active(key_id=...)
        clock.advance(RECHECK_AFTER)
        assert verifier.check(text)

    def test_nothing_is_remembered_beyond_its_expiry(self, verifier: Verifier, issuer: Issuer, clock: Clock) -> None:
        clock.advance(999.5)
        verifier.check(KEY)
        clock.advance(0.5)
        assert refused(lambda: verifier.check(KEY)) == "credential_expired"

    def test_a_clock_that_is_turned_back_revives_nothing(
        self, verifier: Verifier, issuer: Issuer, clock: Clock
    ) -> None:
        verifier.check(KEY)
        clock.advance(RECHECK_AFTER)
        clock.now -= 10_000
        issuer.replies[INTROSPECTION] = inactive
        assert refused(lambda: verifier.check(KEY)) == "credential_unknown"

    def test_known_answers_need_no_question(self, verifier: Verifier, issuer: Issuer, text: str) -> None:
        assert verifier.known(text) is None
        found = verifier.check(text)
        counts = issuer.counts.copy()
        assert verifier.known(text) is found
        assert issuer.counts == counts

    def test_two_verifiers_share_nothing(self, verifier: Verifier, verifier_of: MakeVerifier, issuer: Issuer) -> None:
        verifier.check(KEY)
        assert verifier_of(audience="https://other.example.com").known(KEY) is None

    def test_many_threads_ask_once(self, verifier: Verifier, issuer: Issuer, text: str) -> None:
        verifier._source.keys()
        issuer.gate.clear()
        racers = at_once(*[lambda: verifier.check(text)] * 8)
        until(lambda: waiters(verifier._flights) == 7)
        issuer.gate.set()
        assert len({racer.result(DEADLINE).subject for racer in racers}) == 1
        assert issuer.counts[INTROSPECTION] == 1

    def test_who_comes_late_to_a_slow_question_asks_again(
        self, verifier: Verifier, issuer: Issuer, clock: Clock
    ) -> None:
        """The first question left before a revocation that the second asker must not miss."""
        issuer.replies[INTROSPECTION] = lambda _: inactive({}) if len(issuer.questions) > 1 else active()
        issuer.gate.clear()
        (first,) = at_once(lambda: verifier.check(KEY))
        until(lambda: issuer.counts[INTROSPECTION] == 1)
        clock.advance(RECHECK_AFTER)
        (second,) = at_once(lambda: verifier.check(KEY))
        until(lambda: waiters(verifier._flights) == 1)
        issuer.gate.set()
        assert first.result(DEADLINE)
        assert isinstance(second.exception(DEADLINE), InvalidToken)

    def test_an_answer_from_a_worker_that_lags_behind_is_not_believed(
        self, verifier: Verifier, issuer: Issuer, clock: Clock
    ) -> None:
        issuer.replies[INTROSPECTION] = active(position="1:10")
        verifier.check(KEY)
        clock.advance(RECHECK_AFTER)
        issuer.replies[INTROSPECTION] = Reply({"active": False}, headers={"doorward-position": "1:20"})
        assert refused(lambda: verifier.check(KEY)) == "credential_unknown"
        clock.advance(RECHECK_AFTER)
        issuer.replies[INTROSPECTION] = active(position="1:19")
        assert refused(lambda: verifier.check(KEY)) == "credential_unknown"
        issuer.replies[INTROSPECTION] = active(position="1:21")
        assert verifier.check(KEY)
        clock.advance(RECHECK_AFTER)
        issuer.replies[INTROSPECTION] = Reply({"active": False}, headers={"doorward-position": "2:1"})
        assert refused(lambda: verifier.check(KEY)) == "credential_unknown"

    def test_made_up_keys_push_out_nothing_good(
        self, verifier: Verifier, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        verifier.check(KEY)
        verifier._memory._limit = verifier._unknown._limit = 10
        issuer.replies[INTROSPECTION] = inactive
        for number in range(30):
            made_up = api_key.assemble("dw", "", "live", "a" * 12, f"{number:032d}")
            refused(lambda made_up=made_up: verifier.check(made_up))  # type: ignore[misc]
        assert verifier.known(KEY)
        assert len(verifier._unknown) == 10

    def test_no_secret_is_kept_or_shown(self, verifier: Verifier, good_jwt: str) -> None:
        for text in (KEY, good_jwt):
            verifier.check(text)
        shown = repr([vars(verifier), vars(verifier._source), verifier._memory._known, verifier._unknown._known])
        for secret in (KEY, KEY[8:], good_jwt, good_jwt.split(".")[1], "s3cret"):
            assert secret not in shown


class TestBoundedMemory:
    def known(self, until_: float) -> Known:
        return Known(None, "credential_unknown", useful_until=until_)

    def test_the_oldest_is_forgotten_first(self) -> None:
        memory = Memory(3)
        for name in (b"a", b"b", b"c", b"a", b"d"):
            memory.put(name, self.known(100), 0)
        assert [memory.get(name) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]

    def test_what_is_of_no_more_use_goes_as_others_come(self) -> None:
        memory = Memory(1000)
        for number in range(100):
            memory.put(b"%d" % number, self.known(number), number)
        assert len(memory) <= 2


class TestOutage:
    @pytest.fixture(params=["stops", "drops", "errs"])
    def outage(self, request: pytest.FixtureRequest, issuer: Issuer) -> Callable[[], None]:
        def begin() -> None:
            if request.param == "stops":
                issuer.stop()
            elif request.param == "drops":
                issuer.drops_connections = True
            else:
                issuer.replies[INTROSPECTION] = Reply({}, 500)

        return begin

    def test_a_known_key_is_accepted_as_stale_for_the_grace_period(
        self, verifier: Verifier, outage: Callable[[], None], clock: Clock
    ) -> None:
        fresh = verifier.check(KEY)
        assert not fresh.stale
        outage()
        clock.advance(299)
        stale = verifier.check(KEY)
        assert stale.stale
        assert (stale.subject, stale.scope) == (fresh.subject, fresh.scope)
        clock.advance(1)
        assert refused(lambda: verifier.check(KEY)) == "server_unreachable"

    def test_the_grace_ends_to_the_moment_though_a_stale_answer_is_remembered(
        self, verifier: Verifier, outage: Callable[[], None], clock: Clock
    ) -> None:
        verifier.check(KEY)
        outage()
        clock.advance(299.9)
        assert verifier.check(KEY).stale
        clock.advance(0.1)
        assert refused(lambda: verifier.check(KEY)) == "server_unreachable"

    def test_the_grace_is_the_services_choice(
        self, verifier_of: MakeVerifier, issuer: Issuer, outage: Callable[[], None], clock: Clock
    ) -> None:
        issuer.replies[INTROSPECTION] = active
        verifier = verifier_of(outage_grace=2)
        verifier.check(KEY)
        outage()
        clock.advance(1.9)
        assert verifier.check(KEY).stale
        clock.advance(0.1)
        assert refused(lambda: verifier.check(KEY)) == "server_unreachable"

    def test_an_unknown_key_is_not_decided(self, verifier: Verifier, outage: Callable[[], None]) -> None:
        verifier.check(KEY)
        outage()
        with pytest.raises(Unavailable) as refused_:
            verifier.check(OTHER_KEY)
        assert (refused_.value.status, refused_.value.reason) == (503, "server_unreachable")

    def test_a_key_that_expires_meanwhile_is_refused(
        self, verifier: Verifier, issuer: Issuer, outage: Callable[[], None], clock: Clock
    ) -> None:
        issuer.replies[INTROSPECTION] = active(exp=NOW + 100)
        verifier.check(KEY)
        outage()
        clock.advance(100)
        assert refused(lambda: verifier.check(KEY)) == "credential_expired"

    def test_a_token_is_accepted_as_stale_until_it_expires_whether_it_was_seen_before_or_not(
        self, verifier: Verifier, issuer: Issuer, outage: Callable[[], None], clock: Clock, good_jwt: str
    ) -> None:
        assert not verifier.check(good_jwt).stale
        outage()
        clock.advance(200)
        assert verifier.check(good_jwt).stale
        assert verifier.check(token(iss=issuer.url)).stale
        clock.advance(110)
        assert refused(lambda: verifier.check(good_jwt)) == "credential_expired"

    def test_a_token_that_was_revoked_stays_refused(
        self, verifier: Verifier, issuer: Issuer, outage: Callable[[], None], clock: Clock, good_jwt: str
    ) -> None:
        issuer.replies[INTROSPECTION] = inactive
        assert refused(lambda: verifier.check(good_jwt)) == "credential_revoked"
        outage()
        clock.advance(200)
        assert refused(lambda: verifier.check(good_jwt)) == "credential_revoked"

    def test_a_key_that_was_revoked_stays_refused(
        self, verifier: Verifier, issuer: Issuer, outage: Callable[[], None], clock: Clock
    ) -> None:
        verifier.check(KEY)
        issuer.replies[INTROSPECTION] = inactive
        clock.advance(1)
        assert refused(lambda: verifier.check(KEY)) == "credential_unknown"
        outage()
        clock.advance(1)
        assert refused(lambda: verifier.check(KEY)) == "credential_unknown"

    def test_a_forged_token_is_refused_all_the_same(
        self, verifier: Verifier, issuer: Issuer, outage: Callable[[], None], good_jwt: str
    ) -> None:
        verifier.check(good_jwt)
        outage()
        forged = token(ec_key("thief"), {"kid": "ec-1"}, iss=issuer.url)
        assert refused(lambda: verifier.check(forged)) == "signature_invalid"

    def test_a_service_that_refuses_in_an_outage_accepts_nothing(
        self, verifier_of: MakeVerifier, issuer: Issuer, outage: Callable[[], None], clock: Clock, good_jwt: str
    ) -> None:
        issuer.replies[INTROSPECTION] = active(key_id=...)
        verifier = verifier_of(on_outage="refuse")
        for text in (KEY, good_jwt):
            verifier.check(text)
        outage()
        clock.advance(RECHECK_AFTER)
        for text in (KEY, good_jwt):
            assert refused(lambda text=text: verifier.check(text)) == "server_unreachable"  # type: ignore[misc]

    def test_without_keys_no_token_is_decided(self, verifier: Verifier, issuer: Issuer, good_jwt: str) -> None:
        issuer.stop()
        assert refused(lambda: verifier.check(good_jwt)) == "server_unreachable"

    def test_the_server_is_tried_once_a_second_whoever_asks(
        self, verifier: Verifier, issuer: Issuer, clock: Clock
    ) -> None:
        verifier.check(KEY)
        issuer.replies[INTROSPECTION] = Reply({}, 500)
        clock.advance(RECHECK_AFTER)
        for number in range(20):
            verifier.check(KEY)
            refused(lambda n=number: verifier.check(api_key.assemble("dw", "", "live", "a" * 12, f"{n:032d}")))  # type: ignore[misc]
        assert issuer.counts[INTROSPECTION] == 2
        clock.advance(1)
        for _ in range(20):
            verifier.check(KEY)
        assert issuer.counts[INTROSPECTION] == 3

    def test_after_the_outage_answers_are_fresh_again(
        self, verifier: Verifier, issuer: Issuer, clock: Clock, good_jwt: str
    ) -> None:
        for text in (KEY, good_jwt):
            verifier.check(text)
        issuer.stop()
        clock.advance(5)
        assert [verifier.check(text).stale for text in (KEY, good_jwt)] == [True, True]
        issuer.start_again()
        clock.advance(1)
        assert [verifier.check(text).stale for text in (KEY, good_jwt)] == [False, False]

    @pytest.mark.parametrize("on_outage", ["accept", "refuse"])
    def test_a_verifier_that_was_revoked_accepts_nothing(
        self, verifier_of: MakeVerifier, issuer: Issuer, clock: Clock, good_jwt: str, on_outage: str
    ) -> None:
        issuer.replies[INTROSPECTION] = active(key_id=...)
        verifier = verifier_of(on_outage=on_outage)
        for text in (KEY, good_jwt):
            verifier.check(text)
        issuer.replies[INTROSPECTION] = Reply({"error": "invalid_client"}, 401)
        clock.advance(RECHECK_AFTER)
        for text in (KEY, good_jwt):
            with pytest.raises(Unavailable) as refused_:
                verifier.check(text)
            assert (refused_.value.status, refused_.value.reason) == (503, "verifier_refused")


class TestWithoutRevocation:
    @pytest.fixture
    def bare(self, verifier_of: MakeVerifier) -> Verifier:
        return verifier_of(verifier_id=None, verifier_secret=None, revocation="off")

    def test_a_verifier_without_credentials_says_both_ways_out(self, issuer: Issuer) -> None:
        with pytest.raises(Misconfigured, match="DOORWARD_VERIFIER_SECRET") as refused_:
            Verifier(issuer.url, audience=AUDIENCE)
        assert 'revocation="off"' in str(refused_.value)

    def test_it_warns_once(self, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
        verifier = Verifier(issuer.url, audience=AUDIENCE, revocation="off", clock=lambda: NOW)
        for _ in range(3):
            verifier.check(token(iss=issuer.url))
        verifier.close()
        assert [r.levelno for r in caplog.records if r.name == "doorward_verify"] == [logging.WARNING]

    def test_tokens_are_accepted_until_they_expire_and_nobody_is_asked(
        self, bare: Verifier, issuer: Issuer, clock: Clock, good_jwt: str
    ) -> None:
        for _ in range(31):
            assert bare.check(good_jwt) == bare.known(good_jwt)
            clock.advance(9.99)
        assert INTROSPECTION not in issuer.counts
        clock.advance(1)
        assert refused(lambda: bare.check(good_jwt)) == "credential_expired"

    def test_keys_and_opaque_tokens_are_refused_with_a_reason(self, bare: Verifier) -> None:
        for text in (KEY, OPAQUE):
            with pytest.raises(Unavailable) as refused_:
                bare.check(text)
            assert (refused_.value.status, refused_.value.reason) == (503, "verifier_unconfigured")

    def test_with_credentials_keys_are_asked_all_the_same(
        self, verifier_of: MakeVerifier, issuer: Issuer, good_jwt: str
    ) -> None:
        issuer.replies[INTROSPECTION] = active
        verifier = verifier_of(revocation="off")
        assert verifier.check(KEY).credential == "api_key"
        assert verifier.check(good_jwt).credential == "jwt"
        assert issuer.counts[INTROSPECTION] == 1

    def test_a_signing_key_that_was_withdrawn_is_noticed(self, bare: Verifier, issuer: Issuer, clock: Clock) -> None:
        text = token(iss=issuer.url, exp=NOW + 3000)
        bare.check(text)
        clock.advance(verifiers.REVERIFY_AFTER)
        issuer.publish(jwks(ec_key("new")))
        bare.check(token(ec_key("new"), iss=issuer.url, exp=NOW + 3000))
        assert refused(lambda: bare.check(text)) == "signing_key_unknown"


class TestConfiguration:
    def test_everything_is_found_in_the_environment(
        self, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        issuer.replies[INTROSPECTION] = active(exp=...)
        monkeypatch.setenv("DOORWARD_ISSUER", issuer.url)
        monkeypatch.setenv("DOORWARD_VERIFIER_ID", "verifier_1")
        monkeypatch.setenv("DOORWARD_VERIFIER_SECRET", "s3cret")
        verifier = Verifier(audience=AUDIENCE)
        assert verifier.check(KEY)
        verifier.close()
        assert issuer.authorizations == ["Basic dmVyaWZpZXJfMTpzM2NyZXQ="]

    def test_a_secret_may_lie_in_a_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("DOORWARD_VERIFIER_ID", "verifier_1")
        monkeypatch.setenv("DOORWARD_VERIFIER_SECRET_FILE", str(tmp_path / "secret"))
        with pytest.raises(Misconfigured, match="cannot be read"):
            configuration.credentials(None, None, needed=True)
        (tmp_path / "secret").write_text("s3cret\n")
        assert configuration.credentials(None, None, needed=True) == ("verifier_1", "s3cret")

    def test_what_the_service_passes_wins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("ISSUER", "VERIFIER_ID", "VERIFIER_SECRET", "CA_FILE"):
            monkeypatch.setenv(f"DOORWARD_{name}", "environment")
        assert configuration.issuer("passed") == "passed"
        assert configuration.credentials("id", "secret", needed=True) == ("id", "secret")
        assert configuration.ca_file("passed") == "passed"
        assert configuration.ca_file(None) == "environment"

    def test_without_an_issuer_nothing_can_be_verified(self) -> None:
        with pytest.raises(Misconfigured, match="DOORWARD_ISSUER"):
            Verifier(audience=AUDIENCE, revocation="off")

    @pytest.mark.parametrize("half", [("verifier_1", None), (None, "s3cret")])
    def test_half_of_the_credentials_is_a_mistake_even_when_none_are_needed(
        self, half: tuple[str | None, str | None]
    ) -> None:
        with pytest.raises(Misconfigured, match="both"):
            Verifier(
                "https://a.example", audience=AUDIENCE, verifier_id=half[0], verifier_secret=half[1], revocation="off"
            )

    @pytest.mark.parametrize(
        "options",
        [{"revocation": "maybe"}, {"on_outage": "ignore"}, {"environment": "prod"}, {"leeway": 11}, {"leeway": -1}],
        ids=str,
    )
    def test_an_unknown_choice_is_refused(self, options: dict[str, Any]) -> None:
        credentials = {"verifier_id": "a", "verifier_secret": "b"}
        with pytest.raises(Misconfigured):
            Verifier("https://a.example", audience=AUDIENCE, **credentials, **options)

    def test_an_http_issuer_beyond_loopback_is_refused(self) -> None:
        with pytest.raises(Misconfigured, match="https"):
            Verifier("http://auth.example.com", audience=AUDIENCE, verifier_id="a", verifier_secret="b")


class TestAsynchronously:
    def test_the_answer_is_the_same(self, verifier: Verifier, good_jwt: str) -> None:
        async def checks() -> list[Verified]:
            return [await verifier.acheck(text) for text in (KEY, good_jwt, KEY)]

        key, jwt_, again = asyncio.run(checks())
        assert (key, jwt_) == (verifier.check(KEY), verifier.check(good_jwt))
        assert again is key

    def test_what_is_known_and_what_is_bad_needs_no_thread(
        self, verifier: Verifier, good_jwt: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for text in (KEY, good_jwt):
            verifier.check(text)

        async def none(*_: object) -> None:
            raise AssertionError("a thread")

        async def checks() -> list[Verified]:
            for bad in (KEY[:-1], TEST_KEY, "a.b.c", token(ec_key("thief"), {"kid": "ec-1"})):
                with pytest.raises(InvalidToken):
                    await verifier.acheck(bad)
            return [await verifier.acheck(text) for text in (KEY, good_jwt)]

        monkeypatch.setattr(asyncio, "to_thread", none)
        assert len(asyncio.run(checks())) == 2

    def test_a_slow_server_does_not_block_the_loop(self, verifier: Verifier, issuer: Issuer) -> None:
        async def checks() -> str:
            issuer.gate.clear()
            slow = asyncio.create_task(verifier.acheck(KEY))
            while not issuer.counts[INTROSPECTION]:
                await asyncio.sleep(0.005)
            issuer.gate.set()
            return (await slow).credential

        assert asyncio.run(checks()) == "api_key"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_after_a_fork_the_child_asks_over_connections_of_its_own(
    verifier: Verifier, issuer: Issuer, clock: Clock
) -> None:
    verifier.check(KEY)
    clock.advance(RECHECK_AFTER)
    locks = (verifier._memory._lock, verifier._flights._lock, verifier._source._asking_breaker._pause._lock)
    for lock in locks:
        lock.acquire()
    child = os.fork()
    if child == 0:  # pragma: no cover
        status = 1
        try:
            status = 0 if verifier.check(KEY).subject == "acme" and verifier.check(OTHER_KEY) else 2
        finally:
            os._exit(status)
    for lock in locks:
        lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    verifier.check(KEY)
    assert issuer.connections == 2
