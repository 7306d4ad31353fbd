"""When a verifier may believe its feed: each rule of the table, and no order of events that hides a gap."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.verify.issuing import NOW

from doorward_verify import feed_state
from doorward_verify.feed_state import Heartbeat, Message, Polled, Snapshot, State, hear, joined
from doorward_verify.revocations import Entry, Position

STALENESS = 2.0
UPTIME = 1000.0


def an_entry(position: Position, previous: Position) -> Entry:
    return Entry(position, previous, "token", "jti_1", True, NOW)


def a_heartbeat(position: Position = (1, 12), last: Position = (1, 11), issued_at: int = NOW) -> Heartbeat:
    return Heartbeat(position, last, issued_at)


def after(*messages: Message, state: State | None = None, now: float = UPTIME) -> State:
    """The state after these, all of which were good."""
    state = state or State()
    for message in messages:
        state, verdict = hear(state, message, now)
        assert verdict == "good", message
    return state


def synced() -> State:
    """A snapshot at 10, an entry at 11, and a heartbeat at 12."""
    return after(an_entry((1, 11), (1, 10)), a_heartbeat(), state=joined(after(Snapshot((1, 10)))))


class TestTheWay:
    def test_it_connects_until_a_heartbeat_vouches_for_the_snapshot(self) -> None:
        assert State().phase(UPTIME, STALENESS) == "connecting"
        snapshot = after(Snapshot((1, 10)))
        assert snapshot.phase(UPTIME, STALENESS) == "connecting"
        assert after(an_entry((1, 11), (1, 10)), state=snapshot).phase(UPTIME, STALENESS) == "connecting"
        assert after(a_heartbeat(last=(1, 10)), state=snapshot).phase(UPTIME, STALENESS) == "synced"

    def test_it_is_stale_when_no_heartbeat_came_for_so_long(self) -> None:
        assert [synced().phase(UPTIME + age, STALENESS) for age in (0, 1.99, 2)] == ["synced", "synced", "stale"]

    def test_entries_alone_do_not_keep_it_fresh(self) -> None:
        state = after(an_entry((1, 13), (1, 11)), state=synced(), now=UPTIME + 2)
        assert state.phase(UPTIME + 2, STALENESS) == "stale"

    def test_a_heartbeat_makes_it_fresh_again(self) -> None:
        state = after(a_heartbeat(issued_at=NOW + 60), state=synced(), now=UPTIME + 60)
        assert state.phase(UPTIME + 60, STALENESS) == "synced"

    def test_it_goes_on_behind_all_that_is_known_to_be_complete(self) -> None:
        assert synced().resume == (1, 12)
        assert after(an_entry((1, 15), (1, 11)), state=synced()).resume == (1, 15)
        assert joined(synced()).last == (1, 12)

    def test_a_new_connection_goes_on_without_a_gap(self) -> None:
        state = after(an_entry((1, 14), (1, 12)), a_heartbeat((1, 20), (1, 14)), state=joined(synced()))
        assert state.phase(UPTIME, STALENESS) == "synced"

    def test_an_answer_to_a_poll_vouches_from_when_it_was_true(self) -> None:
        state = after(Polled((1, 15), UPTIME + 3), state=joined(synced()), now=UPTIME + 4)
        assert (state.head, state.vouched_at) == ((1, 15), UPTIME + 3)
        assert after(Polled((1, 15), UPTIME), state=state).vouched_at == UPTIME + 3


class TestTheTable:
    @pytest.mark.parametrize(
        ("message", "verdict"),
        [
            (Snapshot((2, 1)), "good"),
            (an_entry((1, 13), (1, 11)), "good"),
            (an_entry((1, 13), (1, 10)), "gap"),
            (an_entry((1, 13), (1, 12)), "gap"),
            (an_entry((1, 11), (1, 11)), "gap"),
            (an_entry((1, 9), (1, 11)), "gap"),
            (an_entry((2, 13), (1, 11)), "gap"),
            (a_heartbeat((1, 12)), "good"),
            (a_heartbeat((1, 99)), "good"),
            (a_heartbeat((1, 11)), "old"),
            (a_heartbeat((1, 12), issued_at=NOW - 1), "old"),
            (a_heartbeat((0, 99), (0, 99)), "old"),
            (a_heartbeat((1, 13), (1, 13)), "gap"),
            (a_heartbeat((1, 13), (1, 10)), "gap"),
            (a_heartbeat((2, 1), (2, 1)), "gap"),
            (a_heartbeat((2, 1), (1, 11)), "gap"),
            (Polled((1, 12), UPTIME), "good"),
            (Polled((1, 11), UPTIME), "old"),
            (Polled((2, 1), UPTIME), "gap"),
        ],
        ids=str,
    )
    def test_each_message_to_a_synced_feed(self, message: Message, verdict: str) -> None:
        state, found = hear(synced(), message, UPTIME + 1)
        assert found == verdict
        if verdict == "gap":
            assert state == State()
            assert state.phase(UPTIME, STALENESS) == "connecting"
        if verdict == "old":
            assert state == synced()

    @pytest.mark.parametrize(
        "message", [an_entry((1, 1), (1, 0)), a_heartbeat(), Polled((1, 1), UPTIME)], ids=lambda one: type(one).__name__
    )
    def test_before_a_snapshot_nothing_is_believed(self, message: Message) -> None:
        assert hear(State(), message, UPTIME) == (State(), "gap")

    def test_a_head_that_is_behind_the_last_entry_is_no_head(self) -> None:
        state = after(an_entry((1, 15), (1, 11)), state=synced())
        assert hear(state, a_heartbeat((1, 14), (1, 15)), UPTIME)[1] == "gap"
        assert hear(state, Polled((1, 14), UPTIME), UPTIME)[1] == "gap"

    def test_every_kind_of_message_has_its_rules(self) -> None:
        assert set(feed_state.RULES) == {Snapshot, Entry, Heartbeat, Polled}


class TestLateHeartbeats:
    """A heartbeat that was held back, or is repeated, does not make old news fresh."""

    def heard(self, arrived: float, issued: float) -> float:
        """How old the feed is just after a heartbeat that arrived and was issued so long after the first one."""
        now = UPTIME + arrived
        return now - after(a_heartbeat(issued_at=NOW + int(issued)), state=synced(), now=now).vouched_at

    @pytest.mark.parametrize("seconds", [0, 1, 60, 3600])
    def test_one_that_is_in_time_is_fresh(self, seconds: int) -> None:
        assert self.heard(seconds, seconds) == 0

    def test_whole_seconds_are_forgiven(self) -> None:
        assert self.heard(10.9, 10) == 0

    @pytest.mark.parametrize("delay", [5, 60, 3600])
    def test_one_that_was_held_back_is_as_old_as_it_is(self, delay: int) -> None:
        assert delay - 1 >= self.heard(10 + delay, 10) >= (delay - 1) * (1 - 20 * feed_state.DRIFT)

    def test_one_that_is_repeated_for_ever_is_stale_after_a_while(self) -> None:
        state = synced()
        for seconds in range(1, 10):
            state = after(a_heartbeat(), state=state, now=UPTIME + seconds)
        assert state.phase(UPTIME + 9, STALENESS) == "stale"

    @pytest.mark.parametrize("drift", [0.9995, 1.0005])
    def test_clocks_that_drift_apart_are_no_delay(self, drift: float) -> None:
        assert self.heard(86_400, 86_400 * drift) == 0

    def test_a_server_whose_clock_was_put_back_is_believed_after_the_next_connection(self) -> None:
        before = a_heartbeat(issued_at=NOW - 3600)
        assert hear(synced(), before, UPTIME + 1)[1] == "old"
        state = after(a_heartbeat(last=(1, 12), issued_at=NOW - 3600), state=joined(synced()), now=UPTIME + 5)
        assert state.phase(UPTIME + 5, STALENESS) == "synced"


class Told:
    """A server that tells everything in order: what it says, message by message."""

    def __init__(self) -> None:
        self.head, self.last = (1, 10), (1, 10)
        self.messages: list[Message] = []

    def entry(self) -> None:
        before, self.head = self.last, (1, self.head[1] + 1)
        self.last = self.head
        self.messages.append(an_entry(self.head, before))

    def elsewhere(self) -> None:
        self.head = (1, self.head[1] + 1)

    def heartbeat(self) -> None:
        self.messages.append(a_heartbeat(self.head, self.last, NOW + len(self.messages)))


WISHES = st.lists(st.sampled_from(["entry", "elsewhere", "heartbeat"]), max_size=20)


def told(wishes: list[str]) -> list[Message]:
    server = Told()
    for wish in [*wishes, "heartbeat"]:
        getattr(server, wish)()
    return server.messages


def verdicts(messages: list[Message]) -> list[str]:
    state, found = joined(after(Snapshot((1, 10)))), []
    for message in messages:
        state, verdict = hear(state, message, UPTIME)
        found.append(verdict)
        if verdict == "gap":
            break
    return found


@given(WISHES)
def test_whoever_hears_everything_never_begins_anew(wishes: list[str]) -> None:
    assert set(verdicts(told(wishes))) == {"good"}


@given(WISHES, st.data())
def test_whoever_misses_an_entry_notices_by_the_next_message_that_is_good_for_anything(
    wishes: list[str], data: st.DataObject
) -> None:
    messages = told(wishes)
    entries = [at for at, message in enumerate(messages) if isinstance(message, Entry)]
    if not entries:
        return
    missed = data.draw(st.sampled_from(entries))
    found = verdicts(messages[:missed] + messages[missed + 1 :])
    assert found == ["good"] * missed + ["gap"]


@given(WISHES, st.data())
def test_no_order_and_no_repetition_vouches_for_a_log_with_a_hole(wishes: list[str], data: st.DataObject) -> None:
    """Whatever is dropped, repeated and mixed: who is synced has every entry up to the head that was vouched for."""
    messages = told(wishes)
    heard = data.draw(st.lists(st.sampled_from(messages), max_size=30))
    state, have = joined(after(Snapshot((1, 10)))), set[Any]()
    every = {message.position for message in messages if isinstance(message, Entry)}
    for message in heard:
        state, verdict = hear(state, message, UPTIME)
        if verdict == "gap":
            assert state.vouched_at == -math.inf
            break
        if isinstance(message, Entry):
            have.add(message.position)
        if state.vouched_at > -math.inf:
            assert {position for position in every if position <= state.head} <= have
