"""What the verifier does when nobody answers (decision 14a)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.verify.asking import KEY, OTHER_KEY, MakeVerifier, active, made_up, refused
from tests.verify.issuer_server import INTROSPECTION, Issuer, Reply, inactive
from tests.verify.issuing import NOW, ec_key, token
from tests.verify.waiting import Clock

from doorward_verify import Unavailable, Verifier
from doorward_verify.asking import KNOWN_TIMEOUT
from doorward_verify.outbound import TIMEOUT
from doorward_verify.verdict import RECHECK_AFTER


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

    def test_the_grace_may_be_chosen(
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

    def test_a_verifier_that_refuses_in_an_outage_accepts_nothing(
        self, verifier_of: MakeVerifier, issuer: Issuer, outage: Callable[[], None], clock: Clock, good_jwt: str
    ) -> None:
        issuer.replies[INTROSPECTION] = active(key_id=...)
        verifier = verifier_of(on_outage="refuse")
        for text in (KEY, good_jwt):
            verifier.check(text)
        outage()
        clock.advance(RECHECK_AFTER)
        for text in (KEY, good_jwt):
            assert refused(partial(verifier.check, text)) == "server_unreachable"

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
            refused(partial(verifier.check, made_up(number)))
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


def test_a_question_about_what_is_known_waits_less_than_a_first_one(
    verifier: Verifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that swallows everything: the policy has to apply within a second."""
    waited: list[float] = []
    post = verifier._source._outbound.post

    def noted(*arguments: Any) -> Any:
        waited.append(arguments[-1])
        return post(*arguments)

    monkeypatch.setattr(verifier._source._outbound, "post", noted)
    verifier.check(KEY)
    clock.advance(10)
    verifier.check(KEY)
    assert waited == [TIMEOUT, KNOWN_TIMEOUT]
    assert KNOWN_TIMEOUT < 1 < TIMEOUT
