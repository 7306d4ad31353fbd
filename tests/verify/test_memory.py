"""What the verifier remembers, and for how long."""

from __future__ import annotations

from functools import partial

import pytest
from tests.verify.asking import KEY, OPAQUE, MakeVerifier, active, made_up, refused
from tests.verify.issuer_server import INTROSPECTION, Issuer, Reply, inactive
from tests.verify.waiting import DEADLINE, Clock, at_once, until, waiters

from doorward_verify import InvalidToken, Verifier
from doorward_verify.memory import Known, Memory
from doorward_verify.verdict import RECHECK_AFTER


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
        until(lambda: waiters(verifier._asking._flights) == 7)
        issuer.gate.set()
        assert len({racer.result(DEADLINE).subject for racer in racers}) == 1
        assert issuer.counts[INTROSPECTION] == 1

    def test_who_would_ask_what_was_learned_meanwhile_asks_nobody(
        self, verifier: Verifier, issuer: Issuer, text: str
    ) -> None:
        assert verifier.known(text) is None
        found = verifier.check(text)
        assert verifier._ask(text, 1) is found
        assert issuer.counts[INTROSPECTION] == 1

    def test_who_comes_late_to_a_slow_question_asks_again(
        self, verifier: Verifier, issuer: Issuer, clock: Clock
    ) -> None:
        """The first question left before a revocation that the second asker must not miss."""
        verifier._source.keys()
        issuer.replies[INTROSPECTION] = lambda _: inactive({}) if len(issuer.questions) > 1 else active()
        issuer.gate.clear()
        (first,) = at_once(lambda: verifier.check(KEY))
        until(lambda: issuer.counts[INTROSPECTION] == 1)
        clock.advance(RECHECK_AFTER)
        (second,) = at_once(lambda: verifier.check(KEY))
        until(lambda: waiters(verifier._asking._flights) == 1)
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
        verifier._memory._limit = verifier._asking._unknown._limit = 10
        issuer.replies[INTROSPECTION] = inactive
        for number in range(30):
            refused(partial(verifier.check, made_up(number)))
        assert verifier.known(KEY)
        assert len(verifier._asking._unknown) == 10

    def test_no_secret_is_kept_or_shown(self, verifier: Verifier, good_jwt: str) -> None:
        for text in (KEY, good_jwt):
            verifier.check(text)
        memories = verifier._memory._known, verifier._asking._unknown._known
        shown = repr([vars(verifier), vars(verifier._source), *memories])
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
