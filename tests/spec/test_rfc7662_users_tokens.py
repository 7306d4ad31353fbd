"""Introspection of what a user allowed: RFC 7662 §2.1, §2.2 and §4 (T059, T100; decisions 9 and 13)."""

from __future__ import annotations

import base64
import hashlib

import pytest
from tests.browsing import a_public_app, a_user, an_app, refresh, signed_in, tokens

INACTIVE = {"active": False}


@pytest.fixture(params=["jwt", "opaque"])
def api(request, doorward):
    return doorward.an_api(token_format=request.param)["identifier"]


@pytest.fixture
def verifier(doorward, api):
    return doorward.a_verifier(api=api)


@pytest.fixture
def client(doorward, api):
    return an_app(doorward, api=api)


def test_2_2_the_subject_is_the_user_and_the_client_is_named_beside_him(doorward, browser, user, api, client, verifier):
    answer = doorward.introspect(verifier, tokens(browser, client, scope="invoices:read")["access_token"])
    assert (answer["active"], answer["token_type"]) == (True, "Bearer")
    assert (answer["sub"], answer["client_id"]) == (user["id"], client["client_id"])
    assert (answer["iss"], answer["aud"], answer["scope"]) == (doorward.issuer, api, "invoices:read")
    assert answer["exp"] - answer["iat"] == 300


def test_2_2_how_he_signed_in_is_told_and_what_he_is_called_is_not(doorward, browser, user, client, verifier):
    """`username` is optional; who needs the user's name asks him for it (OpenID Connect), and a verifier needs none."""
    answer = doorward.introspect(verifier, tokens(browser, client)["access_token"])
    assert answer["auth_time"] <= answer["iat"]
    assert (answer["acr"], answer["sid"].startswith("session_")) == ("1", True)
    assert "username" not in answer
    assert user["username"] not in str(answer)


def test_2_2_the_account_that_the_client_acts_for_is_the_users(doorward):
    user, account = a_user(doorward), doorward.an_account()
    doorward.create("/memberships", user=user["id"], account=account["id"], role="owner")
    client = an_app(doorward)
    answer = doorward.introspect(client, tokens(signed_in(doorward, user), client)["access_token"])
    assert (answer["account"], answer["client_account"]) == (account["id"], client["account"])


def test_2_2_without_an_account_of_his_none_is_told(doorward, browser, client, verifier):
    answer = doorward.introspect(verifier, tokens(browser, client)["access_token"])
    assert ("account" in answer, answer["client_account"]) == (False, client["account"])


def test_2_2_a_refresh_token_is_told_to_its_client(doorward, browser, user, client):
    answer = doorward.introspect(client, tokens(browser, client)["refresh_token"])
    assert (answer["active"], answer["credential"], answer["sub"]) == (True, "refresh_token", user["id"])
    assert (answer["client_id"], answer["scope"]) == (client["client_id"], "invoices:read invoices:write")
    assert answer["exp"] > answer["iat"]
    assert not {"aud", "token_type"} & answer.keys(), "it opens nothing at an api"


def test_2_2_one_that_was_rotated_is_inactive_even_within_the_overlap(doorward, browser, client):
    first = tokens(browser, client)["refresh_token"]
    second = refresh(doorward, client, first).json()["refresh_token"]
    assert doorward.introspect(client, first) == INACTIVE
    assert doorward.introspect(client, second)["active"] is True


def test_t059_nobody_else_is_told_of_a_refresh_token(doorward, browser, api, client, verifier):
    """§4: a protected resource must not learn what only the client may present."""
    token = tokens(browser, client)["refresh_token"]
    assert doorward.introspect(verifier, token) == INACTIVE
    assert doorward.introspect(an_app(doorward, api=api), token) == INACTIVE
    digest = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")
    assert doorward.post("introspect", verifier, token_sha256=digest).json() == INACTIVE


def test_t100_a_verifier_of_another_api_is_told_nothing(doorward, browser, client):
    got = tokens(browser, client)
    for token in (got["access_token"], got["refresh_token"]):
        assert doorward.introspect(doorward.a_verifier(), token) == INACTIVE


def test_t100_neither_is_another_client_of_the_same_user(doorward, browser, api, client):
    other = an_app(doorward, api=api)
    tokens(browser, other)
    assert doorward.introspect(other, tokens(browser, client)["access_token"]) == INACTIVE


def test_2_1_a_public_client_cannot_ask(doorward, browser):
    """To prevent token scanning attacks, the endpoint MUST also require some form of authorization."""
    client = a_public_app(doorward)
    token = tokens(browser, client)["access_token"]
    reply = doorward.post("introspect", None, token=token, client_id=client["client_id"])
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/users/{user}/disable", None),
        ("/clients/{client}", {"state": "disabled"}),
        ("/accounts/{account}/suspend", None),
    ],
)
def test_2_2_what_hangs_on_something_that_was_stopped_is_inactive(doorward, api, verifier, path, body):
    user, client = a_user(doorward), an_app(doorward, api=api)
    got = tokens(signed_in(doorward, user), client)
    where = path.format(user=user["id"], client=client["client_id"], account=client["account"])
    assert doorward.v1("POST" if body is None else "PATCH", where, body).status_code == 200
    assert doorward.introspect(verifier, got["access_token"]) == INACTIVE


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_2_2_and_so_is_what_acts_for_an_account_that_was_suspended_meanwhile(doorward, which):
    """However lately it was found to be good."""
    user, account, client = a_user(doorward), doorward.an_account(), an_app(doorward)
    doorward.create("/memberships", user=user["id"], account=account["id"], role="owner")
    token = tokens(signed_in(doorward, user), client)[which]
    assert [doorward.introspect(client, token)["active"] for _ in range(2)] == [True, True]
    assert doorward.v1("POST", f"/accounts/{account['id']}/suspend").status_code == 200
    assert doorward.introspect(client, token) == INACTIVE
