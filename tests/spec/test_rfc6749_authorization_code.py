"""The authorization code grant from end to end: RFC 6749 §4.1, with consent on its way and a refresh (§6)."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from tests.browsing import (
    CALLBACK,
    PROOF,
    Browser,
    Page,
    a_code,
    a_public_app,
    a_user,
    address_of,
    allowed,
    an_app,
    asking,
    consent_page,
    redeem,
    refresh,
    sent_back,
    signed_in,
    tokens,
)
from tests.deployment import API


def refused(reply, error, status=400):
    assert (reply.status_code, reply.json()["error"]) == (status, error), reply.text
    assert reply.headers["cache-control"] == "no-store"
    return True


def test_the_whole_way(doorward, user):
    """Sign-in, consent, code, token, refresh: nothing of it needs more than the addresses it is told."""
    client, visitor = an_app(doorward), Browser(doorward)
    asked = visitor.get(address_of(asking(client, state="s 1")))
    assert asked.status_code == 303
    assert urlsplit(asked.headers["location"]).path == "/login"
    entered = visitor.sign_in(user["username"], asked.headers["location"])
    page = consent_page(visitor, entered)
    assert "Read your invoices" in page.text
    assert "client.example" in page.text
    told = sent_back(visitor.submit(page, answer="allow"))
    assert told.keys() == {"code", "state", "iss"}
    assert (told["state"], told["iss"]) == ("s 1", doorward.issuer)

    answer = redeem(doorward, client, told["code"], redirect_uri=CALLBACK)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    got = answer.json()
    assert got.keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    claims = doorward.introspect(client, got["access_token"])
    assert (claims["sub"], claims["client_id"]) == (user["id"], client["client_id"])
    assert claims["aud"].startswith(API)
    again = refresh(doorward, client, got["refresh_token"]).json()
    assert again.keys() == got.keys()
    assert again["refresh_token"] != got["refresh_token"]


def test_what_was_allowed_once_is_not_asked_again(doorward, browser):
    client = an_app(doorward)
    a_code(browser, client, scope="invoices:read")
    assert "code" in sent_back(browser.get(address_of(asking(client, scope="invoices:read"))))
    assert "code" in sent_back(browser.get(address_of(asking(client, scope="invoices:read", prompt="none"))))
    page = consent_page(browser, browser.get(address_of(asking(client, scope="invoices:read invoices:write"))))
    assert page.text.count('class="tag"') == 1


def test_no_is_an_answer_too(doorward, browser):
    client = an_app(doorward)
    page = consent_page(browser, browser.get(address_of(asking(client))))
    told = sent_back(browser.submit(page, answer="deny"))
    assert (told["error"], told["state"], told["iss"]) == ("access_denied", "af0ifjsldkj", doorward.issuer)
    assert "code" not in told
    assert browser.submit(page, answer="allow").status_code == 400, "the authorization is over"


def test_the_user_may_allow_less(doorward, browser):
    client = an_app(doorward)
    page = consent_page(browser, browser.get(address_of(asking(client))))
    del page.fields["scope.invoices:write"]
    code = sent_back(browser.submit(page, answer="allow"))["code"]
    assert redeem(doorward, client, code).json()["scope"] == "invoices:read"


def test_our_own_client_does_not_ask(doorward, browser):
    client = an_app(doorward, first_party=True)
    assert "code" in sent_back(browser.get(address_of(asking(client))))


def test_the_same_page_can_be_answered_once(doorward, browser):
    client = an_app(doorward)
    page = consent_page(browser, browser.get(address_of(asking(client))))
    assert "code" in sent_back(browser.submit(page, answer="allow"))
    reply = browser.submit(page, answer="allow")
    assert (reply.status_code, "location" in reply.headers) == (400, False)


@pytest.mark.parametrize("method", ["get", "post"])
def test_get_and_post_are_served(doorward, browser, method):
    """§3.1: The authorization server MUST support GET and MAY support POST."""
    client = an_app(doorward, first_party=True)
    asked = asking(client)
    reply = browser.get(address_of(asked)) if method == "get" else browser.post("/oauth/authorize", asked)
    assert "code" in sent_back(reply)


def test_a_post_from_another_site_is_continued_by_a_get(doorward, browser):
    """Browsers send no cookie of ours with it."""
    client = an_app(doorward, first_party=True)
    from_elsewhere = {"origin": "https://client.example", "sec_fetch_site": "cross-site"}
    reply = Browser(doorward).post("/oauth/authorize", asking(client, state="ü %0d"), **from_elsewhere)
    assert reply.status_code == 303
    assert urlsplit(reply.headers["location"]).netloc == ""
    assert sent_back(browser.get(reply.headers["location"]))["state"] == "ü %0d"


def test_form_post_puts_the_answer_into_a_form(doorward, browser):
    client = an_app(doorward, first_party=True)
    reply = browser.get(address_of(asking(client, response_mode="form_post", state='"><script>alert(1)</script>')))
    assert reply.status_code == 200
    page = Page(reply.text)
    assert page.action == CALLBACK
    assert page.fields.keys() == {"code", "state", "iss"}
    assert page.fields["state"] == '"><script>alert(1)</script>'
    assert "<script>alert" not in reply.text
    assert "form-action https://client.example;" in reply.headers["content-security-policy"] + ";"
    assert doorward.http.get("/static/form_post.js").status_code == 200
    assert redeem(doorward, client, page.fields["code"]).status_code == 200


def test_form_post_carries_errors_too(doorward, browser):
    client = an_app(doorward)
    reply = browser.get(address_of(asking(client, response_mode="form_post", prompt="none")))
    assert Page(reply.text).fields["error"] == "consent_required"


def test_the_redirect_address_keeps_its_own_query(doorward, browser):
    """§3.1.2: The query component MUST be retained."""
    uri = "https://client.example/callback?tenant=1"
    client = an_app(doorward, first_party=True, redirect_uris=[uri])
    location = browser.get(address_of(asking(client, redirect_uri=uri))).headers["location"]
    assert location.startswith(f"{uri}&code=")


def test_the_client_is_told_what_is_wrong_and_hears_its_state(doorward, browser):
    """§4.1.2.1."""
    client = an_app(doorward)
    for changed, error in (
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"response_type": ""}, "invalid_request"),
        ({"resource": "https://unknown.example"}, "invalid_target"),
    ):
        told = sent_back(browser.get(address_of(asking(client, **changed))))
        assert told.keys() == {"error", "error_description", "state", "iss"}
        assert (told["error"], told["state"], told["iss"]) == (error, "af0ifjsldkj", doorward.issuer)


def test_a_client_that_asks_for_its_own_tokens_alone_gets_no_code(doorward, browser):
    client = an_app(doorward, grant_types=["client_credentials"])
    assert sent_back(browser.get(address_of(asking(client))))["error"] == "unauthorized_client"


def test_one_that_asks_users_alone_gets_no_token_for_itself(doorward):
    client = an_app(doorward)
    assert refused(doorward.post("token", client, grant_type="client_credentials"), "unauthorized_client")


def test_without_a_code_the_token_request_is_malformed(doorward):
    client = an_app(doorward)
    for form in ({}, {"code": ""}):
        reply = doorward.post("token", client, grant_type="authorization_code", code_verifier=PROOF.verifier, **form)
        assert refused(reply, "invalid_request")


@pytest.mark.parametrize("code", ["x", "A" * 43, "é", "a" * 8000])
def test_an_unknown_code_is_refused(doorward, code):
    assert refused(redeem(doorward, an_app(doorward), code), "invalid_grant")


def test_a_public_client_needs_no_secret_and_must_not_show_one(doorward, browser):
    """§3.2.1, T043."""
    client = a_public_app(doorward)
    assert "client_secret" not in client or client["client_secret"] is None
    got = tokens(browser, client)
    assert refresh(doorward, client, got["refresh_token"]).status_code == 200
    shown = {"grant_type": "refresh_token", "refresh_token": got["refresh_token"], "client_id": client["client_id"]}
    assert refused(doorward.post("token", None, **shown, client_secret="x"), "invalid_client", 401)
    assert refused(doorward.post("token", {**client, "client_secret": "x"}, **shown), "invalid_client", 401)


def test_a_confidential_client_must_show_its_secret(doorward, browser):
    client = an_app(doorward)
    code = a_code(browser, client)
    bare = {**client, "client_secret": None}
    assert refused(redeem(doorward, bare, code), "invalid_client", 401)
    assert redeem(doorward, client, code).status_code == 200, "the attempt did not burn it"


def test_the_token_is_for_the_account_that_the_user_chose(doorward):
    user = a_user(doorward)
    accounts = [doorward.an_account(name=f"Firm {number}") for number in range(2)]
    for account in accounts:
        doorward.create("/memberships", user=user["id"], account=account["id"], role="developer")
    browser, client = signed_in(doorward, user), an_app(doorward)
    page = consent_page(browser, browser.get(address_of(asking(client))))
    assert "Firm 0" in page.text
    code = sent_back(browser.submit(page, answer="allow", account=accounts[1]["id"]))["code"]
    token = redeem(doorward, client, code).json()["access_token"]
    assert doorward.introspect(client, token)["account"] == accounts[1]["id"]
    other = consent_page(browser, browser.get(address_of(asking(client, prompt="consent"))))
    reply = browser.submit(other, answer="allow", account="somebody-elses")
    assert (reply.status_code, "location" in reply.headers) == (400, False)
    doorward.v1("POST", f"/accounts/{accounts[1]['id']}/suspend")
    assert doorward.introspect(client, token) == {"active": False}


def test_only_the_issuer_hears_of_a_token_without_an_api(doorward, browser):
    """Decision 11."""
    account = doorward.an_account()
    body = {
        "account": account["id"],
        "name": "Books",
        "grant_types": ["authorization_code"],
        "redirect_uris": [CALLBACK],
    }
    client = doorward.create("/clients", **body)
    got = tokens(browser, client, scope="openid")
    assert doorward.introspect(client, got["access_token"])["aud"] == doorward.issuer
    assert "refresh_token" not in got
    assert sent_back(browser.get(address_of(asking(client, scope="invoices:read"))))["error"] == "invalid_scope"


class TestGrants:
    """`/v1/grants`, and the end of what a user allowed."""

    def test_a_users_grant_is_listed_shown_and_revoked(self, doorward, browser, user):
        client = an_app(doorward)
        got = tokens(browser, client, scope="invoices:read")
        items = doorward.v1("GET", f"/grants?user={user['username']}&client={client['client_id']}").json()["items"]
        assert [(one["scope"], one["user"], one["client"]) for one in items] == [
            ("invoices:read", user["id"], client["client_id"])
        ]
        id_ = items[0]["id"]
        assert doorward.v1("GET", f"/grants/{id_}").json() == items[0]
        assert doorward.v1("POST", f"/grants/{id_}/revoke").json()["revoked_at"]
        assert doorward.v1("POST", f"/grants/{id_}/revoke").status_code == 200
        assert doorward.introspect(client, got["access_token"]) == {"active": False}
        assert doorward.introspect(client, got["refresh_token"]) == {"active": False}
        assert refused(refresh(doorward, client, got["refresh_token"]), "invalid_grant")
        consent_page(browser, browser.get(address_of(asking(client, scope="invoices:read"))))

    def test_one_client_is_ended_without_hurting_another(self, doorward, browser, user):
        one, other = an_app(doorward), an_app(doorward)
        ended, living = tokens(browser, one), tokens(browser, other)
        grant = doorward.introspect(one, ended["access_token"])["grant_id"]
        doorward.v1("POST", "/revocations", {"grant": grant})
        assert doorward.introspect(one, ended["access_token"]) == {"active": False}
        assert doorward.introspect(other, living["access_token"])["active"]

    def test_a_scope_is_needed(self, doorward):
        for scope, method, path in (("grants:write", "GET", "/grants"), ("grants:read", "POST", "/grants/x/revoke")):
            assert doorward.v1(method, path, key=doorward.an_admin_key(scope)).status_code == 403


def test_a_plain_word_is_all_that_a_client_may_be_called_on_the_page(doorward, browser):
    """T143: what hides or turns the reading is written out, what is markup is text."""
    client = an_app(doorward, name='<img src=x onerror=alert(1)> "Books"')
    page = consent_page(browser, browser.get(address_of(asking(client))))
    assert "<img src=x" not in page.text
    assert "&lt;img src=x" in page.text


def test_allowed_is_what_the_page_showed(doorward, browser):
    assert "code" in allowed(browser, an_app(doorward), scope="openid invoices:read")
