"""What a journal says of the time after a backup: ended is ended, changed is held, and no other journal will do."""

from __future__ import annotations

import typing
from typing import Any

import pytest

from doorward.protocol.events import Event
from doorward.protocol.replay import HELD, TOLD, NotThisJournal, Replay, read

KNOWN = {"seq": 10, "at": 1_800_000_000, "type": "ApiCreated", "entity": "api", "entity_id": "api_1", "data": {}}


def entry(seq: int, type_: str, entity: str = "", id_: str = "", **data: Any) -> dict[str, Any]:
    return {"seq": seq, "at": 1_800_000_001, "type": type_, "entity": entity, "entity_id": id_, "data": data}


def replayed(*entries: dict[str, Any]) -> Replay:
    return read([KNOWN, *entries], KNOWN)


def test_every_event_is_said_something_of() -> None:
    assert TOLD.keys() == {event.__name__ for event in typing.get_args(Event)}


@pytest.mark.parametrize(
    ("type_", "entity", "data", "state"),
    [
        ("ApiKeyRevoked", "api_key", {"state": "revoked"}, "revoked"),
        ("ApiKeyExpired", "api_key", {"reason": "unused"}, "revoked"),
        ("ApiKeyUpdated", "api_key", {"state": "inactive"}, "inactive"),
        ("ApiKeyUpdated", "api_key", {"state": "active"}, HELD),
        ("ClientDeleted", "client", {"state": "deleted"}, "deleted"),
        ("ClientUpdated", "client", {"state": "disabled"}, "disabled"),
        ("ClientUpdated", "client", {"state": "active"}, HELD),
        ("VerifierRevoked", "verifier", {}, "revoked"),
        ("AdminKeyRevoked", "admin_key", {}, "revoked"),
        ("AccountUpdated", "account", {"state": "suspended"}, "suspended"),
        ("UserUpdated", "user", {"state": "disabled"}, "disabled"),
        ("UserUpdated", "user", {"state": "active", "role": "member"}, HELD),
        ("PasswordChanged", "user", {}, HELD),
        ("MembershipDeleted", "user", {}, HELD),
        ("IdentityRemoved", "user", {}, HELD),
    ],
)
def test_a_thing_gets_the_state_that_it_had_or_is_held(
    type_: str, entity: str, data: dict[str, Any], state: str
) -> None:
    assert replayed(entry(11, type_, entity, "x_1", **data)).states == {(entity, "x_1"): state}


def test_what_ended_stays_ended_and_what_was_turned_back_is_held() -> None:
    ended = replayed(
        entry(11, "ApiKeyRevoked", "api_key", "k", state="revoked"),
        entry(12, "ApiKeyUpdated", "api_key", "k", state="active"),
    )
    assert ended.states == {("api_key", "k"): "revoked"}
    turned = replayed(
        entry(11, "ApiKeyUpdated", "api_key", "k", state="inactive"),
        entry(12, "ApiKeyUpdated", "api_key", "k", state="active"),
    )
    assert turned.states == {("api_key", "k"): HELD}


def test_secrets_that_were_replaced_or_leaked_end_unless_their_rotation_was_taken_back() -> None:
    rotated = entry(11, "ClientSecretRotated", "client", "c", secret="new", retired=["old"])
    assert replayed(rotated).secrets == {"old"}
    cancelled = entry(12, "ClientRotationCancelled", "client", "c", withdrawn="new", restored="old")
    assert replayed(rotated, cancelled).secrets == {"new"}
    assert replayed(entry(11, "ApiKeySecretRevoked", "api_key", "k", secret="leaked")).secrets == {"leaked"}


def test_a_grant_that_ended_ends_and_a_client_whose_own_grant_changed_is_held() -> None:
    found = replayed(
        entry(11, "GrantRevoked", "grant", "g", client_id="c"),
        entry(12, "GrantChanged", "grant", "h", client_id="d"),
        entry(13, "GrantChanged", "grant", "i", client_id="e", user_id="user_1"),
    )
    assert (found.grants, found.states) == ({"g"}, {("client", "d"): HELD})


def test_apis_that_were_changed_are_told_since_nobody_can_change_them_again_from_this() -> None:
    found = replayed(entry(11, "ApiUpdated", "api", "api_1"), entry(12, "LegacyTurned", "legacy", "any", api="api_2"))
    assert found.apis == {"api_1", "api_2"}


def test_what_the_backup_knows_already_is_not_done_again() -> None:
    before = entry(9, "ApiKeyRevoked", "api_key", "k")
    found = read([before, KNOWN, entry(14, "AccessTokenIssued", "token", "jti")], KNOWN)
    assert (found.states, found.until) == ({}, 14)


@pytest.mark.parametrize(
    "entries",
    [
        [entry(11, "ApiKeyRevoked", "api_key", "k")],
        [{**KNOWN, "at": 1}, entry(11, "ApiKeyRevoked", "api_key", "k")],
        [{**KNOWN, "entity_id": "api_2"}],
        [KNOWN, entry(12, "ApiKeyRevoked", "api_key", "k"), entry(11, "ApiKeyRevoked", "api_key", "l")],
        [KNOWN, entry(11, "NeverHeardOf")],
        [KNOWN, entry(11, "ApiKeySecretRevoked", "api_key", "k")],
        [KNOWN, {"seq": "11", "type": "ApiKeyRevoked", "data": {}}],
        [KNOWN, {"seq": 11, "type": "ApiKeyRevoked"}],
        [KNOWN, {**entry(11, "ApiKeyRevoked", "api_key", "k"), "excerpt": True}],
        [],
    ],
    ids=[
        "begins-late",
        "another-time",
        "another-thing",
        "out-of-order",
        "newer",
        "lacks",
        "no-number",
        "bare",
        "excerpt",
        "empty",
    ],
)
def test_another_journal_is_refused(entries: list[dict[str, Any]]) -> None:
    with pytest.raises(NotThisJournal):
        read(entries, KNOWN)


def test_of_a_change_that_is_known_by_its_number_alone_the_number_must_be_there() -> None:
    known, revoked = {"seq": KNOWN["seq"]}, entry(11, "VerifierRevoked", "verifier", "v")
    assert read([KNOWN, revoked], known).states == {("verifier", "v"): "revoked"}
    with pytest.raises(NotThisJournal):
        read([revoked], known)


def test_of_a_backup_that_knew_nothing_every_journal_goes_on() -> None:
    assert read([entry(1, "VerifierRevoked", "verifier", "v")], None).states == {("verifier", "v"): "revoked"}
