"""Which keys are old, unused or about to end, on both engines; and how far the notices of it have come."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, select
from tests.protocol.given import NOW, POLICY, a_secret, an_api, an_api_key, kept
from tests.store.committing import ACCOUNT, API, Steps, commit, head, rows

from doorward.protocol import events as e
from doorward.protocol.entities import ApiKey
from doorward.protocol.policy import DAY
from doorward.protocol.refusal import Unprocessable
from doorward.protocol.use import Used
from doorward.store import key_life, notices, tables, usage
from doorward.store.memory import Memory, Reader

MADE = NOW - 100 * DAY


def a_key(id_: str, **fields: Any) -> ApiKey:
    return an_api_key(**{"id": id_, "created_at": MADE, "expires_at": None, **fields})


def given(engine: Engine, *keys: ApiKey, **api: Any) -> None:
    changed = replace(an_api(), version=2, key_policy_at=MADE, **api)
    made = [e.ApiKeyCreated(key, kept(a_secret(seed=key.id), key.id)) for key in keys]
    assert commit(engine, ACCOUNT, API, e.ApiUpdated(changed), *made) == ""


def used(engine: Engine, id_: str, at: int) -> None:
    Steps(engine)(partial(usage.add, used=[Used("api_key", id_, 1, at)]))


def overdue(engine: Engine) -> dict[str, int | None]:
    with engine.connect() as connection:
        read = Reader(Memory(head(engine).position), POLICY, connection)
        found = key_life.overdue(read, NOW)
        assert {f"api_key/{one.api_key.id}" for one in found} <= read.refs
        assert all(one.api.key_policy_at == MADE for one in found)
    return {one.api_key.id: one.last_used_at for one in found}


def test_without_rules_no_key_is_over(engine: Engine) -> None:
    given(engine, a_key("old"))
    assert overdue(engine) == {}


def test_what_nobody_used_for_so_long_is_over(engine: Engine) -> None:
    states = [a_key(state, state=state) for state in ("inactive", "decoy", "revoked")]
    ended, young = a_key("ended", expires_at=NOW), a_key("young", created_at=NOW - 89 * DAY)
    given(engine, a_key("idle"), a_key("busy"), a_key("lately"), ended, young, *states, unused_key_lifetime=90 * DAY)
    used(engine, "busy", NOW - 90 * DAY + 1)
    used(engine, "lately", NOW - 90 * DAY)
    assert overdue(engine) == {"idle": None, "inactive": None, "lately": NOW - 90 * DAY}


def test_what_is_too_old_is_over_though_it_is_used(engine: Engine) -> None:
    given(engine, a_key("old"), a_key("young", created_at=MADE + 1), key_lifetime_limit=100 * DAY)
    used(engine, "old", NOW)
    assert overdue(engine) == {"old": NOW}


def test_an_expired_key_ends_for_good_and_tells_why(engine: Engine) -> None:
    given(engine, a_key("old"))
    ended = replace(a_key("old"), expires_at=NOW, version=2)
    assert commit(engine, e.ApiKeyExpired(ended, "unused")) == ""
    assert commit(engine, e.ApiKeyExpired(ended, "unused")) == "Stale"
    (row,) = rows(engine, tables.api_keys)
    assert (row["expires_at"], row["state"]) == (NOW, "active")


# Notices ------------------------------------------------------------------------------------------------------


def announce(engine: Engine, days: int, now: int) -> None:
    """Until there is no more to do, as the schedule has it."""
    while Steps(engine)(lambda connection: int(key_life.announce(connection, days, now))):
        pass


def owed(engine: Engine) -> list[str]:
    """By letter; each has a webhook message beside it."""
    return sorted(row["id"] for row in rows(engine, tables.notices) if row["channel"] == notices.LETTER)


def test_an_end_is_told_of_once_at_each_step_however_often_it_is_looked(engine: Engine) -> None:
    given(engine, a_key("key_1", expires_at=NOW + 40 * DAY))
    told = []
    for day in (0, 9, 10, 10, 20, 33, 33, 38, 39, 39, 40, 41):
        for days in (30, 7, 1):
            announce(engine, days, NOW + day * DAY)
        told.append((day, len(owed(engine))))
    assert owed(engine) == ["key_1/1", "key_1/30", "key_1/7"]
    assert dict(told) == {0: 0, 9: 0, 10: 1, 20: 1, 33: 2, 38: 2, 39: 3, 40: 3, 41: 3}


def test_it_is_not_told_again_when_the_letter_was_sent_and_forgotten(engine: Engine) -> None:
    given(engine, a_key("key_1", expires_at=NOW + 40 * DAY))
    announce(engine, 30, NOW)
    announce(engine, 30, NOW + 10 * DAY)
    Steps(engine)(lambda connection: connection.execute(tables.notices.delete()).rowcount)
    announce(engine, 30, NOW + 10 * DAY + 60)
    assert owed(engine) == []


def test_whoever_was_away_tells_what_still_matters(engine: Engine) -> None:
    """Twenty days without a server: one step was missed, the next one comes in time."""
    given(engine, a_key("key_1", expires_at=NOW + 31 * DAY), a_key("key_2", expires_at=NOW + 45 * DAY))
    for now in (NOW, NOW + 20 * DAY, NOW + 24 * DAY):
        for days in (30, 7, 1):
            announce(engine, days, now)
    assert owed(engine) == ["key_1/30", "key_1/7", "key_2/30"]


def test_who_looks_for_the_first_time_begins_from_there(engine: Engine) -> None:
    given(engine, a_key("key_1", expires_at=NOW + 5 * DAY))
    for days in (30, 7, 1):
        announce(engine, days, NOW)
    assert owed(engine) == []
    announce(engine, 1, NOW + 4 * DAY)
    assert owed(engine) == ["key_1/1"]


def test_what_lives_hardly_longer_than_a_step_or_has_ended_is_not_told_of(engine: Engine) -> None:
    ends = {"expires_at": NOW + 20 * DAY}
    short = a_key("short", created_at=NOW + 12 * DAY, **ends)
    given(engine, short, a_key("revoked", state="revoked", **ends), a_key("decoy", state="decoy", **ends))
    announce(engine, 7, NOW)
    announce(engine, 7, NOW + 13 * DAY)
    assert owed(engine) == []


def test_a_notice_knows_whose_key_it_is_and_a_revoked_one_is_nobodys(engine: Engine) -> None:
    given(engine, a_key("key_1", expires_at=NOW + DAY))
    used(engine, "key_1", NOW - 5)
    with engine.connect() as connection:
        about = notices.about(connection, notices.Notice("key_1/7", notices.LETTER, notices.EXPIRY, NOW, 0))
    assert about is not None
    assert about.expiring is not None
    assert (about.expiring.id, about.days, about.owner, about.last_used_at) == ("key_1", 7, "Acme Inc", NOW - 5)
    revoked = replace(a_key("key_1", expires_at=NOW + DAY), state="revoked", version=2)
    assert commit(engine, e.ApiKeyRevoked(revoked)) == ""
    with engine.connect() as connection:
        assert notices.about(connection, notices.Notice("key_1/7", notices.LETTER, notices.EXPIRY, NOW, 0)) is None


# Lists --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("unused_for", str(90 * DAY), {"old", "lately"}), ("unused_for", str(100 * DAY), {"old"}),
        ("older_than", str(50 * DAY), {"old", "lately", "busy"}), ("older_than", str(101 * DAY), set()),
        ("expiring_within", str(30 * DAY), {"soon"}), ("expiring_within", str(29 * DAY), set()),
        ("no_expiry", "true", {"old", "lately", "busy"}),
    ],
)  # fmt: skip
def test_the_keys_that_somebody_should_look_at(engine: Engine, name: str, text: str, found: set[str]) -> None:
    soon = a_key("soon", created_at=NOW - DAY, expires_at=NOW + 30 * DAY)
    ended = a_key("ended", expires_at=NOW)
    given(engine, a_key("old"), a_key("busy"), a_key("lately"), soon, ended, a_key("revoked", state="revoked"))
    used(engine, "busy", NOW)
    used(engine, "lately", NOW - 90 * DAY)
    with engine.connect() as connection:
        query = select(tables.api_keys.c.id).where(key_life.CONDITIONS[name](NOW, text))
        assert set(connection.execute(query).scalars()) == found


@pytest.mark.parametrize("name", key_life.CONDITIONS)
@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "90d", "9" * 30, "²"])
def test_what_is_no_span_is_refused(name: str, text: str) -> None:
    with pytest.raises(Unprocessable):
        key_life.CONDITIONS[name](NOW, text)
