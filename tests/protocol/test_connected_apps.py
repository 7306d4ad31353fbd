"""What a user sees of apps and keys on his page, and ends there (decision 8)."""

from __future__ import annotations

from dataclasses import replace

from tests.protocol.given import (
    EARLIER,
    NOW,
    POLICY,
    a_client,
    a_moment,
    a_user_grant,
    an_api,
    another_api,
    scope,
)

from doorward.protocol import connected_apps
from doorward.protocol.connected_apps import Allowed, Disconnect
from doorward.protocol.events import GrantRevoked

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


def test_a_grant_that_has_ended_does_not_end_again() -> None:
    live, ended = a_user_grant(), a_user_grant(id="grant_v", revoked_at=EARLIER)
    decision = connected_apps.disconnect(Disconnect("user_1", "client_1"), (live, ended), POLICY, a_moment())
    assert (decision.reply, len(decision.events)) == (1, 1)
