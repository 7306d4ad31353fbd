"""Grants as administrators see and end them; and whether one still holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.protocol.allowed import an_app, granted
from tests.protocol.given import (
    IDENTIFIER,
    NOW,
    POLICY,
    a_grant,
    a_moment,
    a_user,
    a_user_grant,
    an_api,
    asked,
    refused,
    scope,
)

from doorward.protocol import grant
from doorward.protocol.entities import Usage
from doorward.protocol.events import GrantRevoked
from doorward.protocol.grant import GrantObject, Shown, UserGrantFacts


def test_a_grant_is_shown_with_who_allowed_what_to_whom() -> None:
    shown = grant.show(Shown(a_user_grant(account_id="acme"), an_api(), Usage(3, NOW)))
    assert shown == GrantObject(
        "grant_u", "client_1", "user_1", "acme", IDENTIFIER, "read", 3, NOW, a_user_grant().created_at, None, 1
    )
    assert grant.show(Shown(a_grant().grant, an_api())).user is None
    assert grant.show(Shown(a_user_grant(api_id=None), None)).api is None


def test_a_grant_is_revoked_once_and_a_second_time_is_no_error() -> None:
    over = replace(a_user_grant(), revoked_at=NOW, version=2)
    decision = grant.revoke(asked(id="grant_u"), Shown(a_user_grant(), an_api()), POLICY, a_moment())
    assert (decision.events, decision.reply.revoked_at) == ((GrantRevoked(over),), NOW)
    again = grant.revoke(asked(id="grant_u"), Shown(over, an_api()), POLICY, a_moment(NOW + 5))
    assert (again.events, again.reply.revoked_at) == ((), NOW)


def test_whose_tokens_ended_can_still_be_revoked() -> None:
    kept = a_user_grant(tokens_revoked_at=NOW - 1)
    assert grant.end(kept, a_moment()) == (GrantRevoked(replace(kept, revoked_at=NOW, version=2)),)


def test_there_is_no_such_grant() -> None:
    with refused("not_found"):
        grant.revoke(asked(id="x"), None, POLICY, a_moment())


def test_what_holds_holds() -> None:
    assert grant.why_ended(granted(), an_app()) is None


@pytest.mark.parametrize(
    "of",
    [
        granted(grant=a_user_grant(revoked_at=NOW)), granted(grant=a_user_grant(tokens_revoked_at=NOW)),
        granted(user=a_user(state="disabled")), granted(acts_for_account=False), granted(session_has_ended=True),
    ],
)  # fmt: skip
def test_it_ends_with_what_it_hangs_on(of: UserGrantFacts) -> None:
    assert grant.why_ended(of, an_app()) == "grant_ended"


def test_it_ends_with_its_client() -> None:
    assert grant.why_ended(granted(), an_app(state="disabled")) == "grant_ended"


def test_for_whom_the_user_is_away_his_session_does_not_matter() -> None:
    of = granted(grant=a_user_grant(scope=scope("read offline_access")), session_has_ended=True)
    assert grant.why_ended(of, an_app()) is None


def test_it_is_for_its_own_resource() -> None:
    assert grant.is_for(granted(), ())
    assert grant.is_for(granted(), (IDENTIFIER,))
    for resources in (("https://other.example.com",), (IDENTIFIER, IDENTIFIER), (IDENTIFIER + "/",)):
        assert not grant.is_for(granted(), resources)
    assert not grant.is_for(granted(api=None), (POLICY.issuer,))


def test_it_rests_on_all_that_may_end_it() -> None:
    assert set(granted().refs) == {"grant/grant_u", "user/user_1", "session/session_1", "api/api_1"}
