"""The verifier and its feed, over real connections: who is refused, when, and that nobody is asked."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.verify.asking import KEY, OPAQUE, OTHER_KEY, MakeVerifier, active, refused
from tests.verify.feed_server import FEED_JWKS, FEED_KEY, LOG, STREAM, FeedIssuer, event
from tests.verify.issuer_server import INTROSPECTION, JWKS, METADATA, Issuer, Reply, inactive
from tests.verify.issuing import AUDIENCE, NOW, ec_key, jwks, rsa_key, token
from tests.verify.waiting import DEADLINE, Clock, at_once, until, waiters

from doorward_verify import Unavailable, Verifier, api_key, feed_source, feed_view
from doorward_verify.feed import Feed
from doorward_verify.verdict import HELD_FOR, RECHECK_AFTER

SIBLING = api_key.assemble("dw", "", "live", "d" * 12, "b" * 32)
TOKENS = {
    "token": {"jti": "jti_1"}, "grant": {"grant_id": "grant_9"}, "client": {"client_id": "client_9"},
    "account": {"account": "umbrella"}, "everything": {},
}  # fmt: skip


@pytest.fixture
def issuer(clock: Clock) -> Iterator[FeedIssuer]:
    running = FeedIssuer(clock.wall)
    running.publish(jwks(ec_key(), rsa_key()))
    running.replies[INTROSPECTION] = lambda _: active(position=running.head)
    yield running
    running.cut()
    running.gate.set()
    running.stop()


@pytest.fixture
def verifier(verifier_of: MakeVerifier) -> Verifier:
    return synced(verifier_of())


@pytest.fixture
def jwt(issuer: FeedIssuer) -> Callable[..., str]:
    return lambda **changes: token(**{"iss": issuer.url, "pos": issuer.head, **changes})


def synced(verifier: Verifier) -> Verifier:
    verifier.start()
    until(lambda: verifier.state == "synced")
    return verifier


def asked(issuer: Issuer) -> int:
    return issuer.counts[INTROSPECTION]


def feed_of(verifier: Verifier) -> Feed:
    feed = verifier._view.feed
    assert isinstance(feed, Feed)
    return feed


def heard(issuer: FeedIssuer, *verifiers: Verifier) -> None:
    """Until all that was told has arrived: a heartbeat comes after it."""
    issuer.beat()
    head = issuer.epoch, issuer.seq

    def has_heard(feed: Feed) -> bool:
        return feed.state.head == head and feed.state.vouched_at == feed._monotonic()

    until(lambda: all(has_heard(feed_of(verifier)) for verifier in verifiers))


class TestJWTs:
    def test_no_check_of_a_token_asks_the_server(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str], clock: Clock
    ) -> None:
        texts = [jwt(jti=f"jti_{number}") for number in range(20)]
        verifier.check(texts[0])
        counts = issuer.counts.copy()
        for seconds in range(1, 100, 10):
            clock.advance(10)
            heard(issuer, verifier)
            for text in texts:
                assert verifier.check(text).stale is False, seconds
        assert issuer.counts == counts

    def test_what_has_expired_stays_so_when_the_clock_of_the_service_goes_back(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str], clock: Clock
    ) -> None:
        text = jwt(exp=NOW + 20)
        assert verifier.check(text)
        clock.advance(31)
        heard(issuer, verifier)
        assert refused(lambda: verifier.check(text)) == "credential_expired"
        clock.now -= 3600
        assert refused(lambda: verifier.check(text)) == "credential_expired"

    def test_the_very_first_check_waits_for_the_feed_and_asks_nothing_else(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer, jwt: Callable[..., str]
    ) -> None:
        verifier = verifier_of()
        assert verifier.state == "connecting"
        assert verifier.check(jwt())
        assert verifier.state == "synced"
        assert issuer.counts == {METADATA: 1, JWKS: 1, LOG: 1, STREAM: 1, FEED_JWKS: 1}

    @pytest.mark.parametrize("kind", TOKENS)
    def test_what_has_ended_is_refused_whether_it_was_seen_before_or_not(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str], kind: str
    ) -> None:
        (value,) = TOKENS[kind].values() or [""]
        seen, unseen, other = jwt(**TOKENS[kind]), jwt(**TOKENS[kind]), jwt(jti="other")
        verifier.check(seen)
        verifier.check(other)
        issuer.tell(kind, value)
        heard(issuer, verifier)
        for text in (seen, unseen):
            assert refused(lambda text=text: verifier.check(text)) == "credential_revoked"
        if kind != "everything":
            assert verifier.check(other)
        assert asked(issuer) == 0

    @pytest.mark.parametrize("kind", ["client", "account", "everything"])
    def test_a_token_that_was_issued_after_a_cut_off_is_good(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str], kind: str
    ) -> None:
        (value,) = TOKENS[kind].values() or [""]
        issuer.tell(kind, value)
        heard(issuer, verifier)
        assert verifier.check(jwt(**TOKENS[kind]))

    def test_what_ended_before_the_snapshot_is_refused(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer, jwt: Callable[..., str]
    ) -> None:
        issuer.tell("token", "jti_1")
        verifier = verifier_of()
        assert refused(lambda: verifier.check(jwt(jti="jti_1"))) == "credential_revoked"

    def test_a_change_is_no_reason_to_refuse_or_to_ask(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str]
    ) -> None:
        text = jwt()
        verifier.check(text)
        issuer.tell("client", "client_8sK2", "changed")
        heard(issuer, verifier)
        assert verifier.check(text)
        assert asked(issuer) == 0

    def test_tokens_of_a_withdrawn_signing_key_are_refused_though_the_key_set_still_has_it(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str], clock: Clock
    ) -> None:
        seen, unseen, forged = jwt(), jwt(), jwt(head={"kid": ...})
        verifier.check(seen)
        issuer.tell("signing_key", "ec-1")
        heard(issuer, verifier)
        assert refused(lambda: verifier.check(seen)) in {"credential_revoked", "signing_key_unknown"}
        assert refused(lambda: verifier.check(unseen)) == "signing_key_unknown"
        assert refused(lambda: verifier.check(forged)) in {"signing_key_unknown", "signature_invalid"}
        assert verifier.check(jwt(key=rsa_key()))
        clock.advance(4000)
        heard(issuer, verifier)
        later = jwt(iat=NOW + 4000, exp=NOW + 4300)
        assert refused(lambda: verifier.check(later)) == "signing_key_unknown"
        assert asked(issuer) == 0

    def test_a_signing_key_that_left_the_key_set_is_noticed_within_its_age(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str], clock: Clock
    ) -> None:
        text = jwt(exp=NOW + 3600)
        verifier.check(text)
        issuer.publish(jwks(rsa_key()))
        clock.advance(300)
        heard(issuer, verifier)
        verifier.check(text)
        until(lambda: verifier._source._held is not None and verifier._source._held.keys.keys() == {"rsa-1"})
        clock.advance(60)
        heard(issuer, verifier)
        assert refused(lambda: verifier.check(text)) == "signing_key_unknown"

    def test_a_token_expires_all_the_same(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str], clock: Clock
    ) -> None:
        text = jwt(exp=NOW + 20)
        verifier.check(text)
        clock.advance(29)
        heard(issuer, verifier)
        assert verifier.check(text)
        clock.advance(1)
        heard(issuer, verifier)
        assert refused(lambda: verifier.check(text)) == "credential_expired"


class TestKeysAndOpaqueTokens:
    @pytest.fixture(params=[KEY, OPAQUE], ids=["key", "opaque"])
    def text(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_one_is_asked_once_in_a_quarter_of_an_hour(
        self, verifier: Verifier, issuer: FeedIssuer, clock: Clock, text: str
    ) -> None:
        issuer.replies[INTROSPECTION] = lambda _: active(position=issuer.head, exp=...)
        for _ in range(9):
            verifier.check(text)
            clock.advance(HELD_FOR / 9 - 0.1)
            heard(issuer, verifier)
        assert verifier.known(text)
        assert asked(issuer) == 1
        clock.advance(1)
        heard(issuer, verifier)
        assert verifier.check(text)
        assert asked(issuer) == 2

    def test_a_leaked_secret_is_refused_without_a_question_and_its_sibling_stays_known(
        self, verifier: Verifier, issuer: FeedIssuer
    ) -> None:
        """Both are the same key to the server (decision 12)."""
        assert verifier.check(KEY).key_id == verifier.check(SIBLING).key_id
        issuer.tell("secret", "a" * 12)
        heard(issuer, verifier)
        # A made-up text with the same public id is told nothing else.
        assert [refused(lambda text=text: verifier.check(text)) for text in (KEY, OTHER_KEY)] == [
            "credential_unknown"
        ] * 2
        assert verifier.check(SIBLING)
        assert asked(issuer) == 2

    def test_nothing_is_held_beyond_its_expiry(self, verifier: Verifier, issuer: FeedIssuer, clock: Clock) -> None:
        issuer.replies[INTROSPECTION] = lambda _: active(position=issuer.head, exp=NOW + 100)
        verifier.check(KEY)
        clock.advance(100)
        heard(issuer, verifier)
        assert refused(lambda: verifier.check(KEY)) == "credential_expired"

    @pytest.mark.parametrize("effect", ["dead", "changed"])
    @pytest.mark.parametrize(
        ("kind", "value"),
        [("api_key", "key_1"), ("account", "acme"), ("grant", "grant_1"), ("client", "client_1"), ("token", "jti_1"),
         ("api", "api_1"), ("everything", "")],
    )  # fmt: skip
    def test_an_entry_about_what_it_hangs_on_makes_it_be_asked_again(
        self, verifier: Verifier, issuer: FeedIssuer, text: str, kind: str, value: str, effect: str
    ) -> None:
        told = {"client_id": "client_1", "grant_id": "grant_1", "jti": "jti_1"}
        issuer.replies[INTROSPECTION] = lambda _: active(position=issuer.head, **told)
        verifier.check(text)
        issuer.replies[INTROSPECTION] = lambda _: Reply({"active": False}, headers={"doorward-position": issuer.head})
        issuer.tell("api_key", "another")
        heard(issuer, verifier)
        assert verifier.check(text)
        issuer.tell(kind, value, effect)
        heard(issuer, verifier)
        assert refused(lambda: verifier.check(text)) == "credential_unknown"
        assert asked(issuer) == 2

    def test_after_a_change_one_is_held_again(self, verifier: Verifier, issuer: FeedIssuer, clock: Clock) -> None:
        verifier.check(KEY)
        issuer.tell("api_key", "key_1", "changed")
        for _ in range(5):
            clock.advance(1)
            heard(issuer, verifier)
            verifier.check(KEY)
        assert asked(issuer) == 2

    def test_a_key_that_is_resumed_works_again_within_a_second(
        self, verifier: Verifier, issuer: FeedIssuer, clock: Clock
    ) -> None:
        issuer.replies[INTROSPECTION] = inactive
        assert refused(lambda: verifier.check(KEY)) == "credential_unknown"
        issuer.replies[INTROSPECTION] = lambda _: active(position=issuer.head)
        clock.advance(RECHECK_AFTER)
        assert verifier.check(KEY)

    def test_an_answer_that_was_under_way_when_an_entry_came_is_not_believed(
        self, verifier: Verifier, issuer: FeedIssuer
    ) -> None:
        """What is older than the entry, by position, is asked for again, whoever waits for it."""
        before = active(position=issuer.head)
        issuer.replies[INTROSPECTION] = lambda _: before if asked(issuer) == 1 else inactive({})
        issuer.gate.clear()
        racers = at_once(*[lambda: verifier.check(KEY)] * 4)
        until(lambda: asked(issuer) == 1 and waiters(verifier._asking._flights) == 3)
        issuer.tell("api_key", "key_1")
        heard(issuer, verifier)
        issuer.gate.set()
        for racer in racers:
            assert getattr(racer.exception(DEADLINE), "reason", "") == "credential_unknown"

    def test_an_answer_that_already_knew_of_the_entry_is_good(self, verifier: Verifier, issuer: FeedIssuer) -> None:
        issuer.gate.clear()
        (racer,) = at_once(lambda: verifier.check(KEY))
        until(lambda: asked(issuer) == 1)
        issuer.tell("api_key", "key_1", "changed")
        heard(issuer, verifier)
        issuer.gate.set()
        assert racer.result(DEADLINE)
        assert asked(issuer) == 1

    def test_a_server_that_never_catches_up_with_its_feed_is_no_server(
        self, verifier: Verifier, issuer: FeedIssuer
    ) -> None:
        issuer.replies[INTROSPECTION] = active(position=issuer.head)
        issuer.tell("account", "acme", "changed")
        heard(issuer, verifier)
        assert refused(lambda: verifier.check(KEY)) == "server_unreachable"

    def test_an_answer_without_a_position_holds_for_less_than_a_second(
        self, verifier: Verifier, issuer: FeedIssuer, clock: Clock
    ) -> None:
        issuer.replies[INTROSPECTION] = Reply(active().body)
        verifier.check(KEY)
        verifier.check(KEY)
        assert asked(issuer) == 1
        clock.advance(RECHECK_AFTER)
        verifier.check(KEY)
        assert asked(issuer) == 2

    def test_a_key_that_is_known_needs_no_thread(self, verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
        verifier.check(KEY)

        async def none(*_: object) -> None:
            raise AssertionError("a thread")

        monkeypatch.setattr(asyncio, "to_thread", none)
        assert asyncio.run(verifier.acheck(KEY)).key_id == "key_1"


class TestStale:
    """The feed is cut while the server answers."""

    @pytest.fixture
    def cut_off(self, issuer: FeedIssuer, clock: Clock) -> Callable[[Verifier], None]:
        def cut(verifier: Verifier) -> None:
            issuer.refuses = 503
            issuer.cut()
            clock.advance(1.9)
            assert verifier.state == "synced"
            clock.advance(0.1)
            assert verifier.state == "stale"

        return cut

    def test_then_the_server_is_asked_about_each_once_in_less_than_a_second(
        self, verifier: Verifier, issuer: FeedIssuer, clock: Clock, jwt: Callable[..., str],
        cut_off: Callable[[Verifier], None],
    ) -> None:  # fmt: skip
        texts = [jwt(), KEY, OPAQUE]
        for text in texts:
            verifier.check(text)
        cut_off(verifier)
        asked_before = asked(issuer)
        for _ in range(3):
            for text in texts:
                assert not verifier.check(text).stale
        assert asked(issuer) == asked_before + 3
        issuer.replies[INTROSPECTION] = inactive
        clock.advance(RECHECK_AFTER)
        for text in texts:
            assert refused(lambda text=text: verifier.check(text)) in {"credential_unknown", "credential_revoked"}

    def test_what_is_known_to_be_dead_stays_dead(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str], cut_off: Callable[[Verifier], None]
    ) -> None:
        dead = jwt(jti="jti_1")
        issuer.tell("token", "jti_1")
        heard(issuer, verifier)
        cut_off(verifier)
        assert refused(lambda: verifier.check(dead)) == "credential_revoked"
        assert asked(issuer) == 0

    def test_one_that_refuses_answers_503(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer, jwt: Callable[..., str],
        cut_off: Callable[[Verifier], None],
    ) -> None:  # fmt: skip
        verifier = synced(verifier_of(on_stale="refuse"))
        texts = [jwt(), KEY, OPAQUE]
        for text in texts:
            verifier.check(text)
        before = asked(issuer)
        cut_off(verifier)
        for text in [*texts, jwt(jti="new"), OTHER_KEY]:
            with pytest.raises(Unavailable) as found:
                verifier.check(text)
            assert verifier.answer(found.value).status == 503
        assert asked(issuer) == before
        assert not verifier.ready

    def test_one_that_accepts_says_that_it_is_stale(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer, jwt: Callable[..., str],
        cut_off: Callable[[Verifier], None],
    ) -> None:  # fmt: skip
        verifier = synced(verifier_of(on_stale="accept"))
        texts = [jwt(), KEY, OPAQUE]
        for text in texts:
            verifier.check(text)
        before = asked(issuer)
        cut_off(verifier)
        for text in [*texts, jwt(jti="new")]:
            assert verifier.check(text).stale
        assert asked(issuer) == before
        assert verifier.metrics()["verifications_total"]["jwt", "stale"] == 2
        assert not verifier.check(OTHER_KEY).stale
        assert asked(issuer) == before + 1

    def test_with_the_server_gone_too_on_outage_decides(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer, clock: Clock, jwt: Callable[..., str]
    ) -> None:
        accepts, refuses = synced(verifier_of()), synced(verifier_of(on_outage="refuse"))
        texts = [jwt(exp=NOW + 3600), KEY]
        issuer.replies[INTROSPECTION] = lambda _: active(position=issuer.head, exp=...)
        for text in texts:
            accepts.check(text)
            refuses.check(text)
        clock.advance(500)
        heard(issuer, accepts, refuses)
        issuer.cut()
        issuer.stop()
        clock.advance(299.9)
        assert [accepts.check(text).stale for text in texts] == [True, True]
        for text in texts:
            assert refused(lambda text=text: refuses.check(text)) == "server_unreachable"
        clock.advance(0.1)
        assert accepts.check(texts[0]).stale
        assert refused(lambda: accepts.check(KEY)) == "server_unreachable"

    def test_a_key_that_an_entry_hit_has_no_grace(self, verifier: Verifier, issuer: FeedIssuer, clock: Clock) -> None:
        verifier.check(KEY)
        issuer.tell("api_key", "key_1")
        heard(issuer, verifier)
        issuer.cut()
        issuer.stop()
        clock.advance(2)
        assert refused(lambda: verifier.check(KEY)) == "server_unreachable"

    def test_after_healing_it_catches_up_and_still_knows_what_it_knew(
        self, verifier: Verifier, issuer: FeedIssuer, clock: Clock, jwt: Callable[..., str],
        cut_off: Callable[[Verifier], None],
    ) -> None:  # fmt: skip
        good, dead = jwt(), jwt(jti="jti_1")
        for text in (good, dead, KEY):
            verifier.check(text)
        cut_off(verifier)
        issuer.tell("token", "jti_1")
        issuer.tell("grant", "grant_7")
        issuer.refuses = 0
        until(lambda: verifier.state == "synced")
        before = issuer.counts.copy()
        assert refused(lambda: verifier.check(dead)) == "credential_revoked"
        assert verifier.check(good)
        assert verifier.check(KEY)
        assert (asked(issuer), issuer.counts[LOG]) == (before[INTROSPECTION], 1)
        assert issuer.resumed[-1] == "1:100"


class TestBeginningAnew:
    def knows(self, verifier: Verifier) -> None:
        for text in (KEY, OPAQUE):
            verifier.check(text)

    def begun_anew(self, verifier: Verifier, issuer: FeedIssuer) -> None:
        """It took a second snapshot, and what was learned by introspection is asked again."""
        until(lambda: issuer.counts[LOG] == 2 and verifier.state == "synced")
        before = asked(issuer)
        self.knows(verifier)
        assert asked(issuer) == before + 2

    def test_after_an_entry_that_was_missed(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str]
    ) -> None:
        self.knows(verifier)
        issuer.tell("token", "jti_1", silently=True)
        issuer.tell("token", "jti_2")
        for stream in issuer.streams:
            stream.last[0] = "1:101"
        issuer.tell("token", "jti_3")
        until(lambda: issuer.counts[LOG] == 2)
        self.begun_anew(verifier, issuer)
        for jti in ("jti_1", "jti_2", "jti_3"):
            assert refused(lambda jti=jti: verifier.check(jwt(jti=jti))) == "credential_revoked"

    def test_after_a_heartbeat_that_knows_of_an_entry_that_was_missed(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str]
    ) -> None:
        self.knows(verifier)
        entry = issuer.tell("token", "jti_1", silently=True)
        issuer.beat(last=entry["pos"])
        self.begun_anew(verifier, issuer)
        assert refused(lambda: verifier.check(jwt(jti="jti_1"))) == "credential_revoked"

    def test_after_another_epoch_and_older_tokens_are_dead(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str]
    ) -> None:
        self.knows(verifier)
        older = jwt()
        verifier.check(older)
        issuer.restore()
        self.begun_anew(verifier, issuer)
        assert refused(lambda: verifier.check(older)) == "credential_revoked"
        assert verifier.check(jwt())

    def test_and_what_was_dead_stays_dead_though_the_server_was_set_back_and_knows_it_no_more(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str]
    ) -> None:
        text = jwt(jti="jti_1")
        assert verifier.check(text)
        issuer.tell("token", "jti_1")
        heard(issuer, verifier)
        assert refused(lambda: verifier.check(text)) == "credential_revoked"
        issuer.log.clear()
        issuer.seq -= 50
        issuer.cut()
        self.begun_anew(verifier, issuer)
        assert refused(lambda: verifier.check(text)) == "credential_revoked"

    def test_a_clock_of_the_server_that_jumps_ahead_ends_no_entry(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str], clock: Clock
    ) -> None:
        text = jwt(jti="jti_1")
        assert verifier.check(text)
        issuer.tell("token", "jti_1")
        heard(issuer, verifier)
        issuer.now = lambda: clock.wall() + 7200
        for _ in range(2):
            clock.advance(1)
            heard(issuer, verifier)
        assert verifier.metrics()["entries"] == 1
        assert refused(lambda: verifier.check(text)) == "credential_revoked"

    def test_when_a_running_stream_changes_its_epoch(self, verifier: Verifier, issuer: FeedIssuer) -> None:
        self.knows(verifier)
        issuer.epoch += 1
        issuer.beat()
        self.begun_anew(verifier, issuer)

    def test_when_the_server_cannot_tell_everything_any_more(self, verifier: Verifier, issuer: FeedIssuer) -> None:
        self.knows(verifier)
        issuer.seq -= 50
        issuer.cut()
        self.begun_anew(verifier, issuer)

    def test_after_what_is_not_understood_nothing_is_vouched_for(
        self, verifier: Verifier, issuer: FeedIssuer, clock: Clock, jwt: Callable[..., str]
    ) -> None:
        """A server that is newer than the verifier: whoever passes an entry over may miss a revocation."""
        verifier.check(jwt())
        issuer.tell("galaxy", "milky way")
        until(lambda: verifier.state == "connecting")
        verifier.check(jwt())
        assert asked(issuer) == 1
        assert not verifier.ready

    def test_it_asks_meanwhile(self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str]) -> None:
        """Between the gap and the new snapshot nobody knows what was missed."""
        verifier.check(jwt())
        del issuer.conversations[LOG]
        issuer.beat(last="1:99")
        until(lambda: verifier.state == "connecting")
        assert verifier.check(jwt())
        assert asked(issuer) == 1


class TestHeartbeats:
    @pytest.mark.parametrize(
        "changes",
        [{"key": ec_key("thief")}, {"key": ec_key()}, {"typ": "at+jwt"}, {"iss": "https://thief.example"},
         {"aud": "https://other.example.com"}, {"aud": [AUDIENCE]}, {"pos": "1:99"}, {"iat": NOW - 1}, {"iat": "now"},
         {"pos": "1"}],
        ids=["a thief's key", "a thief's key under a good kid", "another type", "another issuer", "another audience",
             "an audience in a list", "a position ahead", "an earlier time", "no number as its time", "no position"],
    )  # fmt: skip
    def test_a_forged_or_old_one_keeps_nothing_fresh(
        self, verifier: Verifier, issuer: FeedIssuer, clock: Clock, changes: dict[str, Any]
    ) -> None:
        clock.advance(1.5)
        issuer.beat(**changes)
        issuer.say(event("message", "the last of it"))
        arrived = threading.Event()
        original = feed_of(verifier)._heed
        feed_of(verifier)._heed = lambda told: (arrived.set() if told.name == "message" else None, original(told))[1]  # type: ignore[method-assign]
        issuer.say(event("message", "now"))
        assert arrived.wait(DEADLINE)
        clock.advance(0.5)
        assert verifier.state == "stale"
        issuer.beat()
        until(lambda: verifier.state == "synced")

    def test_a_new_key_of_the_feed_is_found(self, verifier: Verifier, issuer: FeedIssuer, clock: Clock) -> None:
        issuer.replies[FEED_JWKS] = Reply(jwks(ec_key(FEED_KEY), ec_key("feed-2")))
        clock.advance(1)
        issuer.move()
        issuer.beat(key=ec_key("feed-2"))
        until(lambda: feed_of(verifier).state.head == (1, 101))
        assert issuer.counts[FEED_JWKS] == 2

    def test_what_a_withdrawn_key_of_the_feed_says_is_not_believed_though_the_key_set_still_has_it(
        self, verifier: Verifier, issuer: FeedIssuer
    ) -> None:
        issuer.replies[FEED_JWKS] = Reply(jwks(ec_key(FEED_KEY), ec_key("feed-2")))
        issuer.tell("signing_key", FEED_KEY)
        issuer.beat(pos="1:150")
        issuer.move()
        issuer.beat(key=ec_key("feed-2"))
        until(lambda: feed_of(verifier).state.head == (1, 102))

    def test_keys_that_nobody_knows_are_looked_for_once_in_five_seconds(
        self, verifier: Verifier, issuer: FeedIssuer, clock: Clock
    ) -> None:
        for number in range(20):
            issuer.beat(key=ec_key(f"thief-{number % 3}"))
        heard(issuer, verifier)
        issuer.move()
        heard(issuer, verifier)
        assert issuer.counts[FEED_JWKS] == 2

    def test_the_keys_of_the_feed_are_read_again_after_five_minutes(
        self, verifier: Verifier, issuer: FeedIssuer, clock: Clock
    ) -> None:
        clock.advance(300)
        issuer.move()
        heard(issuer, verifier)
        assert issuer.counts[FEED_JWKS] == 2

    def test_a_signing_key_of_tokens_cannot_speak_here(self, verifier: Verifier, issuer: FeedIssuer) -> None:
        issuer.move()
        issuer.beat(key=ec_key())
        issuer.beat(key=rsa_key())
        issuer.move()
        heard(issuer, verifier)
        assert feed_of(verifier).state.head == (1, 102)


class TestOneConnection:
    def test_all_verifiers_of_a_process_share_it(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer, jwt: Callable[..., str]
    ) -> None:
        verifiers = [synced(verifier_of()) for _ in range(5)]
        racers = at_once(*[lambda one=one: one.check(jwt()) for one in verifiers * 3])
        assert all(racer.result(DEADLINE) for racer in racers)
        assert (issuer.counts[LOG], issuer.counts[STREAM], len(issuer.streams)) == (1, 1, 1)
        issuer.tell("token", "jti_1")
        heard(issuer, *verifiers)
        for one in verifiers:
            assert refused(lambda one=one: one.check(jwt(jti="jti_1"))) == "credential_revoked"

    def test_verifiers_with_other_credentials_have_their_own(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer
    ) -> None:
        for options in ({}, {"verifier_id": "verifier_2"}, {"verifier_secret": "other"}):
            synced(verifier_of(**options))
        assert len(issuer.streams) == 3

    def test_it_ends_with_the_last_of_them(self, verifier_of: MakeVerifier, issuer: FeedIssuer) -> None:
        first, second = synced(verifier_of()), synced(verifier_of())
        thread = feed_of(first)._thread
        assert thread is not None
        first.close()
        heard(issuer, second)
        assert (first.state, second.state) == ("none", "synced")
        second.close()
        thread.join(DEADLINE)
        assert not thread.is_alive()

    def test_it_ends_when_nobody_has_the_verifier_any_more(self, issuer: FeedIssuer, clock: Clock) -> None:
        credentials = {"verifier_id": "verifier_1", "verifier_secret": "s3cret"}
        verifier = synced(
            Verifier(issuer.url, audience=AUDIENCE, clock=clock.wall, monotonic=clock.monotonic, **credentials)  # type: ignore[arg-type]
        )
        thread, source = feed_of(verifier)._thread, verifier._source
        assert thread is not None
        del verifier
        gc.collect()
        issuer.beat()
        thread.join(DEADLINE)
        assert not thread.is_alive()
        source.close()

    def test_after_it_was_closed_a_verifier_asks_as_if_there_were_no_feed(
        self, verifier: Verifier, issuer: FeedIssuer, clock: Clock, jwt: Callable[..., str]
    ) -> None:
        text = jwt()
        verifier.check(text)
        verifier.close()
        assert verifier.check(text)
        assert asked(issuer) == 1

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_forked_child_has_one_of_its_own_and_leaves_its_parents_alone(
        self, verifier: Verifier, issuer: FeedIssuer, jwt: Callable[..., str]
    ) -> None:
        text = jwt()
        verifier.check(text)
        locks = (feed_of(verifier)._lock, verifier._asking._flights._lock)
        for lock in locks:
            lock.acquire()
        child = os.fork()
        if child == 0:  # pragma: no cover
            status = 1
            try:
                was = verifier.state
                verifier.check(text)
                status = 0 if (was, verifier.state) == ("connecting", "synced") else 2
            finally:
                os._exit(status)
        for lock in locks:
            lock.release()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (issuer.counts[LOG], issuer.counts[STREAM], asked(issuer)) == (2, 2, 0)
        issuer.tell("token", "5f0f3b0a")
        heard(issuer, verifier)
        assert refused(lambda: verifier.check(text)) == "credential_revoked"
        assert issuer.counts[STREAM] == 2


class TestWhatStandsInTheWay:
    def test_a_proxy_that_gathers_the_stream_is_polled_around(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer, jwt: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(feed_source, "FIRST_BYTES", 0.05)
        issuer.greets = False
        verifier = synced(verifier_of())
        assert verifier.check(jwt())
        issuer.tell("token", "jti_1")
        until(lambda: feed_of(verifier).state.head == (1, 101))
        assert refused(lambda: verifier.check(jwt(jti="jti_1"))) == "credential_revoked"
        assert verifier.state == "synced"
        assert asked(issuer) == 0
        assert issuer.counts[STREAM] == 1

    def test_a_stream_that_is_cut_again_and_again_is_polled_around(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer
    ) -> None:
        verifier = synced(verifier_of())
        for number in (1, 2, 3):
            until(lambda number=number: issuer.counts[STREAM] == number and len(issuer.streams) == 1)
            issuer.cut()
        until(lambda: issuer.counts[LOG] > 2)
        issuer.tell("token", "jti_1")
        until(lambda: feed_of(verifier).state.head == (1, 101))
        assert issuer.counts[STREAM] == 3

    def test_a_stream_that_works_is_not_given_up_for_being_cut_now_and_then(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer
    ) -> None:
        verifier = synced(verifier_of())
        for number in range(1, 6):
            until(lambda number=number: issuer.counts[STREAM] == number and len(issuer.streams) == 1)
            for _ in range(4):
                issuer.move()
                heard(issuer, verifier)
            issuer.cut()
        until(lambda: issuer.counts[STREAM] == 6)
        assert issuer.counts[LOG] == 1

    def test_polling_notices_another_epoch(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(feed_source, "FIRST_BYTES", 0.05)
        issuer.greets = False
        verifier = synced(verifier_of())
        era = feed_of(verifier).line.era
        issuer.restore()
        until(lambda: feed_of(verifier).line.era != era and verifier.state == "synced")
        assert feed_of(verifier).state.head[0] == 2

    def test_after_polling_for_a_while_the_stream_is_tried_again(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(feed_source, "FIRST_BYTES", 0.05)
        issuer.greets = False
        verifier = synced(verifier_of())
        issuer.greets = True
        clock.advance(300)
        until(lambda: issuer.counts[STREAM] == 2 and verifier.state == "synced")

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_verifier_that_was_revoked_decides_nothing(
        self, verifier: Verifier, issuer: FeedIssuer, clock: Clock, jwt: Callable[..., str], status: int
    ) -> None:
        text = jwt()
        verifier.check(text)
        issuer.refuses = status
        issuer.replies[INTROSPECTION] = Reply({"error": "invalid_client"}, status)
        issuer.cut()
        clock.advance(2)
        assert refused(lambda: verifier.check(text)) == "verifier_refused"

    def test_something_else_at_the_address_of_the_stream_is_no_feed(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer, jwt: Callable[..., str]
    ) -> None:
        del issuer.conversations[STREAM]
        issuer.replies[STREAM] = Reply({"hello": "world"})
        verifier = verifier_of()
        assert verifier.check(jwt())
        assert (verifier.state, asked(issuer)) == ("connecting", 1)

    def test_what_is_no_stream_of_events_ends_the_connection_and_nothing_else(
        self, verifier: Verifier, issuer: FeedIssuer
    ) -> None:
        issuer.say(b"x" * 40_000)
        until(lambda: issuer.counts[STREAM] == 2)
        issuer.move()
        until(lambda: len(issuer.streams) == 2)
        heard(issuer, verifier)
        assert verifier.state == "synced"

    def test_a_verifier_is_not_kept_waiting_by_a_feed_that_is_down(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer, jwt: Callable[..., str]
    ) -> None:
        issuer.conversations[LOG] = issuer.conversations[STREAM] = lambda conversation: conversation.send_error(500)
        verifier = verifier_of()
        assert verifier.check(jwt())
        assert verifier.check(KEY)
        assert asked(issuer) == 2

    def test_without_a_thread_the_server_is_asked(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer, jwt: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: object) -> None:
            raise RuntimeError("can't start new thread")

        verifier = verifier_of()
        monkeypatch.setattr(feed_view, "FIRST_WAIT", 0)
        with monkeypatch.context() as patch:
            patch.setattr("threading.Thread.start", full)
            verifier.start()
            feed = Feed(None)  # type: ignore[arg-type]
            feed.follow(verifier)
            assert feed._thread is None
        assert verifier.check(jwt())
        until(lambda: verifier.state == "synced")


class TestIssuersWithoutAFeed:
    def test_nothing_is_different(self, issuer: FeedIssuer, verifier_of: MakeVerifier, jwt: Callable[..., str]) -> None:
        issuer.replies[METADATA] = Reply(Issuer.metadata(issuer))
        verifier = verifier_of(on_stale="refuse")
        text = jwt(pos=...)
        for _ in range(3):
            assert verifier.check(text)
            assert verifier.check(KEY)
        assert (verifier.state, verifier.ready, asked(issuer)) == ("none", True, 2)
        assert not {LOG, STREAM, FEED_JWKS} & set(issuer.counts)

    def test_one_that_is_brought_up_to_date_is_followed_within_the_hour(
        self, issuer: FeedIssuer, verifier_of: MakeVerifier, jwt: Callable[..., str], clock: Clock
    ) -> None:
        issuer.replies[METADATA] = Reply(Issuer.metadata(issuer))
        verifier = verifier_of()
        verifier.check(jwt())
        issuer.replies[METADATA] = Reply(issuer.metadata())
        clock.advance(3600)
        for number in (1, 2):
            verifier.check(jwt(iat=NOW + 3600, exp=NOW + 3900, jti=f"jti_{number}"))
        until(lambda: verifier.state == "synced")

    @pytest.mark.parametrize("revocation", ["introspect", "off"])
    def test_whoever_wants_none_has_none(
        self, issuer: FeedIssuer, verifier_of: MakeVerifier, jwt: Callable[..., str], revocation: str
    ) -> None:
        verifier = verifier_of(revocation=revocation)
        verifier.start()
        assert verifier.check(jwt(pos=...))
        assert (verifier.state, verifier.ready) == ("none", True)
        assert not {LOG, STREAM, FEED_JWKS} & set(issuer.counts)


class TestBeingSeen:
    def test_it_is_ready_when_it_is_synced_and_a_probe_starts_it(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer, clock: Clock
    ) -> None:
        verifier = verifier_of()
        assert (verifier.ready, verifier.state) == (False, "connecting")
        until(lambda: verifier.ready)
        issuer.refuses = 503
        issuer.cut()
        clock.advance(10)
        assert (verifier.ready, verifier.state) == (True, "stale")

    def test_a_server_that_is_away_is_no_reason_to_wait(
        self, verifier_of: MakeVerifier, issuer: FeedIssuer, clock: Clock
    ) -> None:
        issuer.stop()
        verifier = verifier_of()
        assert not verifier.ready
        issuer.start_again()

        def probed() -> bool:
            clock.advance(1)
            return verifier.ready

        until(probed)

    def test_what_it_does_is_counted(
        self, verifier: Verifier, issuer: FeedIssuer, clock: Clock, jwt: Callable[..., str]
    ) -> None:
        for _ in range(3):
            verifier.check(jwt())
        asyncio.run(verifier.acheck(KEY))
        issuer.tell("token", "jti_1")
        heard(issuer, verifier)
        refused(lambda: verifier.check(jwt(jti="jti_1")))
        refused(lambda: asyncio.run(verifier.acheck(jwt(jti="jti_1"))))
        refused(lambda: verifier.check("nonsense"))
        clock.advance(0.5)
        metrics = verifier.metrics()
        assert metrics == verifier.metrics()
        assert metrics == {
            "feed_state": "synced",
            "feed_age_seconds": 0.5,
            "entries": 1,
            "verifications_total": {
                ("jwt", "good"): 3, ("api_key", "good"): 1, ("jwt", "credential_revoked"): 2,
                ("none", "credential_malformed"): 1,
            },
        }  # fmt: skip

    def test_before_it_was_heard_it_has_no_age(self, verifier_of: MakeVerifier) -> None:
        assert verifier_of().metrics() == {
            "feed_state": "connecting", "feed_age_seconds": None, "entries": 0, "verifications_total": {},
        }  # fmt: skip

    def test_checks_of_many_threads_are_all_counted(self, verifier: Verifier, jwt: Callable[..., str]) -> None:
        text = jwt()

        def checks() -> None:
            for _ in range(500):
                verifier.check(text)

        for racer in at_once(*[checks] * 4):
            racer.result(DEADLINE)
        assert verifier.metrics()["verifications_total"] == {("jwt", "good"): 2000}

    def test_the_secret_is_never_shown(
        self, verifier: Verifier, issuer: FeedIssuer, caplog: pytest.LogCaptureFixture
    ) -> None:
        issuer.cut()
        issuer.stop()
        until(lambda: bool(caplog.records))
        shown = repr([vars(verifier), vars(verifier._view), vars(feed_of(verifier)), caplog.text])
        assert "s3cret" not in shown
        assert "czNjcmV0" not in caplog.text
