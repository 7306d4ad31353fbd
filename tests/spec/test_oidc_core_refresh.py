"""Refreshed ID tokens: OpenID Connect Core §12."""

from __future__ import annotations

import pytest
from tests.browsing import Browser, a_public_app, an_app, refresh, signed_in
from tests.openid import EVERYTHING, identified, identity, known, somebody, userinfo


@pytest.fixture
def user(ada):
    return ada


def renewed(doorward, client, tokens, **form):
    reply = refresh(doorward, client, tokens["refresh_token"], **form)
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.mark.parametrize("app", [an_app, a_public_app])
def test_it_tells_of_the_same_sign_in(doorward, browser, app):
    """§12.2: iss, sub, aud and auth_time MUST be those of the original; iat MUST be the refresh's; no nonce."""
    client = app(doorward)
    first = identified(browser, client)
    before = identity(doorward, first, client)
    again = renewed(doorward, client, first)
    after = identity(doorward, again, client, nonce=None)
    changed = {"iat", "exp", "at_hash", "nonce"}
    assert {name: after[name] for name in after.keys() - changed} == {
        name: before[name] for name in before.keys() - changed
    }
    assert after["iat"] >= before["iat"]
    assert after["at_hash"] != before["at_hash"]
    assert "nonce" not in after


def test_signing_in_anew_meanwhile_changes_nothing(doorward):
    """It is about the grant's own sign-in."""
    user, client = somebody(doorward), an_app(doorward)
    browser = Browser(doorward)
    first = identified(browser, client, user)
    before = identity(doorward, first, client)
    second = identity(doorward, identified(browser, client, user, prompt="login"), client)
    assert second["sid"] != before["sid"]


def test_who_may_act_while_the_user_is_away_gets_one_after_he_left(doorward):
    user, client = somebody(doorward), an_app(doorward)
    first = identified(signed_in(doorward, user), client, scope="openid offline_access")
    before = identity(doorward, first, client)
    assert doorward.v1("POST", f"/sessions/{before['sid']}/revoke").status_code == 200
    after = identity(doorward, renewed(doorward, client, first), client, nonce=None)
    assert (after["sub"], after["auth_time"], after["sid"]) == (before["sub"], before["auth_time"], before["sid"])


def test_who_may_not_gets_none(doorward):
    user, client = somebody(doorward), an_app(doorward)
    first = identified(signed_in(doorward, user), client)
    sid = identity(doorward, first, client)["sid"]
    assert doorward.v1("POST", f"/sessions/{sid}/revoke").status_code == 200
    assert refresh(doorward, client, first["refresh_token"]).json()["error"] == "invalid_grant"
    assert userinfo(doorward, first["access_token"]).status_code == 401


def test_a_smaller_scope_tells_less(doorward, browser):
    client = an_app(doorward)
    first = identified(browser, client, scope=EVERYTHING)
    less = renewed(doorward, client, first, scope="openid email")
    assert known(doorward, less["access_token"]).keys() == {"sub", "email", "email_verified"}
    none = renewed(doorward, client, less, scope="email")
    assert "id_token" not in none
    assert userinfo(doorward, none["access_token"]).status_code == 403
    all_again = renewed(doorward, client, none)
    assert "address" in known(doorward, all_again["access_token"])
    assert identity(doorward, all_again, client, nonce=None)


def test_the_users_new_name_is_told_and_his_subject_is_the_old_one(doorward):
    user, client = somebody(doorward), an_app(doorward)
    first = identified(signed_in(doorward, user), client, scope="openid profile", claims='{"id_token": {"name": null}}')
    assert identity(doorward, first, client)["name"] == "Ada Lovelace"
    doorward.v1("PATCH", f"/users/{user['id']}", {"name": "Ada King"})
    again = renewed(doorward, client, first)
    after = identity(doorward, again, client, nonce=None)
    assert (after["sub"], after["name"]) == (user["id"], "Ada King")
    for token in (first["access_token"], again["access_token"]):
        assert known(doorward, token)["name"] == "Ada King"
