"""Which answers may be given again: those whose facts are the very same, until one of them ends by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.given import POLICY

from doorward.exchange import Exchange
from doorward.protocol.moment import Position
from doorward.store.memory import Memory, Reader
from doorward.web.warm import LIMIT, Seen, Warm

AT = Position(1, 7)


class Values:
    def __init__(self) -> None:
        self.values: dict[str, tuple[object, tuple[str, ...]]] = {}

    def recall(self, name: Any) -> tuple[object, tuple[str, ...]] | None:
        return self.values.get(name)

    def keep(self, name: str) -> None:
        self.values[name] = (object(), ())


class Store:
    def __init__(self) -> None:
        self.memory, self.is_fresh, self.at, self.policy = Values(), True, 100, POLICY

    def now(self) -> int:
        return self.at


@pytest.fixture
def store() -> Store:
    found = Store()
    found.memory.keep("key")
    found.memory.keep("admin")
    return found


def decided_on(store: Store, *names: str) -> Seen[object]:
    """What is left of a decision on these values of memory."""
    seen: Seen[object] = Seen()
    seen.facts, seen.policy = tuple((name, store.memory.values[name][0]) for name in names), store.policy
    return seen


@pytest.fixture
def warm(store: Store) -> Warm[str]:
    made: Warm[str] = Warm(store)  # type: ignore[arg-type]
    made.keep(b"q", "yes", decided_on(store, "key", "admin"), 110)
    return made


def test_the_same_question_has_the_same_answer(warm: Warm[str]) -> None:
    assert (warm.recall(b"q"), warm.recall(b"other")) == ("yes", None)


@pytest.mark.parametrize("name", ["key", "admin"])
def test_not_when_a_fact_was_read_anew_even_if_it_says_the_same(store: Store, warm: Warm[str], name: str) -> None:
    store.memory.keep(name)
    assert warm.recall(b"q") is None


def test_not_when_a_fact_was_forgotten(store: Store, warm: Warm[str]) -> None:
    store.memory.values.clear()
    assert warm.recall(b"q") is None


def test_not_when_the_journal_is_not_heard(store: Store, warm: Warm[str]) -> None:
    store.is_fresh = False
    assert warm.recall(b"q") is None
    store.is_fresh = True
    assert warm.recall(b"q") == "yes"


def test_not_under_another_policy(store: Store, warm: Warm[str]) -> None:
    store.policy = replace(POLICY)
    assert warm.recall(b"q") is None


def test_not_once_something_of_it_ended_by_itself(store: Store, warm: Warm[str]) -> None:
    store.at = 110
    assert warm.recall(b"q") is None


def test_what_changed_while_it_was_decided_is_not_told_again(store: Store, warm: Warm[str]) -> None:
    before = decided_on(store, "key")
    store.memory.keep("key")
    warm.keep(b"late", "yes", before, 110)
    assert warm.recall(b"late") is None


def test_what_was_read_from_the_database_is_not_kept(store: Store, warm: Warm[str]) -> None:
    warm.keep(b"read", "yes", Seen(), 110)
    assert warm.recall(b"read") is None


def test_it_is_bounded(store: Store, warm: Warm[str]) -> None:
    for number in range(LIMIT):
        warm.keep(b"%d" % number, "yes", decided_on(store, "key"), 110)
    assert (warm.recall(b"q"), warm.recall(b"0")) == (None, "yes")


def watched(reader: Reader) -> Seen[object]:
    seen: Seen[object] = Seen()
    seen.watching(Exchange(str, lambda read, name: read(find, name), find)).gather(reader, "key")
    return seen


def test_what_memory_answered_with_is_what_a_decision_rests_on() -> None:
    memory = Memory(AT)
    value = Value()
    memory.keep((find, "key"), value, AT)
    seen = watched(Reader(memory, POLICY))
    assert (seen.facts, seen.policy) == ((((find, "key"), value),), POLICY)
    assert watched(Reader(memory, POLICY, connection=object(), read_at=AT)).facts is None  # type: ignore[arg-type]


class Value:
    refs = ("key/1",)


def find(*_: object) -> Any:
    raise AssertionError("memory knows it")
