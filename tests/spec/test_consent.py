"""The consent page: who asks, for what, in whose words, and what becomes of each answer (T149, decisions 8 and 32)."""

from __future__ import annotations

import pytest
from tests.browsing import (
    Browser,
    Page,
    a_code,
    a_public_app,
    a_user,
    address_of,
    an_app,
    asking,
    consent_page,
    redeem,
    refresh,
    sent_back,
    signed_in,
    tokens,
)


@pytest.fixture
def doorward(on_sqlite):
    return on_sqlite


READ, WRITE = "Read your invoices", "Create and change invoices"


def asked(browser: Browser, client, **parameters) -> Page:
    """The page that this request leads to."""
    return consent_page(browser, browser.get(address_of(asking(client, **parameters))))


def answered(browser: Browser, page: Page, **fields):
    return sent_back(browser.submit(page, **fields))


class TestWhatItSays:
    def test_who_asks_for_what_and_who_will_hear_of_the_answer(self, doorward, browser, user):
        client = an_app(doorward, name="Ledger", redirect_uris=["https://ledger.example:8443/cb"])
        text = asked(browser, client, redirect_uri="https://ledger.example:8443/cb").text
        for said in ("Ledger", READ, WRITE, "ledger.example:8443", user["username"]):
            assert said in text

    def test_each_scope_in_the_words_of_the_apis_owner(self, doorward, browser):
        api = doorward.an_api(scopes={"a": "See <b>all</b> of it", "b": "Change it"})
        page = asked(browser, an_app(doorward, api=api["identifier"], scope="a b"))
        assert "See &lt;b&gt;all&lt;/b&gt; of it" in page.text
        assert "Change it" in page.text
        assert page.boxes == ["scope.a", "scope.b"]

    def test_only_what_was_asked_for(self, doorward, browser):
        page = asked(browser, an_app(doorward), scope="invoices:read")
        assert (READ in page.text, WRITE in page.text) == (True, False)

    def test_what_is_new_since_last_time_and_nothing_at_the_first(self, doorward, browser):
        client = an_app(doorward)
        assert 'class="tag"' not in asked(browser, client).text
        tokens(browser, client, scope="invoices:read")
        page = asked(browser, client, scope="invoices:read invoices:write")
        (marked,) = [line for line in page.text.splitlines() if 'class="tag"' in line]
        assert WRITE in marked

    def test_what_was_ended_is_new_to_nobody(self, doorward, browser, user):
        client = an_app(doorward)
        tokens(browser, client, scope="invoices:read")
        for one in doorward.v1("GET", f"/grants?client={client['client_id']}&user={user['id']}").json()["items"]:
            doorward.v1("POST", f"/grants/{one['id']}/revoke")
        assert 'class="tag"' not in asked(browser, client, scope="invoices:read invoices:write").text

    @pytest.mark.parametrize(
        ("uri", "warns"),
        [
            ("http://127.0.0.1:5000/cb", True),
            ("http://[::1]:5000/cb", True),
            ("https://client.example/callback", False),
        ],
    )
    def test_a_warning_where_any_program_of_the_device_could_ask(self, doorward, browser, uri, warns):
        uris = ["http://127.0.0.1/cb", "http://[::1]/cb", "https://client.example/callback"]
        page = asked(browser, a_public_app(doorward, redirect_uris=uris), redirect_uri=uri)
        assert ("on your own device" in page.text) is warns

    def test_its_form_may_lead_to_the_client_and_nowhere_else(self, doorward, browser):
        client = an_app(doorward, redirect_uris=["https://ledger.example:8443/cb"])
        address = address_of(asking(client, redirect_uri="https://ledger.example:8443/cb"))
        reply = browser.get(browser.get(address).headers["location"])
        (allowed,) = [part for part in reply.headers["content-security-policy"].split(";") if "form-action" in part]
        assert allowed.split() == ["form-action", "'self'", "https://ledger.example:8443"]


class TestYes:
    def test_of_what_is_optional_he_may_leave_something_out(self, doorward, browser):
        client = an_app(doorward)
        page = asked(browser, client)
        del page.fields["scope.invoices:write"]
        code = answered(browser, page, answer="allow")["code"]
        got = redeem(doorward, client, code).json()
        assert got["scope"] == "invoices:read"
        assert refresh(doorward, client, got["refresh_token"]).json()["scope"] == "invoices:read"

    def test_what_he_left_out_is_asked_again_and_is_new(self, doorward, browser):
        client = an_app(doorward)
        page = asked(browser, client)
        del page.fields["scope.invoices:write"]
        answered(browser, page, answer="allow")
        again = asked(browser, client)
        assert again.text.count('class="tag"') == 1
        told = sent_back(browser.get(address_of(asking(client, prompt="none"))))
        assert told["error"] == "consent_required"
        assert "code" in sent_back(browser.get(address_of(asking(client, prompt="none", scope="invoices:read"))))

    def test_what_the_client_cannot_do_without_is_shown_and_fixed(self, doorward, browser):
        client = an_app(doorward)
        page = asked(browser, client, scope="openid invoices:read")
        assert "Know who you are" in page.text
        assert "scope.openid" not in page.fields
        code = answered(browser, page, answer="allow")["code"]
        assert set(redeem(doorward, client, code).json()["scope"].split()) == {"openid", "invoices:read"}

    def test_nothing_that_was_not_asked_for_is_allowed_by_a_form_that_says_so(self, doorward, browser):
        client = an_app(doorward)
        page = asked(browser, client, scope="invoices:read")
        more = {"scope.invoices:write": "on", "scope.email": "on", "scope.admin": "on"}
        code = answered(browser, page, answer="allow", **more)["code"]
        assert redeem(doorward, client, code).json()["scope"] == "invoices:read"

    def test_it_is_remembered_for_this_client_and_scope_alone(self, doorward, browser):
        api = doorward.an_api()
        client, other = (an_app(doorward, api=api["identifier"]) for _ in range(2))
        a_code(browser, client, scope="invoices:read")
        assert "code" in sent_back(browser.get(address_of(asking(client, scope="invoices:read"))))
        asked(browser, client, scope="invoices:write")
        asked(browser, other, scope="invoices:read")

    def test_and_for_this_user_alone(self, doorward, browser):
        client = an_app(doorward)
        a_code(browser, client)
        asked(signed_in(doorward, a_user(doorward)), client)

    def test_and_for_this_api_alone(self, doorward, browser):
        first, second = doorward.an_api(), doorward.an_api()
        client = an_app(doorward, api=first["identifier"])
        body = {"api": second["identifier"], "scope": "invoices:read invoices:write"}
        doorward.v1("PATCH", f"/clients/{client['client_id']}", body)
        a_code(browser, client, resource=first["identifier"])
        asked(browser, client, resource=second["identifier"])

    def test_it_adds_up(self, doorward, browser):
        """Decision 8: the union of what lives."""
        client = an_app(doorward)
        for scope in ("invoices:read", "invoices:write"):
            a_code(browser, client, scope=scope)
        assert "code" in sent_back(browser.get(address_of(asking(client, scope="invoices:read invoices:write"))))


class TestNo:
    def test_the_client_hears_it_and_the_request_is_over(self, doorward, browser):
        client = an_app(doorward)
        page = asked(browser, client)
        told = answered(browser, page, answer="deny")
        assert (told["error"], told["state"], told["iss"]) == ("access_denied", "af0ifjsldkj", doorward.issuer)
        assert browser.submit(page, answer="allow").status_code == 400
        asked(browser, client)

    @pytest.mark.parametrize("answer", ["", "yes", "Allow", "deny"])
    def test_whatever_is_not_yes_is_no(self, doorward, browser, answer):
        assert answered(browser, asked(browser, an_app(doorward)), answer=answer)["error"] == "access_denied"

    def test_to_allow_none_of_it_is_no(self, doorward, browser):
        page = asked(browser, an_app(doorward))
        page.fields = {name: value for name, value in page.fields.items() if not name.startswith("scope.")}
        assert answered(browser, page, answer="allow")["error"] == "access_denied"

    def test_it_leaves_nothing_behind_but_a_line_in_the_audit_log(self, doorward, browser, user):
        client = an_app(doorward)
        answered(browser, asked(browser, client), answer="deny")
        of_both = f"client={client['client_id']}&user={user['id']}"
        assert doorward.v1("GET", f"/grants?{of_both}").json()["items"] == []
        log = doorward.v1("GET", "/audit?type=AuthorizationDenied&order=desc&limit=1").json()["items"]
        assert log[0]["data"] == {"client_id": client["client_id"], "user_id": user["id"]}

    def test_what_he_allowed_earlier_lives_on(self, doorward, browser):
        client = an_app(doorward)
        got = tokens(browser, client, scope="invoices:read")
        answered(browser, asked(browser, client), answer="deny")
        assert doorward.introspect(client, got["access_token"])["active"] is True


class TestOurOwn:
    """First-party clients: the api's owner need not ask for himself."""

    def test_the_page_is_skipped(self, doorward, browser):
        client = an_app(doorward, first_party=True)
        told = sent_back(browser.get(address_of(asking(client, prompt="none"))))
        assert redeem(doorward, client, told["code"]).json()["scope"] == "invoices:read invoices:write"

    def test_but_not_the_sign_in(self, doorward):
        client = an_app(doorward, first_party=True)
        assert sent_back(Browser(doorward).get(address_of(asking(client, prompt="none"))))["error"] == "login_required"

    def test_unless_they_ask_for_it(self, doorward, browser):
        asked(browser, an_app(doorward, first_party=True), prompt="consent")

    def test_the_user_sees_and_ends_them_like_any_other(self, doorward, browser):
        client = an_app(doorward, first_party=True, name="Our own console")
        got = tokens(browser, client)
        page = Page(browser.get("/account").text)
        assert "Our own console" in page.text
        browser.post("/account/apps", {"csrf": page.fields["csrf"], "client": client["client_id"]})
        assert doorward.introspect(client, got["access_token"]) == {"active": False}


def test_the_page_of_one_user_is_not_answered_by_the_next(doorward, browser):
    """Somebody else signs in meanwhile in the same browser: his name stands on no page that he answered."""
    client, other = an_app(doorward), a_user(doorward)
    page = asked(browser, client)
    browser.sign_in(other["username"], "/login?request=authorization_x")
    reply = browser.submit(page, answer="allow")
    assert (reply.status_code, "location" in reply.headers) == (403, False)
