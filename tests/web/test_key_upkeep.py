"""Keys on a schedule: ended by their api's rules, and their owners written to, once, whoever looks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from smtplib import SMTPRecipientsRefused
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.protocol.given import NOW, POLICY, a_membership, a_secret, a_user, an_api, an_api_key, kept
from tests.store.committing import commit, rows, settled
from tests.web.test_upkeep import Clocks, opened, opened_many, url

from doorward.protocol import events as e
from doorward.protocol.people_events import MembershipChanged, MembershipCreated, UserCreated
from doorward.protocol.policy import DAY
from doorward.store.engine import open_engine
from doorward.store.rows import Stale
from doorward.store.store import Store
from doorward.store.tables import api_keys, journal
from doorward.web.key_upkeep import KeyUpkeep
from doorward.web.notices import Notices
from doorward.web.upkeep import Patience

__all__ = ["url"]


@dataclass
class Letters:
    """A mail server that may fail at first, and refuses some addresses with a code."""

    fails: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    sent: list[tuple[str, str, str]] = field(default_factory=list)

    async def send(self, to: str, subject: str, text: str) -> None:
        if to in self.refused:
            raise SMTPRecipientsRefused({to: (self.refused[to], b"")})
        self.fails -= 1
        if self.fails >= 0:
            raise OSError
        self.sent.append((to, subject, text))


def work_of(store: Store, clocks: Clocks) -> KeyUpkeep:
    work = KeyUpkeep(store)
    work._patience = Patience(clocks, lambda: clocks.steady)
    return work


def notices_of(store: Store, letters: Letters, clocks: Clocks) -> Notices:
    store.now = clocks  # type: ignore[assignment]
    brand = SimpleNamespace(name="Doorward")
    runtime: Any = SimpleNamespace(store=store, mail=letters, webhook=None, brand=brand, policy=POLICY)
    return Notices(runtime)


async def looked(work: KeyUpkeep) -> None:
    while True:
        try:
            return await work.look()
        except Stale:
            continue


async def sent(notices: Notices) -> None:
    for notice in await notices._runtime.store.read(notices._due):
        await notices.send(notice)


def with_key(url: str, *events: e.Event, **key: Any) -> Engine:
    engine = open_engine(url)
    settled(engine)
    changed = replace(an_api_key(), version=2, created_at=NOW - 100 * DAY, **key)
    assert commit(engine, e.ApiKeyUpdated(changed), *events) == ""
    return engine


def test_an_owner_gets_one_letter_a_step_from_whichever_worker_and_after_a_restart(url: str) -> None:
    owner = MembershipChanged(replace(a_membership(), role="owner", version=2))
    with_key(url, owner, expires_at=NOW + 8 * DAY, name="billing").dispose()
    letters, clocks = Letters(fails=1), Clocks()

    async def days() -> None:
        for _ in range(2):
            with opened_many(url, 2) as stores:
                works = [work_of(store, clocks) for store in stores]
                queues = [notices_of(store, letters, clocks) for store in stores]
                for _ in range(4):
                    await asyncio.gather(*map(looked, works))
                    await asyncio.gather(*map(sent, queues))
                    clocks.go_on(DAY)

    asyncio.run(days())
    subjects = [(to, subject) for to, subject, _ in letters.sent]
    assert subjects == [
        ("ada@example.com", "Doorward: an api key ends within 7 days"),
        ("ada@example.com", "Doorward: an api key ends within a day"),
    ]
    text = letters.sent[0][2]
    assert "The api key key_1 (billing) of Acme Inc ends within 7 days: at 2027-" in text
    assert "last used: never" in text
    assert "doorward keys show key_1" in text


@pytest.mark.parametrize(("code", "tries"), [(550, 1), (450, 2)], ids=["for good", "for now"])
def test_an_address_that_is_refused_keeps_no_other_owner_from_being_told(url: str, code: int, tries: int) -> None:
    owners = [
        MembershipChanged(replace(a_membership(), role="owner", version=2)),
        UserCreated(a_user(id="user_2", username="grace", canonical="grace", email="grace@example.com")),
        MembershipCreated(a_membership(id="membership_2", user_id="user_2", role="owner")),
    ]
    with_key(url, *owners, expires_at=NOW + 8 * DAY).dispose()
    letters, clocks = Letters(refused={"ada@example.com": code}), Clocks()

    async def days() -> None:
        with opened(open_engine(url)) as store:
            work, queue = work_of(store, clocks), notices_of(store, letters, clocks)
            await looked(work)
            clocks.go_on(DAY)
            await looked(work)
            for _ in range(3):
                await sent(queue)
                clocks.go_on(3600)
                letters.refused.clear()

    asyncio.run(days())
    told = [to for to, _, _ in letters.sent]
    assert told.count("grace@example.com") == tries
    assert told.count("ada@example.com") == tries - 1


RULES = (({"key_lifetime_limit": 90 * DAY}, "too_old"), ({"unused_key_lifetime": 90 * DAY}, "unused"))


@pytest.mark.parametrize(("rules", "why"), RULES)
def test_a_key_that_is_over_ends_once_with_a_row_that_says_why(url: str, rules: dict[str, int], why: str) -> None:
    ruled = replace(an_api(), version=2, key_policy_at=NOW - 100 * DAY, **rules)
    engine = with_key(url, e.ApiUpdated(ruled), expires_at=None)

    async def look() -> None:
        with opened_many(url, 3) as stores:
            await asyncio.gather(*(looked(work_of(store, Clocks())) for store in stores))
            await looked(work_of(stores[0], Clocks()))

    asyncio.run(look())
    (key,) = rows(engine, api_keys)
    assert key["expires_at"] == NOW
    told = [row for row in rows(engine, journal) if row["type"] == "ApiKeyExpired"]
    assert [(row["entity_id"], row["actor"], why in row["data"]) for row in told] == [("key_1", "server", True)]
    engine.dispose()


def test_more_keys_than_one_commit_takes_all_end(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorward.store.key_life.EXPIRED_LIMIT", 2)
    ruled = replace(an_api(), version=2, key_policy_at=NOW, key_lifetime_limit=DAY)
    more = [replace(an_api_key(), id=f"key_{n}", created_at=NOW - 2 * DAY, expires_at=None) for n in range(2, 7)]
    made = [e.ApiKeyCreated(key, kept(a_secret(seed=key.id), key.id)) for key in more]
    engine = with_key(url, e.ApiUpdated(ruled), *made, expires_at=None)

    async def look() -> None:
        with opened(open_engine(url)) as store:
            await looked(work_of(store, Clocks()))

    asyncio.run(look())
    assert [row["expires_at"] for row in rows(engine, api_keys)] == [NOW] * 6
    engine.dispose()
