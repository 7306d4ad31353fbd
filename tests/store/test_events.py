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
    a_signing_key,
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

from doorward.protocol import events as e
from doorward.protocol.entities import OpaqueToken, SetupLink
from doorward.protocol.events import Event
from doorward.store import accounts, admin_keys, api_keys, apis, clients, signing_keys, tables, tokens, verifiers
from doorward.store.rows import row

EVENTS: tuple[type[Any], ...] = typing.get_args(Event)
LINK = SetupLink("a digest", NOW + 60, NOW)
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
    (e.SigningKeyCreated(a_signing_key()), tables.signing_keys, a_signing_key()),
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
    (e.AdminKeyRevoked(later(an_admin_key().admin_key, **REVOKED)),
        tables.admin_keys, later(an_admin_key().admin_key, **REVOKED)),
)  # fmt: skip


def named(case: tuple[Event, Table, Any]) -> str:
    return type(case[0]).__name__


def test_every_event_is_tried_here() -> None:
    others = {e.ApiDeleted, e.TokenRevoked, e.SetupLinkUsed, e.CredentialRefused}
    assert {type(case[0]) for case in (*CREATED, *CHANGED)} | others == set(EVENTS)


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


def test_a_setup_link_is_used_once(engine: Engine) -> None:
    used = e.SetupLinkUsed(replace(LINK, used_at=NOW))
    assert commit(engine, used) == "Stale"
    assert commit(engine, e.SetupLinkCreated(LINK)) == ""
    assert commit(engine, used, ADMIN_KEY) == ""
    assert commit(engine, e.SetupLinkUsed(replace(LINK, used_at=NOW + 1))) == "Stale"
    assert [link["used_at"] for link in rows(engine, tables.setup_links)] == [NOW]


def test_a_jwt_leaves_no_row_but_its_record(engine: Engine) -> None:
    assert commit(engine, issued()) == ""
    assert count(engine, tables.opaque_tokens) == 0
    assert [entry["type"] for entry in rows(engine, tables.journal)] == ["AccessTokenIssued"]


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


def test_a_refused_credential_is_a_record_and_nothing_else(engine: Engine) -> None:
    settled(engine)
    before = {table.name: rows(engine, table) for table in tables.metadata.sorted_tables if "journal" not in table.name}
    assert commit(engine, e.CredentialRefused("api_key", "key_1", "credential_expired")) == ""
    for table in tables.metadata.sorted_tables:
        assert table.name not in before or rows(engine, table) == before[table.name]
    assert rows(engine, tables.journal)[-1]["type"] == "CredentialRefused"


def test_what_is_read_is_what_was_written(engine: Engine) -> None:
    settled(engine)
    assert commit(engine, e.SigningKeyCreated(a_signing_key())) == ""
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
