"""What was used is told now and then: counted by every thread, lost by none, and never waited for by a check."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.verify.asking import KEY, OPAQUE, OTHER_KEY, TEST_KEY, MakeVerifier, active, refused
from tests.verify.feed_server import FeedIssuer
from tests.verify.issuer_server import INTROSPECTION, METADATA, Question, Reply, inactive
from tests.verify.issuing import AUDIENCE, ec_key, jwks, token
from tests.verify.waiting import Clock, until

from doorward_verify import usage
from doorward_verify.arrival import Arrival
from doorward_verify.errors import Unavailable
from doorward_verify.usage import INTERVAL, Batch, Name, Usage
from doorward_verify.verified import Verified

USAGE = "/usage"


def verified(key_id: str | None = "key_1", grant_id: str | None = None) -> Verified:
    return Verified(
        "api_key" if key_id else "jwt", "acme", "acme", None, key_id, frozenset(), AUDIENCE, "live", None, grant_id
    )  # fmt: skip


@dataclass
class Server:
    """Adds up what it takes; `refuses` so many batches first."""

    refuses: int = 0
    batches: list[Batch] = field(default_factory=list)

    def __call__(self, batch: Batch) -> None:
        if self.refuses:
            self.refuses -= 1
            raise Unavailable("not now")
        self.batches.append(batch)

    @property
    def sums(self) -> Counter[tuple[str, str]]:
        return Counter(
            {
                (kind, id_): sum(one["count"] for batch in self.batches for one in batch if one["id"] == id_)
                for kind, id_ in {(one["kind"], one["id"]) for batch in self.batches for one in batch}
            }
        )


def used(server: Server, **times: int) -> Usage:
    counting = Usage(server)
    for name, number in times.items():
        for _ in range(number):
            counting.count(verified(name))
    return counting


class TestCounting:
    def test_keys_and_grants_are_counted_each_by_its_id(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("doorward_verify.usage.time.time", lambda: 1_800_000_000.9)
        server = Server()
        counting = used(server, key_1=3, key_2=1)
        for _ in range(2):
            counting.count(verified(None, "grant_1"))
        counting.count(verified(None, None))
        counting.send()
        assert server.batches == [
            [
                {"kind": "api_key", "id": "key_1", "count": 3, "last_used_at": 1_800_000_000},
                {"kind": "api_key", "id": "key_2", "count": 1, "last_used_at": 1_800_000_000},
                {"kind": "grant", "id": "grant_1", "count": 2, "last_used_at": 1_800_000_000},
            ]
        ]

    def test_what_was_told_is_not_told_again(self) -> None:
        server = Server()
        counting = used(server, key_1=3)
        for _ in range(3):
            counting.send()
        counting.count(verified())
        counting.send()
        assert [[one["count"] for one in batch] for batch in server.batches] == [[3], [1]]

    def test_no_use_is_lost_whatever_threads_do_meanwhile(self) -> None:
        """Periods end as quickly as they can while every thread gets a turn in each of them."""
        server, names = Server(), [f"key_{number}" for number in range(5)]
        counting, turns = Usage(server), [0] * 4

        def use(number: int) -> None:
            for _ in range(40_000):
                for name in names:
                    counting.count(verified(name))
                turns[number] += 1

        users = [threading.Thread(target=use, args=(number,)) for number in range(4)]
        for thread in users:
            thread.start()
        while any(thread.is_alive() for thread in users):
            counting.send()
            before = list(turns)
            until(lambda before=before: all(now > old or now == 40_000 for now, old in zip(turns, before, strict=True)))  # type: ignore[misc]
        counting.send()
        counting.send()
        assert len(server.batches) > 3
        assert server.sums == {("api_key", name): 160_000 for name in names}

    def test_who_had_a_count_in_his_hand_when_a_period_ended_is_told_with_the_next(self) -> None:
        server = Server()
        counting = used(server, key_1=2)
        in_hand = counting._uses[Name("key_1", None, "active")]
        counting.send()
        next(in_hand)
        counting.send()
        assert server.sums == {("api_key", "key_1"): 3}

    def test_what_is_counted_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(usage, "LIMIT", 3)
        server = Server()
        counting = used(server, a=1, b=1, c=1, d=2, e=1)
        counting.count(verified("a"))
        assert counting.dropped == 3
        counting.send()
        assert server.sums == {("api_key", "a"): 2, ("api_key", "b"): 1, ("api_key", "c"): 1}

    def test_each_secret_and_each_result_is_told_as_it_was_shown_last(self) -> None:
        server = Server()
        counting = Usage(server)
        for agent in ("curl/7", "curl/8" + "x" * 500):
            counting.count(of_secret("secret_1"), "192.0.2.7", agent)
        counting.count(of_secret("secret_2"))
        counting.count(of_secret("secret_2"), "198.51.100.1", None, "network_not_allowed")
        counting.send()
        (batch,) = server.batches
        told = [{name: one[name] for name in one.keys() - {"kind", "id", "last_used_at"}} for one in batch]
        assert told == [
            {"count": 2, "secret_id": "secret_1", "address": "192.0.2.7", "user_agent": ("curl/8" + "x" * 500)[:200]},
            {"count": 1, "secret_id": "secret_2"},
            {"count": 1, "secret_id": "secret_2", "address": "198.51.100.1", "result": "network_not_allowed"},
        ]

    def test_where_it_came_from_is_kept_with_what_the_server_did_not_take(self) -> None:
        server = Server(refuses=1)
        counting = Usage(server)
        counting.count(of_secret("secret_1"), "192.0.2.7", "curl/8")
        counting.send()
        counting.count(of_secret("secret_1"))
        counting.send()
        ((one,),) = server.batches
        assert (one["count"], one["address"], one["user_agent"]) == (2, "192.0.2.7", "curl/8")


def of_secret(id_: str) -> Verified:
    return replace(verified(), claims={"secret_id": id_})


class TestSending:
    def test_a_batch_is_no_larger_than_the_server_takes(self) -> None:
        server = Server()
        counting = Usage(server)
        for number in range(499):
            counting.count(of_secret(f"secret_{number}"), "2001:db8::1", "\x80" * 200)
        counting.send()
        assert all(len(json.dumps({"usage": batch})) < 64 * 1024 for batch in server.batches)
        assert sum(map(len, server.batches)) == 499

    def test_many_go_in_batches_that_the_server_takes(self) -> None:
        server = Server()
        used(server, **{f"key_{number}": 1 for number in range(1_201)}).send()
        assert [len(batch) for batch in server.batches] == [500, 500, 201]

    def test_what_was_not_taken_is_added_to_what_comes_next(self) -> None:
        server = Server(refuses=2)
        counting = used(server, key_1=3)
        counting.send()
        counting.count(verified())
        counting.send()
        assert server.batches == []
        assert counting.is_waiting
        counting.send()
        assert server.sums == {("api_key", "key_1"): 4}
        assert not counting.is_waiting

    def test_of_several_batches_those_that_were_taken_are_not_repeated(self) -> None:
        server = Server()
        counting = Usage(lambda batch: _second_fails(server, batch))
        for number in range(600):
            counting.count(verified(f"key_{number}"))
        counting.send()
        counting.send()
        assert set(server.sums.values()) == {1}
        assert len(server.sums) == 600

    def test_what_waits_for_a_server_that_is_gone_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(usage, "LIMIT", 3)
        counting = Usage(Server(refuses=1_000))
        for number in range(9):
            counting.count(verified(f"key_{number}"))
            counting.send()
        assert len(counting._unsent) == 3
        assert counting.dropped == 6

    def test_it_is_sent_when_it_is_time_and_something_was_used(self, clock: Clock) -> None:
        server = Server()
        counting = Usage(server, clock.monotonic)
        clock.advance(INTERVAL)
        counting.send_soon()
        counting.count(verified())
        for _ in range(9):
            counting.send_soon()
            clock.advance(INTERVAL / 10)
        assert server.batches == []
        clock.advance(INTERVAL / 10)
        counting.send_soon()
        until(lambda: server.sums == {("api_key", "key_1"): 1})

    def test_while_one_sends_nobody_waits_for_it(self) -> None:
        began, goes_on = threading.Event(), threading.Event()

        def tell(_: Batch) -> None:
            began.set()
            goes_on.wait(30)

        counting = Usage(tell)
        counting.count(verified())
        sender = threading.Thread(target=counting.send)
        sender.start()
        assert began.wait(30)
        counting.send()
        counting.count(verified())
        goes_on.set()
        sender.join()
        assert counting.is_waiting

    def test_without_a_thread_it_is_sent_another_time(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(_: object) -> None:
            raise RuntimeError("can't start new thread")

        server = Server()
        counting = Usage(server, clock.monotonic)
        counting.count(verified())
        clock.advance(INTERVAL)
        with monkeypatch.context() as patch:
            patch.setattr("threading.Thread.start", full)
            counting.send_soon()
        counting.send()
        assert server.sums == {("api_key", "key_1"): 1}

    def test_a_forked_child_leaves_what_its_parent_counted_to_it(self) -> None:
        server = Server()
        counting = used(server, key_1=3)
        counting.after_fork()
        counting.send()
        assert server.batches == []


def _second_fails(server: Server, batch: Batch) -> None:
    server(batch)
    server.refuses = 1 if len(server.batches) == 1 else 0


class Told(FeedIssuer):
    """An issuer with a feed that wants to know what was used."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(now)
        self.usage: list[tuple[str | None, Any]] = []
        self.answers = 200
        self.replies[USAGE] = self._take

    def _take(self, question: Question) -> Reply:
        self.usage.append((self.authorizations[-1], json.loads(question["json"])))
        return Reply({}, self.answers)

    def metadata(self, **changes: Any) -> dict[str, Any]:
        return super().metadata(**{"usage_endpoint": self.origin + USAGE, **changes})

    @property
    def sums(self) -> dict[str, int]:
        sums: Counter[str] = Counter()
        for _, body in self.usage:
            for one in body["usage"]:
                sums[one["id"]] += one["count"]
        return dict(sums)


@pytest.fixture
def issuer(clock: Clock) -> Iterator[Told]:
    running = Told(clock.wall)
    running.publish(jwks(ec_key()))
    running.replies[INTROSPECTION] = lambda _: active(position=running.head)
    yield running
    running.cut()
    running.stop()


def a_token(issuer: Told) -> str:
    return token(iss=issuer.url, pos=issuer.head, grant_id="grant_1")


class TestAVerifier:
    def time_passes(self, issuer: Told, clock: Clock) -> None:
        clock.advance(INTERVAL)
        issuer.beat()

    def test_tells_what_it_let_in_with_its_feed(self, verifier_of: MakeVerifier, issuer: Told, clock: Clock) -> None:
        verifier = verifier_of()
        for _ in range(3):
            verifier.check(KEY)
        for _ in range(2):
            verifier.check(a_token(issuer))
        assert issuer.usage == []
        self.time_passes(issuer, clock)
        until(lambda: issuer.sums == {"key_1": 3, "grant_1": 2})
        assert {authorization for authorization, _ in issuer.usage} == {"Basic dmVyaWZpZXJfMTpzM2NyZXQ="}

    def test_says_that_it_reports_so_that_a_question_is_not_counted_as_well(
        self, verifier_of: MakeVerifier, issuer: Told
    ) -> None:
        asked: list[Question] = []
        issuer.replies[INTROSPECTION] = lambda question: asked.append(question) or active(position=issuer.head)  # type: ignore[func-returns-value]
        verifier_of().check(KEY)
        verifier_of(revocation="introspect").check(KEY)
        assert [question.get("usage") for question in asked] == ["reported", None]

    def test_tells_of_a_key_that_came_from_a_network_which_it_may_not(
        self, verifier_of: MakeVerifier, issuer: Told
    ) -> None:
        bound = active(position=issuer.head, networks=["192.0.2.0/24"], secret_id="secret_1")
        issuer.replies[INTROSPECTION] = lambda _: bound
        verifier = verifier_of()
        assert refused(lambda: verifier.check(KEY, "198.51.100.1", user_agent="curl/8")) == "network_not_allowed"
        verifier.check(KEY, "192.0.2.7", user_agent="curl/8")
        verifier.close()
        told = [one for _, body in issuer.usage for one in body["usage"]]
        assert [(one.get("result"), one["address"], one["secret_id"]) for one in told] == [
            ("network_not_allowed", "198.51.100.1", "secret_1"), (None, "192.0.2.7", "secret_1"),
        ]  # fmt: skip

    def test_tells_of_a_key_that_came_in_a_way_which_its_api_does_not_take(
        self, verifier_of: MakeVerifier, issuer: Told
    ) -> None:
        taken = active(position=issuer.head, transports=["header"], secret_id="secret_1")
        issuer.replies[INTROSPECTION] = lambda _: taken
        verifier = verifier_of()
        assert refused(lambda: verifier.check(KEY, arrival=Arrival("query"))) == "transport_not_allowed"
        verifier.close()
        told = [one for _, body in issuer.usage for one in body.get("usage", ())]
        assert [(one.get("result"), one["count"]) for one in told] == [("transport_not_allowed", 1)]

    def test_does_not_tell_of_what_it_refused(self, verifier_of: MakeVerifier, issuer: Told) -> None:
        verifier = verifier_of()
        verifier.check(KEY)
        assert refused(lambda: verifier.check("nonsense")) == "credential_malformed"
        assert refused(lambda: verifier.check(TEST_KEY)) == "wrong_environment"
        issuer.replies[INTROSPECTION] = inactive
        assert refused(lambda: verifier.check(OTHER_KEY)) == "credential_unknown"
        verifier.close()
        assert issuer.sums == {"key_1": 1}

    def test_tells_the_rest_when_it_is_closed(self, verifier_of: MakeVerifier, issuer: Told) -> None:
        verifier = verifier_of()
        verifier.check(OPAQUE)
        verifier.close()
        assert issuer.sums == {"key_1": 1}

    def test_shares_its_counts_with_those_that_share_its_feed(self, verifier_of: MakeVerifier, issuer: Told) -> None:
        first, second = verifier_of(), verifier_of()
        first.check(KEY)
        second.check(KEY)
        first.close()
        assert issuer.usage == []
        second.close()
        assert issuer.sums == {"key_1": 2}

    @pytest.mark.parametrize(("status", "is_kept"), [(503, True), (401, True), (429, True), (400, False), (404, False)])
    def test_tells_again_what_the_server_could_not_take_and_nothing_that_it_will_not(
        self, verifier_of: MakeVerifier, issuer: Told, clock: Clock, status: int, is_kept: bool
    ) -> None:
        verifier = verifier_of()
        verifier.check(KEY)
        issuer.answers = status
        self.time_passes(issuer, clock)
        until(lambda: len(issuer.usage) == 1)
        issuer.answers, issuer.usage = 200, []
        verifier.check(KEY)
        until(lambda: verifier._view.feed.usage._sending.acquire(blocking=False))  # type: ignore[attr-defined]
        verifier._view.feed.usage._sending.release()  # type: ignore[attr-defined]
        verifier.close()
        assert issuer.sums == {"key_1": 2 if is_kept else 1}

    @pytest.mark.parametrize("revocation", ["off", "introspect"])
    def test_tells_nothing_without_the_feed(
        self, verifier_of: MakeVerifier, issuer: Told, clock: Clock, revocation: str
    ) -> None:
        verifier = verifier_of(revocation=revocation)
        verifier.check(a_token(issuer))
        clock.advance(INTERVAL)
        verifier.check(a_token(issuer))
        verifier.close()
        assert issuer.counts[USAGE] == 0

    def test_tells_nothing_to_a_server_that_does_not_want_to_know(
        self, verifier_of: MakeVerifier, issuer: Told
    ) -> None:
        issuer.replies[METADATA] = Reply(issuer.metadata(usage_endpoint=None))
        verifier = verifier_of()
        verifier.check(KEY)
        verifier.close()
        assert issuer.counts[USAGE] == 0
