"""The runner: gather, decide, render, commit, answer; stale facts are gathered again, and nothing else is retried."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.protocol.given import POLICY, refused

from doorward.exchange import ATTEMPTS, Exchange, run
from doorward.protocol.decision import Decision
from doorward.protocol.events import CredentialRefused
from doorward.protocol.moment import Moment, Position
from doorward.protocol.refusal import InvalidClient, InvalidRequest, Refusal
from doorward.protocol.use import Used
from doorward.store.journal import Context
from doorward.store.rows import Stale
from doorward.store.store import Gathered
from doorward.store.writer import Unavailable

RECORD = CredentialRefused("client", "client_1", "client_disabled")
OTHER = CredentialRefused("client", "client_2", "client_disabled")


@dataclass
class PlainStore:
    """Counts its gatherings as facts, and fails to commit as it was told to."""

    outcomes: list[Exception | None] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    gathered: int = 0
    committed: list[tuple[Any, ...]] = field(default_factory=list)
    counted: tuple[Any, ...] = ()
    policy = POLICY

    def now(self) -> int:
        return int(time.time())

    async def gather(self, gather: Callable[[Any, Any], Any], request: Any) -> Gathered[Any]:
        self.gathered += 1
        self.log.append("gather")
        return Gathered(gather(self, request), Position(1, self.gathered), frozenset({f"read/{self.gathered}"}))

    async def commit(self, events: Any, gathered: Any, context: Any, now: int, also: Any = None) -> None:
        self.log.append("commit")
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        self.committed.append((events, gathered, context, now, also))

    def count(self, uses: Any) -> None:
        self.counted += uses


def answer(
    store: PlainStore,
    *decisions: Decision[str] | Exception,
    render: Callable[[str], str] = str.upper,
    also: Callable[[str], Any] = lambda _: None,
    seen: list[tuple[Any, ...]] | None = None,
) -> str:
    """Runs an exchange that decides one after the other of these, the last one again and again."""
    left = list(decisions)

    def decide(*arguments: Any) -> Decision[str]:
        store.log.append("decide")
        if seen is not None:
            seen.append(arguments)
        decision = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(decision, Exception):
            raise decision
        return decision

    def rendered(reply: str) -> str:
        store.log.append("render")
        return render(reply)

    def context(refusal: Refusal | None) -> Context:
        return Context("client_1", "" if refusal is None else refusal.reason)

    exchange: Exchange[Any, Any, str] = Exchange(str, gather, decide)
    return asyncio.run(run(exchange, "request", store, rendered, context, also))  # type: ignore[arg-type]


def gather(reader: Any, request: str) -> tuple[str, int]:
    return request, reader.gathered


# The order


def test_facts_are_gathered_decided_on_rendered_and_committed_in_this_order() -> None:
    store = PlainStore()
    assert answer(store, Decision("yes", (RECORD,))) == "YES"
    assert store.log == ["gather", "decide", "render", "commit"]


def test_a_use_is_counted_once_it_is_answered_and_not_before() -> None:
    use = Used("api_key", "key_1", 1, 0)
    store = PlainStore(outcomes=[Stale()])
    answer(store, Decision("yes", (RECORD,), (use,)))
    assert store.counted == (use,)
    store = PlainStore(outcomes=[Unavailable()])
    with pytest.raises(Unavailable):
        answer(store, Decision("yes", (RECORD,), (use,)))
    assert store.counted == ()


def test_a_decision_is_made_of_request_facts_policy_and_moment() -> None:
    seen: list[tuple[Any, ...]] = []
    before = int(time.time())
    answer(PlainStore(), Decision("yes"), seen=seen)
    ((request, facts, policy, moment),) = seen
    assert (request, facts, policy) == ("request", ("request", 1), POLICY)
    assert isinstance(moment, Moment)
    assert before <= moment.now <= time.time()
    assert moment.position == Position(1, 1)
    assert moment.random(32) != moment.random(32)


def test_events_are_committed_with_the_facts_that_they_rest_on() -> None:
    store = PlainStore()
    seen: list[tuple[Any, ...]] = []
    answer(store, Decision("yes", (RECORD, OTHER)), seen=seen)
    ((events, gathered, context, now, also),) = store.committed
    assert events == (RECORD, OTHER)
    assert gathered == Gathered(("request", 1), Position(1, 1), frozenset({"read/1"}))
    assert context == Context("client_1", "")
    assert now == seen[0][3].now
    assert also is None


def test_without_events_nothing_is_committed() -> None:
    store = PlainStore()
    assert answer(store, Decision("yes")) == "YES"
    assert "commit" not in store.log


# Refusals


def test_a_refusals_events_are_committed_before_it_is_raised() -> None:
    store = PlainStore()
    refusal = InvalidClient("client authentication failed", events=(RECORD,))
    with refused("invalid_client", events=(RECORD,)) as caught:
        answer(store, refusal)
    assert caught.value is refusal
    assert store.log == ["gather", "decide", "commit"]
    ((events, _, context, _, also),) = store.committed
    assert (events, context, also) == ((RECORD,), Context("client_1", "client_unauthenticated"), None)


def test_a_refusal_without_events_commits_nothing() -> None:
    store = PlainStore()
    with refused("invalid_request"):
        answer(store, InvalidRequest("no"))
    assert store.log == ["gather", "decide"]


def test_a_refusal_by_the_renderer_commits_its_own_events_and_not_the_decisions() -> None:
    store = PlainStore()
    refusal = InvalidRequest("the token would be too large", events=(OTHER,))

    def render(_: str) -> str:
        raise refusal

    with refused("invalid_request", events=(OTHER,)):
        answer(store, Decision("yes", (RECORD,)), render=render)
    assert [events for events, *_ in store.committed] == [(OTHER,)]


# Faults


def test_what_cannot_be_rendered_costs_nothing() -> None:
    store = PlainStore()

    def render(_: str) -> str:
        raise ValueError("the signer failed")

    with pytest.raises(ValueError, match="the signer failed"):
        answer(store, Decision("yes", (RECORD,)), render=render)
    assert store.log == ["gather", "decide", "render"]


def test_a_fault_of_the_decision_is_not_taken_for_an_answer() -> None:
    store = PlainStore()
    with pytest.raises(ZeroDivisionError):
        answer(store, ZeroDivisionError())
    assert store.log == ["gather", "decide"]


def test_what_was_not_committed_is_not_sent_and_not_tried_again() -> None:
    store = PlainStore([Unavailable("disk full")])
    with pytest.raises(Unavailable):
        answer(store, Decision("yes", (RECORD,)))
    assert store.log == ["gather", "decide", "render", "commit"]


def test_a_refusal_whose_events_were_not_committed_is_not_sent_either() -> None:
    store = PlainStore([Unavailable("disk full")])
    with pytest.raises(Unavailable):
        answer(store, InvalidClient("no", events=(RECORD,)))
    assert store.committed == []


# Stale facts


def test_facts_gone_stale_are_gathered_and_decided_on_again() -> None:
    store = PlainStore([Stale()])
    seen: list[tuple[Any, ...]] = []
    assert answer(store, Decision("first", (RECORD,)), Decision("second", (OTHER,)), seen=seen) == "SECOND"
    assert store.log == ["gather", "decide", "render", "commit"] * 2
    assert [(facts, moment.position) for _, facts, _, moment in seen] == [
        (("request", 1), Position(1, 1)), (("request", 2), Position(1, 2)),
    ]  # fmt: skip
    assert [events for events, *_ in store.committed] == [(OTHER,)]
    assert store.committed[0][1].position == Position(1, 2)


def test_the_last_attempt_still_counts() -> None:
    assert answer(PlainStore([Stale()] * (ATTEMPTS - 1)), Decision("yes", (RECORD,))) == "YES"


def test_after_the_last_attempt_the_server_says_that_it_cannot() -> None:
    store = PlainStore([Stale()] * (2 * ATTEMPTS))
    with refused("temporarily_unavailable", reason="store_unavailable") as caught:
        answer(store, Decision("yes", (RECORD,)))
    assert caught.value.status == 503
    assert (store.gathered, store.log.count("decide"), store.log.count("commit")) == (ATTEMPTS,) * 3
    assert store.committed == []


def test_a_refusal_on_stale_facts_may_turn_into_an_answer() -> None:
    store = PlainStore([Stale()])
    assert answer(store, InvalidClient("no", events=(RECORD,)), Decision("yes")) == "YES"
    assert store.committed == []


def test_an_answer_on_stale_facts_may_turn_into_a_refusal() -> None:
    store = PlainStore([Stale()])
    with refused("invalid_client", events=(OTHER,)):
        answer(store, Decision("yes", (RECORD,)), InvalidClient("no", events=(OTHER,)))
    assert [events for events, *_ in store.committed] == [(OTHER,)]


# What is written beside the events


def test_what_is_written_beside_the_events_is_made_of_the_answer() -> None:
    store = PlainStore()
    answer(store, Decision("yes", (RECORD,)), also=lambda text: f"keep {text}")
    assert store.committed[0][0] == (RECORD,)
    assert store.committed[0][4] == "keep YES"


def test_it_is_written_even_when_nothing_happened() -> None:
    store = PlainStore()
    answer(store, Decision("yes"), also=lambda text: f"keep {text}")
    assert [(events, also) for events, _, _, _, also in store.committed] == [((), "keep YES")]


def test_what_was_to_be_written_on_stale_facts_is_forgotten() -> None:
    store = PlainStore([Stale()])
    with refused("invalid_request"):
        answer(store, Decision("yes"), InvalidRequest("no"), also=lambda text: f"keep {text}")
    assert store.committed == []
