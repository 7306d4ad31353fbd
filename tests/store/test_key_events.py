"""What the events of imported and self-made keys leave in the rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine
from tests.protocol.given import KEY, NOW, REFRESH_TOKEN, an_api, an_api_key, kept
from tests.store.committing import commit, read, rows, settled

from doorward.protocol import events as e
from doorward.protocol.key_events import ApiKeyRehashed, ApiKeySelfMade, LegacyTurned
from doorward.store import api_keys, tables
from doorward.store.rows import row

HASH = "$2b$04$" + "a" * 53
SLOW = kept(REFRESH_TOKEN, "key_1", kind="", mac=b"nothing's mac", legacy="abcd", bcrypt=HASH)


@pytest.fixture
def made(engine: Engine) -> Engine:
    settled(engine)
    with engine.begin() as connection:
        connection.execute(tables.secrets.insert(), row(SLOW))
    return engine


def test_a_slow_hash_makes_place_for_a_mac_once(made: Engine) -> None:
    known = replace(SLOW, mac=b"a mac", bcrypt=None)
    assert commit(made, ApiKeyRehashed(an_api_key(), known)) == ""
    assert [one for one in rows(made, tables.secrets) if one["id"] == SLOW.id] == [row(known)]
    assert commit(made, ApiKeyRehashed(an_api_key(), replace(known, mac=b"another"))) == "Stale"
    assert read(made, api_keys.by_mac, b"a mac").secret == known


def test_a_key_that_a_user_made_is_one_like_all_others(made: Engine) -> None:
    key, secret = an_api_key(id="key_2", user_id="user_1"), kept(KEY, "key_2", id="secret_2", mac=b"mac 2")
    assert commit(made, ApiKeySelfMade(key, secret)) == ""
    assert row(key) in rows(made, tables.api_keys)
    assert row(secret) in rows(made, tables.secrets)


def test_of_two_who_counted_the_same_keys_one_counts_again(made: Engine) -> None:
    one, two = (
        ApiKeySelfMade(an_api_key(id=f"key_{n}"), kept(KEY, f"key_{n}", id=f"s{n}", mac=bytes([n]))) for n in (7, 8)
    )
    assert commit(made, one, refs={"keys_of/acme"}) == ""
    assert commit(made, two, refs={"keys_of/acme"}) == "Stale"


def test_that_an_api_takes_imported_keys_is_written_by_the_apis_own_event(made: Engine) -> None:
    opened = replace(an_api(), legacy=True, version=2, updated_at=NOW)
    assert commit(made, e.ApiUpdated(opened), LegacyTurned("api_1", True)) == ""
    (found,) = rows(made, tables.apis)
    assert found["legacy"] is True
