"""Refreshing an access token sentence by sentence, RFC 6749 §6; what attackers try stands in `test_threats_d.py`."""

from __future__ import annotations

import pytest
from tests.browsing import a_public_app, an_app, refresh, tokens

BOTH = "invoices:read invoices:write"


@pytest.fixture
def doorward(on_sqlite):
    return on_sqlite


def refused(reply, error="invalid_grant", status=400):
    assert (reply.status_code, reply.json()["error"]) == (status, error), reply.text
    return True


def test_the_refresh_token_is_required(doorward):
    client = an_app(doorward)
    for form in ({}, {"refresh_token": ""}):
        assert refused(doorward.post("token", client, grant_type="refresh_token", **form), "invalid_request")


def test_a_confidential_client_authenticates(doorward, browser):
    """The client MUST authenticate with the authorization server as described in Section 3.2.1."""
    client = an_app(doorward)
    token = tokens(browser, client)["refresh_token"]
    for secret in (None, "x"):
        assert refused(refresh(doorward, {**client, "client_secret": secret}, token), "invalid_client", 401)
    assert refresh(doorward, client, token).status_code == 200


@pytest.mark.parametrize("app", [an_app, a_public_app])
def test_it_is_bound_to_the_client_that_it_was_issued_to(doorward, browser, app):
    """If client authentication is included, ensure that the refresh token was issued to the authenticated client."""
    client, other = app(doorward), app(doorward)
    token = tokens(browser, client)["refresh_token"]
    assert refused(refresh(doorward, other, token))
    assert refresh(doorward, client, token).status_code == 200


@pytest.mark.parametrize("cut", [slice(0, -1), slice(1, None), slice(0, 20)])
def test_it_is_validated(doorward, browser, cut):
    client = an_app(doorward)
    token = tokens(browser, client)["refresh_token"]
    assert refused(refresh(doorward, client, token[cut]))
    assert refused(refresh(doorward, client, token + "0"))
    assert refused(refresh(doorward, client, token.swapcase()))
    assert refresh(doorward, client, token).status_code == 200


def test_the_scope_includes_nothing_that_was_not_granted(doorward, browser):
    """The requested scope MUST NOT include any scope not originally granted by the resource owner."""
    client = an_app(doorward)
    token = tokens(browser, client, scope="invoices:read")["refresh_token"]
    for scope in (BOTH, "invoices:write", "offline_access", "openid invoices:read"):
        assert refused(refresh(doorward, client, token, scope=scope), "invalid_scope")


def test_without_one_it_is_the_scope_that_was_granted(doorward, browser):
    """If omitted is treated as equal to the scope originally granted by the resource owner."""
    client = an_app(doorward)
    assert refresh(doorward, client, tokens(browser, client, scope=BOTH)["refresh_token"]).json()["scope"] == BOTH


def test_the_new_refresh_token_has_the_scope_of_the_old_one(doorward, browser):
    """The refresh token scope MUST be identical to that of the refresh token included by the client in the request."""
    client = an_app(doorward)
    token = tokens(browser, client, scope=BOTH)["refresh_token"]
    for scope in ("invoices:read", "invoices:write", ""):
        got = refresh(doorward, client, token, scope=scope).json()
        assert got["scope"] == (scope or BOTH)
        token = got["refresh_token"]
        assert doorward.introspect(client, token)["scope"] == BOTH


def test_the_old_one_is_of_no_more_use_once_the_new_one_was_used(doorward, browser):
    """The authorization server MAY revoke the old refresh token after issuing a new refresh token to the client."""
    client = an_app(doorward)
    old = tokens(browser, client)["refresh_token"]
    new = refresh(doorward, client, old).json()["refresh_token"]
    assert doorward.introspect(client, old) == {"active": False}
    assert refresh(doorward, client, new).status_code == 200
    assert refused(refresh(doorward, client, old))


def test_the_user_account_and_grant_are_the_same_in_every_access_token_of_it(doorward, browser):
    client = an_app(doorward)
    got = tokens(browser, client)
    first = doorward.introspect(client, got["access_token"])
    later = doorward.introspect(client, refresh(doorward, client, got["refresh_token"]).json()["access_token"])
    for name in ("sub", "aud", "client_id", "grant_id", "auth_time", "acr", "sid"):
        assert later[name] == first[name]
    assert later["jti"] != first["jti"]
