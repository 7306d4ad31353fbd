"""Revocation by the client of what a user allowed it: RFC 7009 §2 (T060, T102; decision 9)."""

from __future__ import annotations

import pytest
from tests.browsing import a_code, a_public_app, address_of, an_app, asking, redeem, refresh, sent_back, tokens


@pytest.fixture(params=["jwt", "opaque"])
def api(request, doorward):
    return doorward.an_api(token_format=request.param)["identifier"]


def revoke(doorward, client, token, **form):
    """As the client that it is."""
    if client["client_secret"] is None:
        return doorward.post("revoke", None, token=token, client_id=client["client_id"], **form)
    return doorward.post("revoke", client, token=token, **form)


def silent(reply):
    """§2.2: 200, whatever it was."""
    assert (reply.status_code, reply.content) == (200, b"{}"), reply.text
    return True


def is_active(doorward, token):
    headers = {"authorization": f"Bearer {doorward.admin_key}"}
    return doorward.http.post("/oauth/introspect", data={"token": token}, headers=headers).json()["active"]


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_2_1_either_of_the_pair_ends_both_in_the_next_request(doorward, browser, api, which):
    """If the token is a refresh token, it SHOULD also invalidate all access tokens based on the same grant."""
    client, verifier = an_app(doorward, api=api), doorward.a_verifier(api=api)
    got = tokens(browser, client)
    assert silent(revoke(doorward, client, got[which]))
    assert doorward.introspect(verifier, got["access_token"]) == {"active": False}
    assert doorward.introspect(client, got["refresh_token"]) == {"active": False}
    assert refresh(doorward, client, got["refresh_token"]).json()["error"] == "invalid_grant"


def test_2_1_all_generations_end_together(doorward, browser, api):
    client = an_app(doorward, api=api)
    family = [tokens(browser, client)]
    for _ in range(3):
        family.append(refresh(doorward, client, family[-1]["refresh_token"]).json())
    assert silent(revoke(doorward, client, family[-1]["refresh_token"]))
    assert [is_active(doorward, one["access_token"]) for one in family] == [False] * 4


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "id_token", "x"])
def test_2_1_the_hint_is_but_a_hint(doorward, browser, hint):
    """If the server is unable to locate the token using the given hint, it MUST extend its search."""
    client = an_app(doorward)
    token = tokens(browser, client)["refresh_token"]
    assert silent(revoke(doorward, client, token, token_type_hint=hint))
    assert is_active(doorward, token) is False


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
@pytest.mark.parametrize("app", [an_app, a_public_app])
def test_2_1_it_is_verified_that_the_token_was_issued_to_this_client(doorward, browser, app, which):
    client, other = app(doorward), app(doorward)
    got = tokens(browser, client)
    assert silent(revoke(doorward, other, got[which]))
    assert [is_active(doorward, got[name]) for name in ("access_token", "refresh_token")] == [True, True]


def test_2_1_a_confidential_client_authenticates(doorward, browser):
    """The authorization server first validates the client credentials (in case of a confidential client)."""
    client = an_app(doorward)
    token = tokens(browser, client)["refresh_token"]
    for secret in (None, "x"):
        reply = revoke(doorward, {**client, "client_secret": secret}, token)
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")
    assert is_active(doorward, token) is True


def test_2_1_a_public_client_ends_its_own(doorward, browser):
    client = a_public_app(doorward)
    got = tokens(browser, client)
    assert silent(revoke(doorward, client, got["refresh_token"]))
    assert is_active(doorward, got["access_token"]) is False


@pytest.mark.parametrize("edit", [lambda text: text[:-1], lambda text: text + "0", str.swapcase, lambda text: text[4:]])
def test_2_2_what_is_no_token_is_no_error_and_ends_nothing(doorward, browser, edit):
    client = an_app(doorward)
    token = tokens(browser, client)["refresh_token"]
    assert silent(revoke(doorward, client, edit(token)))
    assert is_active(doorward, token) is True


def test_2_2_twice_is_no_error(doorward, browser):
    client = an_app(doorward)
    token = tokens(browser, client)["refresh_token"]
    assert silent(revoke(doorward, client, token))
    assert silent(revoke(doorward, client, token))


def test_an_old_refresh_token_leads_to_its_family_too(doorward, browser):
    """Whoever cleans up may have kept that one alone."""
    client = an_app(doorward)
    first = tokens(browser, client)
    second = refresh(doorward, client, first["refresh_token"]).json()
    assert silent(revoke(doorward, client, first["refresh_token"]))
    assert is_active(doorward, second["access_token"]) is False
    assert refresh(doorward, client, second["refresh_token"]).json()["reason"] == "grant_ended"


def test_another_authorization_of_the_same_user_and_client_lives_on(doorward, browser):
    client = an_app(doorward)
    ended, other = tokens(browser, client), tokens(browser, client)
    assert silent(revoke(doorward, client, ended["refresh_token"]))
    assert is_active(doorward, other["access_token"]) is True
    assert refresh(doorward, client, other["refresh_token"]).status_code == 200


def test_a_code_is_no_token_and_what_was_allowed_stays_allowed(doorward, browser):
    client = an_app(doorward)
    code = a_code(browser, client)
    assert silent(revoke(doorward, client, code))
    got = redeem(doorward, client, code).json()
    assert silent(revoke(doorward, client, got["refresh_token"]))
    assert "code" in sent_back(browser.get(address_of(asking(client, prompt="none"))))


def test_t102_it_is_pushed_to_the_verifiers(doorward, browser, api):
    client, verifier = an_app(doorward, api=api), doorward.a_verifier(api=api)
    got = tokens(browser, client)
    grant = doorward.introspect(client, got["access_token"])["grant_id"]
    assert silent(revoke(doorward, client, got["refresh_token"]))
    feed = doorward.http.get("/revocations", auth=(verifier["client_id"], verifier["client_secret"])).json()
    assert [(one["kind"], one["effect"]) for one in feed["entries"] if one["value"] == grant] == [("grant", "dead")]


def test_t102_it_is_in_the_audit_log_without_the_token(doorward, browser):
    client = an_app(doorward)
    got = tokens(browser, client)
    grant = doorward.introspect(client, got["access_token"])["grant_id"]
    reply = revoke(doorward, client, got["refresh_token"])
    page = doorward.v1("GET", f"/audit?entity={grant}&type=GrantTokensRevoked")
    (entry,) = page.json()["items"]
    assert (entry["actor"], entry["request_id"]) == (client["client_id"], reply.headers["x-request-id"])
    assert got["refresh_token"] not in page.text
