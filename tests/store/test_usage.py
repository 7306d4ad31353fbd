"""Usage in the store: counted in a dictionary, added up by one writer, kept by the hour for a month, and bounded."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.protocol.given import KEY, NOW, kept
from tests.store.committing import Steps, count, read, swept
from tests.store.test_tallies import unavailable

from doorward.protocol.entities import Usage
from doorward.protocol.use import Used
from doorward.store import sweeping, tables, usage
from doorward.store.tallies import Tallies
from doorward.store.usage import HOUR, RETENTION, Counting, Hour

AT = NOW - NOW % HOUR


def used(id_: str = "key_1", number: int = 1, at: int = AT, **more: Any) -> Used:
    return Used("api_key", id_, number, at, account_id="acme", **more)


def add(engine: Engine, *uses: Used) -> None:
    Steps(engine)(partial(usage.add, used=uses))


def hours(engine: Engine, kind: str = "api_key", id_: str = "key_1") -> tuple[Hour, ...]:
    with engine.connect() as connection:
        return usage.hours(connection, kind, id_, 0, 2 * NOW)


def of(engine: Engine, kind: str, id_: str) -> Usage:
    with engine.connect() as connection:
        return usage.of(connection, kind, id_)


def test_hours_of_keys_and_accounts_add_up_by_result(engine: Engine) -> None:
    add(engine, used(number=2), used("key_2"), used(at=AT + HOUR - 1), used(result="credential_expired"))
    add(engine, used(at=AT + HOUR), used(number=3))
    first, refused, second = hours(engine)
    assert (first, second) == (Hour(AT, "active", 6), Hour(AT + HOUR, "active", 1))
    assert refused == Hour(AT, "credential_expired", 1)
    assert hours(engine, "account", "acme") == (Hour(AT, "active", 7), refused, second)


def test_of_tokens_only_the_account_has_hours(engine: Engine) -> None:
    add(engine, Used("grant", "grant_1", 3, AT, account_id="acme"))
    assert hours(engine, "grant", "grant_1") == ()
    assert hours(engine, "account", "acme") == (Hour(AT, "active", 3),)
    assert of(engine, "grant", "grant_1") == Usage(3, AT)


def test_a_refusal_is_no_use(engine: Engine) -> None:
    add(engine, used(result="decoy"))
    assert of(engine, "api_key", "key_1") == Usage()
    assert hours(engine) == (Hour(AT, "decoy", 1),)


def test_where_and_what_last_used_it_is_told_for_key_and_secret(engine: Engine) -> None:
    told = {"secret_id": "secret_1", "address": "192.0.2.7", "user_agent": "curl/8"}
    add(engine, used(at=AT + 9, **told), used(at=AT + 5, secret_id="secret_1", address="192.0.2.1", user_agent="old"))
    for kind, id_ in (("api_key", "key_1"), ("secret", "secret_1"), ("account", "acme")):
        assert of(engine, kind, id_) == Usage(2, AT + 9, "192.0.2.7", "curl/8")
    add(engine, used(at=AT + 10, secret_id="secret_1"))
    assert of(engine, "secret", "secret_1") == Usage(3, AT + 10, "192.0.2.7", "curl/8")
    add(engine, used(at=AT + 10, secret_id="secret_1", address="not\ud800an address", user_agent="b\x00\ud800ad"))
    assert of(engine, "secret", "secret_1") == Usage(4, AT + 10, "192.0.2.7", "bad")


def test_the_uses_of_a_secret_since_it_was_superseded_are_told_apart(engine: Engine) -> None:
    add(engine, used(number=5, secret_id="secret_1"))
    add(engine, used(number=2, secret_id="secret_1", is_old=True), used(secret_id="secret_2"))
    with engine.connect() as connection:
        by_secret = usage.of_kept(connection, [kept(KEY, "key_1", id=f"secret_{number}") for number in (1, 2, 3)])
    assert by_secret == {"secret_1": Usage(7, AT, late_uses=2), "secret_2": Usage(1, AT)}
    assert of(engine, "api_key", "key_1").uses == 8


def test_what_waits_is_written_at_once_and_nothing_of_it_twice(engine: Engine) -> None:
    steps = Steps(engine)
    kept = Tallies(steps)
    for number in range(50):
        kept.usage.count([used(f"key_{number % 5}", at=AT + number)])
    kept.flush_usage()
    kept.flush_usage()
    assert steps.results == [5]
    assert of(engine, "api_key", "key_4") == Usage(10, AT + 49)


def test_what_cannot_be_written_is_written_later(engine: Engine) -> None:
    kept = Tallies(unavailable)
    kept.usage.count([used()])
    kept.flush_usage()
    kept.usage.count([used(at=AT + 1)])
    kept._write = Steps(engine)
    kept.flush_usage()
    assert of(engine, "api_key", "key_1") == Usage(2, AT + 1)


def test_what_was_counted_is_written_when_the_worker_stops(engine: Engine) -> None:
    kept = Tallies(Steps(engine))
    kept.start()
    kept.usage.count([used()])
    kept.stop()
    assert of(engine, "api_key", "key_1").uses == 1


def test_what_waits_is_bounded_and_the_rest_is_counted_as_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "LIMIT", 3)
    counting = Counting()
    counting.count(used(f"key_{number}") for number in (0, 1, 2, 3, 4, 1))
    assert counting.dropped == 2
    assert [one.count for one in counting.take()] == [1, 2, 1]


def test_old_hours_are_swept_and_totals_stay(engine: Engine) -> None:
    add(engine, used(at=AT - RETENTION), used(at=AT - RETENTION + HOUR), used())
    assert count(engine, tables.usage_hours) == 6
    swept(engine, AT + 1)
    assert [hour.at for hour in hours(engine)] == [AT - RETENTION + HOUR, AT]
    assert count(engine, tables.usage_hours) == 4
    assert of(engine, "api_key", "key_1").uses == 3


def test_old_hours_are_swept_step_by_step(engine: Engine) -> None:
    add(engine, *(used(f"key_{number}") for number in range(5)))
    found = [read(engine, lambda connection, _: sweeping.old_hours(AT + 1 + RETENTION, connection, 4), None)]
    assert found == [4]
