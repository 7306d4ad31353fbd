"""What each event does to the rows, and the guard that makes a lost race `Stale`."""

from __future__ import annotations

import typing
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, Table
from tests.protocol.given import (
    KEY,
    NOW,
    REFRESH_TOKEN,
    a_client,
    a_grant,
    a_membership,
    a_password,
    a_person,
    a_secret,
    a_session,
    a_signing_key,
    a_user,
    a_verifier,
    an_account,
    an_admin_key,
    an_api,
    an_api_key,
    another_api,
    kept,
)
from tests.store.committing import (
    ACCOUNT,
    ADMIN_KEY,
    API,
    API_KEY,
    CLIENT,
    VERIFIER,
    an_append,
    commit,
    count,
    issued,
    outcomes,
    read,
    rows,
    settled,
)  # fmt: skip

from doorward.protocol import (
    authorization_events,
    gateway_events,
    key_events,
    leak_events,
    restore_events,
    upstream_events,
)
from doorward.protocol import events as e
from doorward.protocol import exposure_events as x
from doorward.protocol import people_events as p
from doorward.protocol import rotation_events as r
from doorward.protocol import signing_key_events as s
from doorward.protocol.entities import OpaqueToken, SetupLink
from doorward.protocol.events import Event
from doorward.protocol.people import ResetLink
from doorward.store import (
    accounts,
    admin_keys,
    api_keys,
    apis,
    clients,
    sessions,
    signing_keys,
    tables,
    tokens,
    users,
    verifiers,
)
from doorward.store.rows import row

EVENTS: tuple[type[Any], ...] = typing.get_args(Event)
NEWER = kept(REFRESH_TOKEN, "key_1", kind="")
LINK = SetupLink("a digest", NOW + 60, NOW)
ANOTHER = a_user(id="user_2", username="Grace", canonical="grace", profile={"address": {"country": "US"}})
RESET = ResetLink("a digest", "user_1", NOW + 60, NOW)
OTHER_GRANT = a_grant(another_api()).grant
TOKEN = OpaqueToken(
    "opaque_1", b"a mac", 1, "grant_api_1", "client_1", "acme", "api_1", {"scope": "read"}, NOW, NOW + 300
)


def later(entity: Any, **fields: Any) -> Any:
    """The next version of an entity."""
    return replace(entity, version=entity.version + 1, **fields)


REVOKED = {"state": "revoked", "revoked_at": NOW}

# event, table, the row that it leaves: everything of the entity, and nothing else
CREATED: tuple[tuple[Event, Table, Any], ...] = (
    (e.ApiCreated(another_api()), tables.apis, another_api()),
    (e.AccountCreated(an_account(id="other")), tables.accounts, an_account(id="other")),
    (e.ApiKeyCreated(an_api_key(id="key_2"), kept(REFRESH_TOKEN, "key_2")), tables.api_keys, an_api_key(id="key_2")),
    (e.ClientCreated(a_client(id="client_2").client, kept(KEY, "client_2", id="other", mac=b"other"), ()),
        tables.clients, a_client(id="client_2").client),
    (e.GrantCreated(replace(a_grant().grant, id="grant_2")), tables.grants, replace(a_grant().grant, id="grant_2")),
    (e.VerifierCreated(a_verifier(id="verifier_2").verifier, kept(KEY, "verifier_2", id="other", mac=b"other")),
        tables.verifiers, a_verifier(id="verifier_2").verifier),
    (e.AdminKeyCreated(an_admin_key(id="admin_2", networks=("10.0.0.0/8", "::1/128")).admin_key,
        kept(KEY, "admin_2", id="other", mac=b"other")),
        tables.admin_keys, an_admin_key(id="admin_2", networks=("10.0.0.0/8", "::1/128")).admin_key),
    (s.SigningKeyCreated(a_signing_key()), tables.signing_keys, a_signing_key()),
    (p.UserCreated(ANOTHER), tables.users, ANOTHER),
    (p.ResetLinkCreated(RESET), tables.reset_links, RESET),
    (p.SessionStarted(a_session(id="session_2", digest="another")), tables.sessions,
        a_session(id="session_2", digest="another")),
    (e.SetupLinkCreated(LINK), tables.setup_links, LINK),
    (issued("opaque_1", opaque_token=TOKEN), tables.opaque_tokens, TOKEN),
)  # fmt: skip

CHANGED: tuple[tuple[Event, Table, Any], ...] = (
    (e.ApiUpdated(later(an_api(), token_lifetime=60)), tables.apis, later(an_api(), token_lifetime=60)),
    (e.AccountUpdated(later(an_account(), state="suspended")),
        tables.accounts, later(an_account(), state="suspended")),
    (e.ApiKeyUpdated(later(an_api_key(), name="b")), tables.api_keys, later(an_api_key(), name="b")),
    (e.ApiKeyRevoked(later(an_api_key(), **REVOKED)), tables.api_keys, later(an_api_key(), **REVOKED)),
    (e.ClientUpdated(later(a_client().client, name="b")), tables.clients, later(a_client().client, name="b")),
    (e.ClientDeleted(later(a_client().client, state="deleted")),
        tables.clients, later(a_client().client, state="deleted")),
    (e.GrantChanged(later(a_grant().grant, scope=frozenset({"read"}))),
        tables.grants, later(a_grant().grant, scope=frozenset({"read"}))),
    (e.GrantRevoked(later(a_grant().grant, revoked_at=NOW)), tables.grants, later(a_grant().grant, revoked_at=NOW)),
    (e.VerifierRevoked(later(a_verifier().verifier, **REVOKED)),
        tables.verifiers, later(a_verifier().verifier, **REVOKED)),
    (e.ApiKeyExpired(later(an_api_key(), expires_at=NOW), "too_old"), tables.api_keys,
        later(an_api_key(), expires_at=NOW)),
    (r.ApiKeyRotated(later(an_api_key(), updated_at=NOW), NEWER, ()), tables.api_keys,
        later(an_api_key(), updated_at=NOW)),
    # It is no new version, so that nobody who is changing the key for himself is refused.
    (x.ApiKeySeen(an_api_key(), "url", NOW), tables.api_keys, an_api_key(seen_in_url_at=NOW)),
    (r.ClientSecretRotated(later(a_client().client, updated_at=NOW), NEWER, ()), tables.clients,
        later(a_client().client, updated_at=NOW)),
    (r.VerifierSecretRotated(later(a_verifier().verifier), NEWER, ()), tables.verifiers,
        later(a_verifier().verifier)),
    (p.UserUpdated(later(a_user(), state="disabled")), tables.users, later(a_user(), state="disabled")),
    (p.MembershipChanged(later(a_membership(), role="owner")), tables.memberships,
        later(a_membership(), role="owner")),
    (p.SessionEnded(a_session(ended_at=NOW)), tables.sessions, a_session(ended_at=NOW)),
    (e.AdminKeyRevoked(later(an_admin_key().admin_key, **REVOKED)),
        tables.admin_keys, later(an_admin_key().admin_key, **REVOKED)),
)  # fmt: skip


def named(case: tuple[Event, Table, Any]) -> str:
    return type(case[0]).__name__


def test_every_event_is_tried_here() -> None:
    others = {e.ApiDeleted, e.TokenRevoked, e.SetupLinkUsed, e.CredentialRefused, p.PasswordChanged}
    others |= {
        p.LogoutTokenDelivered,
        p.LogoutTokenUndelivered,
        p.MembershipCreated,
        p.MembershipDeleted,
        e.EverythingRevoked,
    }
    # In a file of their own.
    elsewhere = (authorization_events, gateway_events, key_events, leak_events, restore_events, upstream_events)
    others |= {*typing.get_args(r.OverlapBegun), *typing.get_args(r.RotationCancelled)}
    others |= {member for member in EVENTS if member.__module__ in {module.__name__ for module in elsewhere}}
    turns = {s.SigningKeyActivated, s.SigningKeyRetired, s.SigningKeyRemoved, s.SigningKeyResealed, s.SecretsRotated}
    assert {type(case[0]) for case in (*CREATED, *CHANGED)} | others | turns == set(EVENTS)


@pytest.mark.parametrize("case", CREATED, ids=named)
def test_what_is_created_is_a_row(engine: Engine, case: tuple[Event, Table, Any]) -> None:
    event, table, entity = case
    settled(engine)
    assert commit(engine, event) == ""
    assert row(entity) in rows(engine, table)


@pytest.mark.parametrize("case", CREATED, ids=named)
def test_what_exists_is_not_created_again(engine: Engine, case: tuple[Event, Table, Any]) -> None:
    event, table, _ = case
    settled(engine)
    assert commit(engine, event) == ""
    before = rows(engine, table)
    assert commit(engine, event) == "Stale"
    assert rows(engine, table) == before


@pytest.mark.parametrize("case", CHANGED, ids=named)
def test_a_change_replaces_the_version_before_it(engine: Engine, case: tuple[Event, Table, Any]) -> None:
    event, table, entity = case
    settled(engine)
    assert commit(engine, event) == ""
    assert rows(engine, table) == [row(entity)]


@pytest.mark.parametrize("case", CHANGED, ids=named)
def test_a_change_of_an_older_version_is_stale(engine: Engine, case: tuple[Event, Table, Any]) -> None:
    event, table, _ = case
    settled(engine)
    assert commit(engine, event) == ""
    before = rows(engine, table)
    assert commit(engine, event) == "Stale"
    assert rows(engine, table) == before


@pytest.mark.parametrize("case", CHANGED, ids=named)
def test_a_change_of_what_is_not_there_is_stale(engine: Engine, case: tuple[Event, Table, Any]) -> None:
    assert commit(engine, case[0]) == "Stale"


def test_a_client_comes_with_its_secret_and_grants(engine: Engine) -> None:
    settled(engine)
    assert read(engine, clients.by_id, "client_1") == a_client()


def test_a_deleted_client_is_gone_and_so_are_its_grants(engine: Engine) -> None:
    settled(engine)
    deleted = later(a_client().client, state="deleted")
    assert commit(engine, e.ClientDeleted(deleted), now=NOW + 5) == ""
    assert read(engine, clients.by_id, "client_1") is None
    assert [grant["revoked_at"] for grant in rows(engine, tables.grants)] == [NOW + 5]


def test_a_deleted_client_keeps_the_time_at_which_a_grant_ended_before(engine: Engine) -> None:
    settled(engine)
    assert commit(engine, e.GrantRevoked(later(a_grant().grant, revoked_at=NOW - 9))) == ""
    assert commit(engine, e.ClientDeleted(later(a_client().client, state="deleted"))) == ""
    assert [grant["revoked_at"] for grant in rows(engine, tables.grants)] == [NOW - 9]


def test_an_api_can_be_deleted_in_the_version_that_was_seen(engine: Engine) -> None:
    assert commit(engine, API) == ""
    assert commit(engine, e.ApiDeleted(an_api(version=2))) == "Stale"
    assert commit(engine, e.ApiDeleted(an_api())) == ""
    assert count(engine, tables.apis) == 0
    assert commit(engine, e.ApiDeleted(an_api())) == "Stale"


@pytest.mark.parametrize("member", [API_KEY, CLIENT, VERIFIER], ids=lambda event: type(event).__name__)
def test_an_api_with_members_cannot_be_deleted(engine: Engine, member: Event) -> None:
    assert commit(engine, ACCOUNT, API, member) == ""
    assert commit(engine, e.ApiDeleted(an_api())) == "Stale"
    assert count(engine, tables.apis) == 1


@pytest.mark.parametrize("member", [API_KEY, CLIENT], ids=lambda event: type(event).__name__)
def test_nothing_hangs_on_an_account_that_is_not_there(engine: Engine, member: Event) -> None:
    assert commit(engine, API, member) == "Stale"
    assert count(engine, tables.apis) == 0


def test_apis_have_different_names_whatever_their_case(engine: Engine) -> None:
    assert commit(engine, API) == ""
    assert commit(engine, e.ApiCreated(another_api(name="Invoices"))) == "Stale"
    assert read(engine, apis.by_reference, "INVOICES") == an_api()


def test_one_secret_belongs_to_one_owner(engine: Engine) -> None:
    settled(engine)
    again = e.ApiKeyCreated(an_api_key(id="key_2"), kept(KEY, "key_2", id="another_id00"))
    assert commit(engine, again) == "Stale"
    assert [key["id"] for key in rows(engine, tables.api_keys)] == ["key_1"]


def test_a_rotated_key_has_a_secret_more_and_is_found_by_each(engine: Engine) -> None:
    settled(engine)
    old = kept(KEY, "key_1", superseded_at=NOW, overlap=60, expires_at=NOW + 90)
    assert commit(engine, r.ApiKeyRotated(later(an_api_key()), NEWER, (old,))) == ""
    found = read(engine, api_keys.by_secret_id, NEWER.id)
    assert (found.api_key, found.secret, found.waiting) == (later(an_api_key()), NEWER, old)
    found = read(engine, api_keys.by_secret_id, old.id)
    assert (found.secret, found.waiting) == (old, None)
    for named in ("key_1", old.id, NEWER.id):
        assert read(engine, api_keys.by_id, named).secrets == (old, NEWER)


def test_an_overlap_begins_once(engine: Engine) -> None:
    settled(engine)
    old = kept(KEY, "key_1", superseded_at=NOW, overlap=60)
    begun = r.ApiKeyOverlapBegun(later(an_api_key()), replace(old, overlap=None, expires_at=NOW + 60))
    assert commit(engine, begun) == "Stale"
    assert commit(engine, r.ApiKeyRotated(later(an_api_key()), NEWER, (old,))) == ""
    assert commit(engine, begun) == ""
    assert commit(engine, begun) == "Stale"
    assert read(engine, api_keys.by_secret_id, old.id).secret == begun.waiting
    assert read(engine, api_keys.by_secret_id, NEWER.id).waiting is None


@pytest.mark.parametrize("noun", ["client", "verifier"])
def test_the_overlap_of_a_programs_secret_begins_once_and_its_rotation_is_cancelled(engine: Engine, noun: str) -> None:
    settled(engine)
    owner, find, rotated, begun, cancelled = OF_PROGRAMS[noun]
    (old,) = read(engine, find, owner.id).secrets
    waiting = replace(old, superseded_at=NOW, overlap=60)
    new = kept(a_secret("s", seed="new"), owner.id, created_at=NOW + 1)
    assert commit(engine, rotated(later(owner), new, (waiting,))) == ""
    ending = replace(waiting, overlap=None, expires_at=NOW + 60)
    assert commit(engine, begun(later(owner), ending)) == ""
    assert commit(engine, begun(later(owner), ending)) == "Stale"
    assert read(engine, find, owner.id).secrets == (ending, new)
    withdrawn = replace(new, superseded_at=NOW + 2, revoked_at=NOW + 2)
    assert commit(engine, cancelled(later(later(owner)), withdrawn, old)) == ""
    assert commit(engine, cancelled(later(later(owner)), withdrawn, old)) == "Stale"
    assert read(engine, find, owner.id).secrets == (old, withdrawn)


OF_PROGRAMS: dict[str, Any] = {
    "client": (
        a_client().client, clients.by_id, r.ClientSecretRotated, r.ClientOverlapBegun, r.ClientRotationCancelled,
    ),
    "verifier": (
        a_verifier().verifier, verifiers.by_id, r.VerifierSecretRotated, r.VerifierOverlapBegun,
        r.VerifierRotationCancelled,
    ),
}  # fmt: skip


def test_the_rotation_of_a_key_is_cancelled_as_long_as_both_secrets_live(engine: Engine) -> None:
    settled(engine)
    old = kept(KEY, "key_1", superseded_at=NOW, overlap=60, expires_at=NOW + 90)
    assert commit(engine, r.ApiKeyRotated(later(an_api_key()), NEWER, (old,))) == ""
    withdrawn, restored = replace(NEWER, superseded_at=NOW, revoked_at=NOW), kept(KEY, "key_1")
    cancelled = r.ApiKeyRotationCancelled(later(later(an_api_key())), withdrawn, restored)
    assert commit(engine, cancelled) == ""
    assert read(engine, api_keys.by_id, "key_1").secrets == (withdrawn, restored)
    assert commit(engine, replace(cancelled, api_key=later(cancelled.api_key))) == "Stale"


def test_a_secret_that_was_revoked_meanwhile_stays_so(engine: Engine) -> None:
    settled(engine)
    ended = kept(KEY, "key_1", superseded_at=NOW, revoked_at=NOW)
    assert commit(engine, r.ApiKeyRotated(later(an_api_key()), NEWER, (ended,))) == ""
    again = r.ApiKeyRotated(later(later(an_api_key())), kept(KEY, "key_1", id="third", mac=b"third"), (ended,))
    assert commit(engine, again) == "Stale"
    assert read(engine, api_keys.by_id, "key_1").secrets == (ended, NEWER)


def test_a_setup_link_is_used_once(engine: Engine) -> None:
    used = e.SetupLinkUsed(replace(LINK, used_at=NOW))
    assert commit(engine, used) == "Stale"
    assert commit(engine, e.SetupLinkCreated(LINK)) == ""
    assert commit(engine, used, ADMIN_KEY) == ""
    assert commit(engine, e.SetupLinkUsed(replace(LINK, used_at=NOW + 1))) == "Stale"
    assert [link["used_at"] for link in rows(engine, tables.setup_links)] == [NOW]


def test_a_user_has_one_password_and_the_newest_is_it(engine: Engine) -> None:
    settled(engine)
    for phc in ("first", "second"):
        assert commit(engine, p.PasswordChanged(a_password(phc))) == ""
        assert rows(engine, tables.passwords) == [row(a_password(phc))]


def test_a_new_password_and_a_new_link_void_the_links_before_them(engine: Engine) -> None:
    settled(engine)
    newer = replace(RESET, digest="another", created_at=NOW + 5)
    assert commit(engine, p.ResetLinkCreated(RESET)) == ""
    assert commit(engine, p.ResetLinkCreated(newer)) == ""
    assert {link["digest"]: link["used_at"] for link in rows(engine, tables.reset_links)} == {
        "a digest": NOW + 5, "another": None,
    }  # fmt: skip
    assert commit(engine, p.PasswordChanged(a_password(changed_at=NOW + 9))) == ""
    assert [link["used_at"] for link in rows(engine, tables.reset_links)] == [NOW + 5, NOW + 9]


def test_a_membership_can_be_deleted_in_the_version_that_was_seen(engine: Engine) -> None:
    settled(engine)
    assert rows(engine, tables.memberships) == [row(a_membership())]
    assert commit(engine, p.MembershipDeleted(a_membership(version=2))) == "Stale"
    assert commit(engine, p.MembershipDeleted(a_membership())) == ""
    assert count(engine, tables.memberships) == 0
    assert commit(engine, p.MembershipDeleted(a_membership())) == "Stale"


def test_no_two_users_have_one_name_and_nobody_belongs_to_an_account_twice(engine: Engine) -> None:
    settled(engine)
    assert commit(engine, p.UserCreated(a_user(id="user_2"))) == "Stale"
    assert commit(engine, p.MembershipCreated(a_membership(id="membership_2"))) == "Stale"


def test_a_user_is_found_by_every_spelling_of_his_name_with_all_that_he_has(engine: Engine) -> None:
    settled(engine)
    assert commit(engine, p.PasswordChanged(a_password())) == ""
    for name in ("Ada", " ADA", "\uff21da", "user_1"):
        assert read(engine, users.by_reference, name) == a_person(a_membership())
    assert read(engine, users.by_reference, "Grace") is None


def test_a_session_is_found_by_its_digest_with_its_user(engine: Engine) -> None:
    settled(engine)
    found = read(engine, sessions.by_digest, "a digest")
    assert (found.session, found.user, found.memberships) == (a_session(), a_user(), (a_membership(),))
    assert found.last_seen_at == a_session().created_at
    assert read(engine, sessions.by_digest, "another") is None
    for now in (NOW, NOW + 60, NOW - 60):
        with engine.begin() as connection:
            sessions.touch(connection, a_session(), now)
    assert read(engine, sessions.by_digest, "a digest").last_seen_at == NOW + 60


def test_a_jwt_leaves_no_row_but_its_record(engine: Engine) -> None:
    assert commit(engine, issued()) == ""
    assert count(engine, tables.opaque_tokens) == 0
    assert [entry["type"] for entry in rows(engine, tables.token_records)] == ["AccessTokenIssued"]


def test_a_jwt_is_revoked_by_its_jti_and_a_second_time_is_no_error(engine: Engine) -> None:
    settled(engine)
    assert read(engine, tokens.by_jti, ("token_1", "grant_api_1")).revoked is False
    assert commit(engine, e.TokenRevoked("token_1", NOW + 300, False, "api_1")) == ""
    assert commit(engine, e.TokenRevoked("token_1", NOW + 300, False, "api_1"), now=NOW + 7) == ""
    assert rows(engine, tables.revoked_tokens) == [{"id": "token_1", "expires_at": NOW + 300, "revoked_at": NOW}]
    assert read(engine, tokens.by_jti, ("token_1", "grant_api_1")).revoked is True


def test_an_opaque_token_is_revoked_in_its_row_and_a_second_time_is_no_error(engine: Engine) -> None:
    settled(engine)
    assert commit(engine, issued("opaque_1", opaque_token=TOKEN)) == ""
    assert read(engine, tokens.opaque_by_mac, b"a mac").revoked is False
    assert commit(engine, e.TokenRevoked("opaque_1", NOW + 300, True, "api_1")) == ""
    assert commit(engine, e.TokenRevoked("opaque_1", NOW + 300, True, "api_1"), now=NOW + 7) == ""
    assert rows(engine, tables.opaque_tokens) == [row(replace(TOKEN, revoked_at=NOW))]
    assert read(engine, tokens.opaque_by_id, "opaque_1").revoked is True


SPARE = replace(a_signing_key("signing_0"), state="pending", activated_at=None)
ACTIVATED = later(SPARE, state="active", activated_at=NOW)
RETIRED = later(ACTIVATED, state="retired", private_key=b"", retired_at=NOW + 1)
REMOVED = later(RETIRED, state="removed", removed_at=NOW + 2)


def test_a_signing_key_takes_its_turns_and_is_published_until_it_is_removed(engine: Engine) -> None:
    assert commit(engine, s.SigningKeyCreated(SPARE)) == ""
    for event, left in (
        (s.SigningKeyActivated(ACTIVATED), ACTIVATED),
        (s.SigningKeyRetired(RETIRED), RETIRED),
        (s.SigningKeyRemoved(REMOVED, "schedule"), REMOVED),
    ):
        assert set(read(engine, signing_keys.published, "all").public) == {SPARE.id}
        assert commit(engine, event) == ""
        assert rows(engine, tables.signing_keys) == [row(left)]
        assert commit(engine, event) == "Stale"
    assert read(engine, signing_keys.published, "all").keys == ()


@pytest.mark.parametrize("state", ["active", "pending"])
def test_no_use_ever_has_two_keys_in_one_turn(engine: Engine, state: str) -> None:
    first = replace(SPARE, state=state)
    assert commit(engine, s.SigningKeyCreated(first)) == ""
    assert commit(engine, s.SigningKeyCreated(replace(first, id="another"))) == "Stale"
    for other in (replace(first, id="rsa", algorithm="RS256"), replace(first, id="feed", purpose="feed")):
        assert commit(engine, s.SigningKeyCreated(other)) == ""


def test_a_private_half_is_replaced_by_the_same_under_another_master_key(engine: Engine) -> None:
    resealed = later(SPARE, private_key=b"another box")
    assert commit(engine, s.SigningKeyCreated(SPARE)) == ""
    assert commit(engine, s.SigningKeyResealed(resealed)) == ""
    assert rows(engine, tables.signing_keys) == [row(resealed)]
    assert commit(engine, s.SigningKeyResealed(resealed)) == "Stale"


def test_of_two_who_rotate_the_secrets_at_once_one_is_too_late(engine: Engine) -> None:
    (before,) = (found["fingerprint"] for found in rows(engine, tables.deployment))
    assert commit(engine, s.SecretsRotated("theirs", before, 2, 2)) == ""
    assert commit(engine, s.SecretsRotated("ours", before, 2, 2)) == "Stale"
    assert [found["fingerprint"] for found in rows(engine, tables.deployment)] == ["theirs"]


def test_one_key_ends_and_its_spare_begins_in_one_commit(engine: Engine) -> None:
    key = a_signing_key()
    assert commit(engine, s.SigningKeyCreated(key), s.SigningKeyCreated(SPARE)) == ""
    ended = s.SigningKeyRetired(later(key, state="retired", private_key=b"", retired_at=NOW))
    assert commit(engine, s.SigningKeyActivated(ACTIVATED), ended) == "Stale"
    assert commit(engine, ended, s.SigningKeyActivated(ACTIVATED)) == ""
    assert [one["state"] for one in rows(engine, tables.signing_keys)] == ["active", "retired"]


def test_a_refused_credential_is_a_record_and_nothing_else(engine: Engine) -> None:
    settled(engine)
    before = {table.name: rows(engine, table) for table in tables.metadata.sorted_tables if "journal" not in table.name}
    assert commit(engine, e.CredentialRefused("api_key", "key_1", "credential_expired")) == ""
    for table in tables.metadata.sorted_tables:
        assert table.name not in before or rows(engine, table) == before[table.name]
    assert rows(engine, tables.journal)[-1]["type"] == "CredentialRefused"


def test_what_is_read_is_what_was_written(engine: Engine) -> None:
    settled(engine)
    assert commit(engine, s.SigningKeyCreated(a_signing_key())) == ""
    assert read(engine, accounts.by_id, "acme") == an_account()
    assert read(engine, apis.by_id, "api_1") == an_api()
    assert read(engine, verifiers.by_id, "verifier_1") == a_verifier()
    assert read(engine, admin_keys.by_id, "admin_1") == an_admin_key()
    assert read(engine, signing_keys.published, "all").keys == (a_signing_key(),)
    found = read(engine, api_keys.by_secret_id, kept(KEY, "key_1").id)
    assert (found.api_key, found.secret) == (an_api_key(), kept(KEY, "key_1"))


def test_one_of_two_racers_for_a_version_wins(engine: Engine) -> None:
    settled(engine)
    racers = [an_append(e.AccountUpdated(later(an_account(), name=f"racer {number}"))) for number in range(8)]
    results = outcomes(engine, *racers)
    assert sorted(results) == ["", *["Stale"] * 7]
    assert [account["name"] for account in rows(engine, tables.accounts)] == [f"racer {results.index('')}"]
