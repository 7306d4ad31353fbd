"""What events of leaks do to the rows, and the queue of those who must be told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.protocol.given import CLIENT_SECRET, KEY, NOW, a_client, a_leak, a_verifier, an_api_key, kept
from tests.store.committing import commit, read, rows, settled

from doorward.protocol import leak_events as k
from doorward.protocol import rotation_events as r
from doorward.store import leaks, notices, sweeping, tables
from doorward.store.notices import Notice

DUE, HOOK = (Notice(a_leak().id, channel, notices.LEAK, NOW, 0) for channel in (notices.LETTER, notices.WEBHOOK))


@pytest.fixture
def told(engine: Engine) -> Engine:
    settled(engine)
    assert commit(engine, k.LeakReported(a_leak())) == ""
    return engine


def write(engine: Engine, step: Any, *arguments: Any) -> Any:
    with engine.begin() as connection:
        return step(connection, *arguments)


def test_a_leak_is_kept_with_its_places(told: Engine) -> None:
    assert read(told, leaks.by_id, a_leak().id) == a_leak()
    changed = a_leak(locations=(), outcome="flagged", version=2)
    assert commit(told, k.LeakUpdated(changed)) == ""
    assert read(told, leaks.by_id, a_leak().id) == changed


def test_one_secret_leaks_once_and_the_second_who_tells_decides_again(told: Engine) -> None:
    assert commit(told, k.LeakReported(a_leak(origin="gitlab"))) == "Stale"
    assert commit(told, k.LeakUpdated(a_leak(version=3))) == "Stale"


def test_a_secret_of_a_client_ends_alone_and_once(told: Engine) -> None:
    secret = kept(CLIENT_SECRET, "client_1")
    assert commit(told, k.ClientSecretRevoked(a_client().client, replace(secret, revoked_at=NOW))) == ""
    ended = {row["id"]: row["revoked_at"] for row in rows(told, tables.secrets)}
    assert {id_ for id_, at in ended.items() if at is not None} == {secret.id}
    assert commit(told, k.ClientSecretRevoked(a_client().client, secret)) == "Stale"


def test_a_secret_of_a_key_or_verifier_ends_alone_and_waits_for_nothing(told: Engine) -> None:
    assert commit(told, r.ApiKeyRotated(an_api_key(version=2), kept(KEY, "key_1", id="next", mac=b"next"), ())) == ""
    waiting = kept(KEY, "key_1", overlap=60)
    assert commit(told, k.ApiKeySecretRevoked(an_api_key(version=2), waiting.ended(NOW))) == ""
    verifier = a_verifier()
    assert commit(told, k.VerifierSecretRevoked(verifier.verifier, verifier.secrets[0].ended(NOW))) == ""
    ended = {row["id"]: row["overlap"] for row in rows(told, tables.secrets) if row["revoked_at"] is not None}
    assert ended == {waiting.id: None, verifier.secrets[0].id: None}


def test_a_leak_is_to_be_told_by_each_channel_from_the_moment_on_that_it_is_kept(told: Engine) -> None:
    assert set(read(told, notices.due, NOW)) == {DUE, HOOK}


def test_of_several_workers_one_tells(told: Engine) -> None:
    assert [write(told, notices.claim, DUE, NOW) for _ in range(3)] == [True, False, False]
    assert read(told, notices.due, NOW) == (HOOK,)


@pytest.mark.parametrize(("channel", "days"), [(notices.LETTER, 2), (notices.WEBHOOK, 1)])
def test_what_was_not_taken_is_told_later_and_not_forever(told: Engine, channel: str, days: int) -> None:
    at, waits = NOW, []
    while waiting := [one for one in read(told, notices.due, at) if one.channel == channel]:
        assert write(told, notices.claim, waiting[0], at)
        (next_at,) = (row["due_at"] for row in rows(told, tables.notices) if row["channel"] == channel)
        assert (next_at is None) is notices.is_last(waiting[0])
        if next_at is None:
            break
        waits.append(next_at - at)
        at = next_at
    assert tuple(waits) == notices.WAITS[channel]
    assert days * 86_400 < sum(waits) < notices.LIFETIME


def test_what_one_channel_told_the_other_still_has_to_tell(told: Engine) -> None:
    write(told, notices.claim, HOOK, NOW)
    write(told, notices.told, HOOK, NOW)
    assert read(told, notices.due, NOW) == (DUE,)


def test_what_was_told_is_not_told_again_for_an_hour(told: Engine) -> None:
    tried = k.DecoyTried(an_api_key(state="decoy"))
    assert commit(told, tried) == ""
    decoy = Notice("key_1", notices.LETTER, notices.DECOY, NOW, 0)
    assert decoy in read(told, notices.due, NOW)
    write(told, notices.told, decoy, NOW)
    assert commit(told, tried, now=NOW + notices.QUIET - 1) == ""
    assert decoy not in read(told, notices.due, NOW + notices.QUIET - 1)
    assert commit(told, tried, now=NOW + notices.QUIET) == ""
    # Another message, since it came about at another time.
    assert replace(decoy, at=NOW + notices.QUIET) in read(told, notices.due, NOW + notices.QUIET)


def test_notices_are_swept_like_everything_that_expires(told: Engine) -> None:
    assert tables.notices in [rule.table for rule in sweeping.RULES if rule.step]
    over = NOW + notices.LIFETIME
    assert write(told, lambda connection: sweeping.expired(tables.notices, 0, over, connection, 9)) == 2


def test_a_notice_holds_nothing_but_what_it_is_about(told: Engine) -> None:
    row, _ = rows(told, tables.notices)
    assert KEY[-38:] not in repr(row)
    assert set(row) == {"id", "channel", "kind", "at", "due_at", "tries", "expires_at"}
