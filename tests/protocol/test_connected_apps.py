"""What a user sees of apps and keys on his page, and ends there (decision 8)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.protocol.given import (
    NOW,
    POLICY,
    a_client,
    a_membership,
    a_moment,
    a_user_grant,
    an_api,
    an_api_key,
    another_api,
    refused,
    scope,
)

from doorward.protocol import connected_apps
from doorward.protocol.connected_apps import Allowed, Disconnect, EndKey, KeyFacts
from doorward.protocol.events import ApiKeyRevoked, GrantRevoked

CLIENT = a_client().client
READS = Allowed(CLIENT, an_api(), scope("read"), 9, 50)
OTHER = Allowed(CLIENT, another_api(), scope("write"), 5, 70)


def test_all_that_one_app_may_is_one_entry() -> None:
    (app,) = connected_apps.apps((READS, OTHER))
    assert app.scopes == {"read": "Read your invoices", "write": "Change your invoices"}
    assert (app.since, app.last_used_at) == (5, 70)


def test_apps_stand_in_the_order_of_their_names() -> None:
    first = replace(OTHER, client=replace(CLIENT, id="client_2", name="Abacus"))
    assert [app.client.name for app in connected_apps.apps((READS, first))] == ["Abacus", "worker"]


def test_what_no_api_describes_is_left_to_the_page() -> None:
    (app,) = connected_apps.apps((replace(READS, api=None, last_used_at=None),))
    assert (app.scopes, app.last_used_at) == ({"read": ""}, None)


def test_disconnecting_ends_every_grant_at_once() -> None:
    both = (a_user_grant(), a_user_grant(id="grant_v"))
    decision = connected_apps.disconnect(Disconnect("user_1", "client_1"), both, POLICY, a_moment())
    assert decision.events == tuple(GrantRevoked(replace(one, revoked_at=NOW, version=2)) for one in both)
    assert connected_apps.disconnect(Disconnect("user_1", "client_1"), (), POLICY, a_moment()).events == ()


@pytest.mark.parametrize("role", ["owner", "developer"])
def test_who_manages_the_account_ends_its_keys(role: str) -> None:
    decision = connected_apps.end_key(
        EndKey("user_1", "key_1"), KeyFacts(an_api_key(), (a_membership(role=role),)), POLICY, a_moment()
    )
    (event,) = decision.events
    assert isinstance(event, ApiKeyRevoked)
    assert (event.api_key.state, event.api_key.revoked_at) == ("revoked", NOW)


@pytest.mark.parametrize(
    "facts",
    [KeyFacts(), KeyFacts(an_api_key()), KeyFacts(an_api_key(), (a_membership(role="viewer"),)),
     KeyFacts(an_api_key(), (a_membership(account_id="other"),))],
    ids=["unknown", "no member", "viewer", "elsewhere"],
)  # fmt: skip
def test_to_everybody_else_there_is_no_such_key(facts: KeyFacts) -> None:
    with refused("not_found"):
        connected_apps.end_key(EndKey("user_1", "key_1"), facts, POLICY, a_moment())


def test_a_key_that_has_ended_ends_once() -> None:
    facts = KeyFacts(an_api_key(state="revoked"), (a_membership(),))
    assert connected_apps.end_key(EndKey("user_1", "key_1"), facts, POLICY, a_moment()).events == ()
