"""How attempts to sign in are counted: exactly, apart where somebody is known, and never as a lock for good (T146)."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine
from tests.protocol.given import NOW
from tests.store.committing import rows, settled

from doorward.protocol import sign_in
from doorward.store import attempts, tables
from doorward.store.attempts import LONGEST_WAIT, PER_ACCOUNT, PER_ADDRESS, PER_CREDENTIAL, Admitted


def attempt(
    engine: Engine, username: str = "ada", address: str = "198.51.100.7", credential: str = "x", now: int = NOW
) -> Admitted:
    with engine.begin() as connection:
        about = sign_in.attempt(username, address, credential)
        return attempts.admit(connection, about, username, now)


def waits(engine: Engine, number: int, **fields: str) -> list[int]:
    return [attempt(engine, **{name: text.format(n) for name, text in fields.items()}).wait for n in range(number)]


@pytest.mark.parametrize(
    ("free", "fields"),
    [
        (PER_ACCOUNT, {"address": "198.51.100.{}", "credential": "{}"}),
        (PER_ADDRESS, {"username": "user{}", "credential": "{}"}),
        (PER_CREDENTIAL, {"username": "user{}", "address": "198.51.100.{}"}),
    ],
    ids=["account", "address", "credential"],
)
def test_each_of_the_three_is_counted_for_itself(engine: Engine, free: int, fields: dict[str, str]) -> None:
    assert waits(engine, free + 2, **fields) == [*[0] * free, 15, 15]


def test_whoever_must_wait_is_not_counted_and_each_further_attempt_makes_the_next_wait_longer(engine: Engine) -> None:
    assert waits(engine, PER_ACCOUNT) == [0] * PER_ACCOUNT
    now, waited = NOW, []
    for _ in range(9):
        waited.append(attempt(engine, now=now).wait)
        now += waited[-1]
        assert attempt(engine, now=now).wait == 0
    assert waited == [15, 30, 60, 120, 240, 480, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]


def test_after_a_quiet_time_all_is_forgotten(engine: Engine) -> None:
    waits(engine, PER_ACCOUNT)
    assert attempt(engine, now=NOW + 14).wait == 1
    assert attempt(engine, now=NOW + 15 + attempts.FORGOTTEN_AFTER).wait == 0
    assert {row["count"] for row in rows(engine, tables.attempts)} == {1}


def test_other_spellings_and_aliases_are_no_way_around(engine: Engine) -> None:
    names = ("ada@example.com", "ADA@EXAMPLE.COM", " ada@example.com ", "ada+1@example.com", "\uff41da@example.com")
    found = [attempt(engine, names[n % 5], f"198.51.100.{n}", str(n)).wait for n in range(PER_ACCOUNT + 1)]
    assert found == [*[0] * PER_ACCOUNT, 15]


def test_nobody_can_keep_a_user_out_of_where_he_signed_in_before(engine: Engine) -> None:
    settled(engine)  # Ada signed in from 192.0.2.1
    assert waits(engine, PER_ACCOUNT + 5, address="198.51.100.{}", credential="{}")[-1] > 0
    assert attempt(engine, "ADA", "192.0.2.1", "hers").wait == 0
    assert attempt(engine, "grace", "192.0.2.1", "other").wait == 0
    known = [attempt(engine, "ada", "192.0.2.1", f"guess {n}").wait for n in range(PER_ACCOUNT)]
    assert known[-1] == 15


def test_success_clears_the_account_and_takes_itself_back_from_the_others(engine: Engine) -> None:
    """Or whoever has one account would clear his address with it."""
    for n in range(PER_ADDRESS - 1):
        assert attempt(engine, f"user{n}", credential=str(n)).wait == 0
    mine = attempt(engine, "mallory", credential="right")
    assert mine.wait == 0
    with engine.begin() as connection:
        attempts.succeeded(connection, mine.cells)
    counts = {row["key"]: row["count"] for row in rows(engine, tables.attempts)}
    account, address, credential = mine.cells
    assert account.key not in counts
    assert (counts[address.key], counts[credential.key]) == (PER_ADDRESS - 1, 0)


def test_what_is_kept_names_neither_users_nor_addresses_nor_passwords(engine: Engine) -> None:
    attempt(engine, "ada", "198.51.100.7", "hunter2")
    kept = repr(rows(engine, tables.attempts))
    assert not any(text in kept for text in ("ada", "198.51.100.7", "hunter2"))
