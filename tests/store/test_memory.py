"""What a worker remembers is true or forgotten: nothing that was revoked comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import Connection, Engine
from tests.protocol.given import (
    KEY,
    NOW,
    POLICY,
    a_client,
    a_grant,
    a_signing_key,
    a_verifier,
    an_account,
    an_admin_key,
    an_api,
    an_api_key,
    kept,
)  # fmt: skip
from tests.store.committing import a_writer, an_append, commit, head, issued, read, settled
from tests.store.test_events import TOKEN, later

from doorward.protocol import events as e
from doorward.protocol import signing_key_events as s
from doorward.protocol.events import Event
from doorward.protocol.moment import Position
from doorward.store import admin_keys, api_keys, clients, signing_keys, tokens, verifiers
from doorward.store.follower import catch_up
from doorward.store.memory import Memory, Miss, Reader


@dataclass(frozen=True)
class Value:
    text: str
    refs: tuple[str, ...] = ("client/1",)


def at(seq: int, epoch: int = 1) -> Position:
    return Position(epoch, seq)


def a_memory(seq: int = 10, **limits: int) -> Memory:
    memory = Memory(at(seq), **limits)
    memory.keep("known", Value("a"), at(seq))
    return memory


def recalled(memory: Memory, key: str = "known") -> str | None:
    known = memory.recall(key)
    return None if known is None else known[0].text


def test_what_is_kept_is_recalled() -> None:
    assert recalled(a_memory()) == "a"


def test_a_change_of_what_a_value_rests_on_drops_it() -> None:
    memory = a_memory()
    memory.keep("other", Value("b", ("client/2",)), at(10))
    memory.hear(["client/1"], at(11))
    assert (recalled(memory), recalled(memory, "other")) == (None, "b")


@pytest.mark.parametrize("ref", ["client/1", "account/1", "api/1"])
def test_each_thing_that_a_value_rests_on_counts(ref: str) -> None:
    memory = Memory(at(10))
    memory.keep("known", Value("a", ("client/1", "account/1", "api/1")), at(10))
    memory.hear([ref], at(11))
    assert recalled(memory) is None


def test_a_fill_under_way_cannot_resurrect_what_was_revoked() -> None:
    """Read at 10, revoked at 11, and only then kept: by another worker, and by this one."""
    heard, committed = Memory(at(10)), Memory(at(10))
    heard.hear(["client/1"], at(11))
    committed.forget(["client/1"], at(11))
    for memory in (heard, committed):
        memory.keep("known", Value("revoked"), at(10))
        assert recalled(memory) is None
        memory.keep("known", Value("as it is now"), at(11))
        assert recalled(memory) == "as it is now"


def test_a_commit_of_this_worker_is_forgotten_at_once_but_not_heard_yet() -> None:
    """Another's change may lie between, which only the journal tells."""
    memory = a_memory()
    memory.forget(["client/1"], at(12))
    assert recalled(memory) is None
    assert memory.position == at(10)


def test_hearing_what_is_known_already_changes_nothing() -> None:
    memory = a_memory()
    memory.hear([], at(12))
    memory.hear([], at(11))
    assert (memory.position, recalled(memory)) == (at(12), "a")


def test_another_epoch_empties_it() -> None:
    memory = a_memory()
    memory.hear([], at(3, epoch=2))
    assert (memory.position, recalled(memory), len(memory)) == (at(3, epoch=2), None, 0)
    memory.keep("known", Value("of the old epoch"), at(99))
    assert recalled(memory) is None


@pytest.mark.parametrize("heard", [at(11), at(3, epoch=2)])
def test_a_change_is_counted_once_what_it_ends_is_gone(heard: Position) -> None:
    """Or who decides in between would keep the old answer under the new number."""
    memory = a_memory()
    seen: list[int] = []

    class Watched(dict[Any, Any]):
        def pop(self, *arguments: Any) -> Any:
            seen.append(memory.changes)
            return super().pop(*arguments)

        def clear(self) -> None:
            seen.append(memory.changes)
            super().clear()

    memory._values = Watched(memory._values)
    memory.hear(["client/1"], heard)
    assert seen[0] == 0
    assert recalled(memory) is None
    assert memory.changes > 0


def test_the_limit_drops_the_oldest() -> None:
    memory = Memory(at(10), limit=3)
    for number in range(5):
        memory.keep(number, Value(str(number)), at(10))
    assert [recalled(memory, number) for number in range(5)] == [None, None, "2", "3", "4"]  # type: ignore[arg-type]
    assert len(memory) == 3


def test_keeping_again_replaces_the_value_and_what_it_rests_on() -> None:
    memory = Memory(at(10), limit=2)
    memory.keep("other", Value("b", ("client/2",)), at(10))
    memory.keep("known", Value("a"), at(10))
    memory.keep("known", Value("c", ("client/3",)), at(10))
    assert (recalled(memory), recalled(memory, "other")) == ("c", "b")
    memory.hear(["client/1"], at(11))
    assert recalled(memory) == "c"
    memory.hear(["client/3"], at(12))
    assert recalled(memory) is None


def test_what_was_dropped_leaves_nothing_behind() -> None:
    memory = Memory(at(10), limit=2)
    for number in range(9):
        memory.keep(number, Value("a", (f"client/{number}", "account/1")), at(10))
    memory.hear(["account/1"], at(11))
    assert len(memory) == 0
    assert memory._keys_by_ref == {}


# The reader ---------------------------------------------------------------------------------------------------


def nobody(connection: Connection, key: str) -> Value | None:
    raise AssertionError("the database was asked")


def test_memory_answers_without_a_connection() -> None:
    memory = Memory(at(10))
    memory.keep((nobody, "1"), Value("a"), at(10))
    reader = Reader(memory, POLICY)
    assert reader(nobody, "1") == Value("a")
    assert (reader.position, reader.refs) == (at(10), {"client/1"})


def test_without_a_connection_what_is_not_remembered_is_a_miss() -> None:
    with pytest.raises(Miss):
        Reader(Memory(at(10)), POLICY)(nobody, "1")


def test_the_position_is_that_of_the_oldest_of_the_facts() -> None:
    connection: Any = object()
    assert Reader(Memory(at(10)), POLICY, connection, at(12)).position == at(10)
    assert Reader(Memory(at(12)), POLICY, connection, at(10)).position == at(10)
    assert Reader(Memory(at(12, epoch=1)), POLICY, connection, at(3, epoch=2)).position == at(12, epoch=1)


def test_what_is_absent_is_asked_again_each_time(engine: Engine) -> None:
    memory = Memory(head(engine).position)
    with engine.connect() as connection:
        reader = Reader(memory, POLICY, connection, memory.position)
        assert reader(clients.by_id, "client_1") is None
    assert len(memory) == 0


# Coherence: whatever happens, what is remembered is what the database says --------------------------------------

Find = Callable[[Connection, Any], Any]

HOT: tuple[tuple[Find, Any], ...] = (
    (clients.by_id, "client_1"),
    (api_keys.by_secret_id, kept(KEY, "key_1").id),
    (api_keys.by_mac, kept(KEY, "key_1").mac),
    (admin_keys.by_secret_id, an_admin_key().secret.id),
    (verifiers.by_id, "verifier_1"),
    (signing_keys.published, "all"),
    (tokens.by_jti, ("token_1", "grant_api_1")),
    (tokens.opaque_by_id, "opaque_1"),
    (tokens.opaque_by_mac, b"a mac"),
)  # fmt: skip

CHANGES: tuple[Event, ...] = (
    e.ApiUpdated(later(an_api(), token_lifetime=60)),
    e.AccountUpdated(later(an_account(), state="suspended")),
    e.ApiKeyUpdated(later(an_api_key(), name="other")),
    e.ApiKeyRevoked(later(an_api_key(), state="revoked", revoked_at=NOW)),
    e.ClientUpdated(later(a_client().client, state="disabled")),
    e.ClientDeleted(later(a_client().client, state="deleted")),
    e.GrantCreated(a_grant(id="grant_2").grant),
    e.GrantChanged(later(a_grant().grant, scope=frozenset({"read"}))),
    e.GrantRevoked(later(a_grant().grant, revoked_at=NOW)),
    e.VerifierRevoked(later(a_verifier().verifier, state="revoked", revoked_at=NOW)),
    e.AdminKeyRevoked(later(an_admin_key().admin_key, state="revoked", revoked_at=NOW)),
    s.SigningKeyCreated(replace(a_signing_key("signing_2"), state="pending")),
    e.TokenRevoked("token_1", NOW + 300, opaque=False, api_id="api_1"),
    e.TokenRevoked("opaque_1", NOW + 300, opaque=True, api_id="api_1"),
)  # fmt: skip


def filled(engine: Engine) -> Memory:
    memory = Memory(head(engine).position)
    with engine.connect() as connection:
        reader = Reader(memory, POLICY, connection, memory.position)
        for find, key in HOT:
            assert reader(find, key) is not None
    assert len(memory) == len(HOT)
    return memory


def shown(value: Any) -> Any:
    """Verification keys have no equality."""
    return value.keys if isinstance(value, signing_keys.SigningKeys) else value


def lies(engine: Engine, memory: Memory) -> list[str]:
    """What is remembered otherwise than the database has it."""
    return [
        find.__name__
        for find, key in HOT
        if (known := memory.recall((find, key))) is not None and shown(known[0]) != shown(read(engine, find, key))
    ]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: type(change).__name__)
def test_no_change_leaves_a_lie_in_any_memory(engine: Engine, change: Event) -> None:
    settled(engine)
    assert commit(engine, s.SigningKeyCreated(a_signing_key()), issued("opaque_1", opaque_token=TOKEN)) == ""
    own, other = filled(engine), filled(engine)
    before = [shown(read(engine, find, key)) for find, key in HOT]
    a_writer(engine, own).commit([an_append(change, at=head(engine).change_seq)])
    assert [shown(read(engine, find, key)) for find, key in HOT] != before
    assert lies(engine, own) == []
    assert lies(engine, other) != []
    with engine.connect() as connection:
        catch_up(connection, other)
    assert lies(engine, other) == []
