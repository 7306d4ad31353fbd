"""A client: registered software (RFC 6749 §2) with one administrator grant per api."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from tests.protocol.given import (
    CLIENT_SECRET,
    EARLIER,
    IDENTIFIER,
    NOW,
    POLICY,
    a_client,
    a_grant,
    a_moment,
    an_account,
    an_api,
    another_api,
    asked,
    credentials,
    kept,
    refused,
    scope,
)

from doorward.protocol import client, rotation
from doorward.protocol.client import (
    ClientApiObject,
    ClientFacts,
    ClientObject,
    CreateClient,
    CreateFacts,
    Facts,
    GrantFacts,
    NewClientObject,
    UpdateClient,
)
from doorward.protocol.client_authentication import authenticate
from doorward.protocol.decision import Decision
from doorward.protocol.entities import UNUSED, Api, Grant
from doorward.protocol.events import ClientCreated, ClientDeleted, ClientUpdated, GrantChanged, GrantCreated

KNOWN = CreateFacts(an_account(), an_api())


def create(facts: CreateFacts = KNOWN, **fields: Any) -> Decision[NewClientObject]:
    body = CreateClient(**{"account": "acme", "name": "worker", "api": IDENTIFIER, "scope": "read", **fields})
    return client.create(asked(body), facts, POLICY, a_moment())


def created(decision: Decision[NewClientObject]) -> ClientCreated:
    (event,) = decision.events
    assert isinstance(event, ClientCreated)
    return event


def update(
    facts: ClientFacts | None = None, named: Api | None = None, if_match: str | None = None, **fields: Any
) -> Decision[ClientObject]:
    asked_for = asked(UpdateClient(**fields), if_match=if_match)
    return client.update(asked_for, Facts(facts or a_client(), named), POLICY, a_moment())


# Creation


def test_a_new_client_gets_a_secret_that_is_shown_once_and_kept_as_a_mac() -> None:
    decision = create()
    event = created(decision)
    assert event.secret == kept(decision.reply.client_secret, event.client.id, created_at=NOW)
    assert event.secret.kind == "s"
    assert decision.reply.client_secret not in repr(decision)
    shown_as = [name for name, value in asdict(decision.reply).items() if value == decision.reply.client_secret]
    assert shown_as == ["client_secret"]


def test_a_new_client_can_authenticate() -> None:
    decision = create()
    event = created(decision)
    facts = ClientFacts(event.client, an_account(), (event.secret,), ())
    shown = credentials(decision.reply.client_id, decision.reply.client_secret)
    assert authenticate(shown, facts, POLICY, a_moment()) == event.client


def test_a_new_client_has_one_grant_for_its_api() -> None:
    decision = create(scope="write read")
    event = created(decision)
    (grant,) = event.grants
    assert grant == Grant(grant.id, event.client.id, "api_1", scope("read write"), NOW)
    assert decision.reply.apis == [ClientApiObject(IDENTIFIER, "read write", grant.id)]


def test_a_new_client_may_use_client_credentials_with_either_method() -> None:
    reply = create().reply
    assert (reply.grant_types, reply.token_endpoint_auth_method) == (["client_credentials"], None)
    assert (reply.state, reply.account, reply.name, reply.version) == ("active", "acme", "worker", 1)
    assert create(token_endpoint_auth_method="client_secret_post").reply.token_endpoint_auth_method == (
        "client_secret_post"
    )


@pytest.mark.parametrize("grant_types", [[], ["client_credentials", "client_credentials"]])
def test_each_grant_type_is_named_once(grant_types: list[str]) -> None:
    with refused("invalid_fields", reason="field_invalid") as caught:
        create(grant_types=grant_types)
    assert [name for name, _ in caught.value.fields] == ["grant_types"]


@pytest.mark.parametrize("facts", [CreateFacts(None, an_api()), CreateFacts(an_account(), None)])
def test_a_client_needs_an_account_and_an_api(facts: CreateFacts) -> None:
    with refused("not_found", reason="entity_unknown"):
        create(facts)


INVALID = [
    {"name": ""},
    {"name": "a\nb"},
    {"scope": "delete", "api": IDENTIFIER},
    {"scope": " ", "api": IDENTIFIER},
    {"metadata": {"\x00": 1}},
]


@pytest.mark.parametrize("fields", INVALID)
def test_neither_a_new_client_nor_a_changed_one_may_have_such_a_field(fields: dict[str, Any]) -> None:
    with refused("invalid_fields", reason="field_invalid"):
        create(**fields)
    with refused("invalid_fields", reason="field_invalid"):
        update(named=an_api(), **fields)


# Changes


def test_what_is_not_named_in_an_update_stays() -> None:
    before = a_client(metadata={"team": 7}, token_endpoint_auth_method="client_secret_basic")
    renamed = replace(before.client, name="new", updated_at=NOW, version=2)
    assert update(before, name="new") == Decision(
        client.show(replace(before, client=renamed)), (ClientUpdated(renamed),)
    )  # fmt: skip


def test_a_client_is_disabled_and_enabled() -> None:
    assert update(state="disabled").events == (ClientUpdated(changed(state="disabled")),)
    assert update(a_client(state="disabled"), state="active").reply.state == "active"
    assert update(a_client(state="disabled"), name="new").reply.state == "disabled"


def changed(**fields: Any) -> Any:
    return replace(a_client().client, updated_at=NOW, version=2, **fields)


def test_metadata_and_method_can_be_changed() -> None:
    reply = update(metadata={"team": 8}, token_endpoint_auth_method="client_secret_post").reply
    assert (reply.metadata, reply.token_endpoint_auth_method) == ({"team": 8}, "client_secret_post")
    assert update(a_client(metadata={"team": 7}), metadata={}).reply.metadata == {}


def test_a_client_is_given_another_api() -> None:
    decision = update(named=another_api(), api="other", scope="write")
    grant = decision.events[1].grant  # type: ignore[union-attr]
    assert decision.events == (
        ClientUpdated(changed()), GrantCreated(Grant(grant.id, "client_1", "api_2", scope("write"), NOW)),
    )  # fmt: skip
    assert [(shown.api, shown.scope) for shown in decision.reply.apis] == [
        (IDENTIFIER, "read write"),
        ("https://other.example.com", "write"),
    ]


def test_the_grant_for_an_api_that_it_has_is_changed() -> None:
    other = a_grant(another_api(), "read")
    decision = update(a_client(a_grant(), other), an_api(), api=IDENTIFIER, scope="read")
    narrowed = replace(a_grant().grant, scope=scope("read"), version=2)
    assert decision.events == (ClientUpdated(changed()), GrantChanged(narrowed))
    assert {(shown.api, shown.scope, shown.grant_id) for shown in decision.reply.apis} == {
        (IDENTIFIER, "read", narrowed.id),
        ("https://other.example.com", "read", other.grant.id),
    }


@pytest.mark.parametrize("fields", [{"api": IDENTIFIER}, {"scope": "read"}])
def test_api_and_scope_come_together(fields: dict[str, Any]) -> None:
    with refused("invalid_fields", reason="field_invalid") as caught:
        update(named=an_api(), **fields)
    assert [name for name, _ in caught.value.fields] == ["scope"]


def test_an_unknown_api_cannot_be_given() -> None:
    with refused("not_found", reason="entity_unknown"):
        update(api="unknown", scope="read")


def test_a_deleted_client_is_gone_with_its_version() -> None:
    deleted = replace(a_client().client, state="deleted", version=2)
    assert client.delete(asked(), Facts(a_client()), POLICY, a_moment()) == Decision(None, (ClientDeleted(deleted),))


@pytest.mark.parametrize(("change", "body"), [(client.update, UpdateClient(name="new")), (client.delete, None)])
def test_a_change_needs_a_client_of_the_version_that_was_read(change: Any, body: Any) -> None:
    with refused("not_found", reason="entity_unknown"):
        change(asked(body), Facts(None), POLICY, a_moment())
    with refused("precondition_failed", reason="version_changed"):
        change(asked(body, if_match='"7"'), Facts(a_client()), POLICY, a_moment())
    assert change(asked(body, if_match='"1"'), Facts(a_client()), POLICY, a_moment()).events


# What is shown


def test_a_client_is_shown_without_its_secret() -> None:
    shown = client.show(a_client())
    assert shown == ClientObject(
        "client_1", "worker", "acme", ["client_credentials"], None,
        [ClientApiObject(IDENTIFIER, "read write", "grant_api_1")], "active", {}, EARLIER, EARLIER, 1,
        [], [], False, False, None, None, "RS256", None, False, [rotation.show(a_client().secrets[0], UNUSED)],
    )  # fmt: skip
    assert CLIENT_SECRET not in repr(a_client())


def test_a_client_rests_on_its_account_grants_and_apis() -> None:
    facts = a_client(a_grant(), GrantFacts(a_grant(another_api()).grant, another_api()))
    assert set(facts.refs) == {
        "client/client_1", "account/acme", "grant/grant_api_1", "api/api_1", "grant/grant_api_2", "api/api_2",
        "deployment/all",
    }  # fmt: skip
