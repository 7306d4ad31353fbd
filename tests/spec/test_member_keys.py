"""Users make, rotate and end keys of the accounts that they belong to, on their own page (T165, T166)."""

from __future__ import annotations

import html
import re

import pytest
from tests.people import PASSWORD, a_browser, signed_in

NEW, ROTATE = "/account/keys/new", "/account/keys/rotate"
READ = {"scope.invoices:read": "on"}
KEY = re.compile(r'value="(dw_(?:live|test)_[0-9A-Za-z]{50})"')


@pytest.fixture
def api(doorward):
    return doorward.an_api(self_service=["invoices:read"])


@pytest.fixture
def account(doorward):
    return doorward.an_account()["id"]


def a_member(doorward, account, role="developer"):
    user, browser = signed_in(doorward)
    doorward.create("/memberships", user=user["username"], account=account, role=role)
    return user, browser


def make(browser, api, account, **fields):
    given = {"api": api["id"], "account": account, "name": "mine", "lifetime": "90", "environment": "live"}
    return browser.submit("/account", NEW, **{**given, **READ, **fields})


def made(reply):
    assert reply.status_code == 200, reply.text
    (text,) = KEY.findall(reply.text)
    return text


def keys_of(doorward, account):
    return doorward.v1("GET", f"/keys?account={account}&limit=200").json()["items"]


def verify(doorward, text, **body):
    return doorward.v1("POST", "/keys/verify", {"key": text, **body}).json()


def long_ago(doorward, user):
    """His sign-in was before the last quarter of an hour."""
    doorward.sql("UPDATE sessions SET auth_time = 1 WHERE user_id = :id", id=user["id"])


class TestMaking:
    def test_a_member_makes_a_key_that_is_shown_once(self, doorward, api, account):
        user, browser = a_member(doorward, account)
        page = browser.page(f"{NEW}?api={api['id']}")
        assert "Read your invoices" in page.said
        assert "Create and change invoices" not in page.said
        reply = make(browser, api, account, name="nightly export")
        assert reply.headers["cache-control"] == "no-store"
        text = made(reply)
        assert verify(doorward, text, scope="invoices:read")["active"]
        (key,) = keys_of(doorward, account)
        assert (key["name"], key["user"], key["scope"]) == ("nightly export", user["id"], "invoices:read")
        seen = browser.get("/account").text
        assert "nightly export" in seen
        assert text not in seen

    def test_the_audit_log_names_him_and_not_the_key(self, doorward, api, account):
        user, browser = a_member(doorward, account)
        text = made(make(browser, api, account))
        told = doorward.v1("GET", "/audit?limit=50&order=desc")
        by_him = [one for one in told.json()["items"] if one["actor"] == user["id"]]
        (entry,) = [one for one in by_him if one["type"] == "ApiKeySelfMade"]
        assert entry["data"]["api"] == api["id"]
        assert text not in told.text

    def test_only_what_the_api_offers_can_be_given(self, doorward, api, account):
        """T166: no form leads to more, whatever it sends."""
        _, browser = a_member(doorward, account, "owner")
        for wrong in (
            {"scope.invoices:read": "", "scope.invoices:write": "on"},
            {"scope.invoices:write": "on"},
            {"scope.admin": "on"},
            {"scope.invoices:read": ""},
            {"name": ""},
            {"name": "x" * 101},
            {"lifetime": "36500"},
            {"lifetime": "never"},
            {"environment": "prod"},
        ):
            reply = make(browser, api, account, **wrong)
            assert reply.status_code == 422, wrong
            assert KEY.findall(reply.text) == []
        assert keys_of(doorward, account) == []

    def test_what_was_typed_is_there_still_after_a_refusal(self, doorward, api, account):
        _, browser = a_member(doorward, account)
        reply = make(browser, api, account, name="<b>mine</b>", lifetime="365", **{"scope.invoices:write": "on"})
        assert html.escape("<b>mine</b>") in reply.text
        assert re.search(r'value="365" selected', reply.text)

    def test_an_api_that_offers_nothing_is_not_there(self, doorward, account):
        closed, opened = doorward.an_api(), doorward.an_api(self_service=["invoices:read"])
        _, browser = a_member(doorward, account)
        assert closed["id"] not in browser.get(NEW).text
        assert browser.get(f"{NEW}?api={closed['id']}").status_code == 404
        assert make(browser, closed, account).status_code == 404
        assert make(browser, opened, account).status_code == 200
        doorward.v1("PATCH", f"/apis/{opened['id']}", {"self_service": []})
        assert make(browser, opened, account).status_code == 404

    @pytest.mark.parametrize("who", ["viewer", "stranger", "suspended", "left"])
    def test_nobody_else_makes_any(self, doorward, api, account, who):
        if who == "stranger":
            _, browser = a_member(doorward, doorward.an_account()["id"])
        else:
            user, browser = a_member(doorward, account, "viewer" if who == "viewer" else "owner")
        if who == "suspended":
            doorward.v1("POST", f"/accounts/{account}/suspend")
        if who == "left":
            (membership,) = doorward.v1("GET", f"/memberships?user={user['username']}").json()["items"]
            doorward.v1("DELETE", f"/memberships/{membership['id']}")
        assert make(browser, api, account).status_code == 404
        assert keys_of(doorward, account) == []

    def test_of_two_hundred_at_once_no_more_are_made_than_may_be(self, doorward, api, account):
        """T165. Each is answered; what is over the limit is told so."""
        _, browser = a_member(doorward, account)
        form = {"csrf": browser.page("/account").csrf, "api": api["id"], "account": account, "name": "one of many"}
        form |= {"lifetime": "30", "environment": "live", **READ}
        answers = doorward.at_once(200, lambda _: browser.post(NEW, form).status_code)
        assert set(answers) <= {200, 409, 503}
        live = [key for key in keys_of(doorward, account) if key["state"] == "active"]
        assert len(live) == answers.count(200) == 50
        reply = make(browser, api, account)
        assert (reply.status_code, "as many keys as it may" in reply.text) == (409, True)
        browser.submit("/account", "/account/keys", key=live[0]["id"])
        assert make(browser, api, account).status_code == 200

    def test_what_an_administrator_makes_counts_for_nobody(self, doorward, api, account):
        _, browser = a_member(doorward, account)
        doorward.a_key(account=account, api=api["identifier"])
        assert make(browser, api, account).status_code == 200


class TestProving:
    def test_an_old_sign_in_needs_the_password(self, on_sqlite):
        api, account = on_sqlite.an_api(self_service=["invoices:read"]), on_sqlite.an_account()["id"]
        user, browser = a_member(on_sqlite, account)
        assert 'name="current"' not in browser.get(f"{NEW}?api={api['id']}").text
        long_ago(on_sqlite, user)
        assert 'name="current"' in browser.get(f"{NEW}?api={api['id']}").text
        for wrong in ({}, {"current": ""}, {"current": "another one entirely"}):
            reply = make(browser, api, account, **wrong)
            assert reply.status_code == 403
            assert KEY.findall(reply.text) == []
        assert keys_of(on_sqlite, account) == []
        assert make(browser, api, account, current=PASSWORD).status_code == 200

    def test_guesses_are_counted_as_at_the_door(self, on_sqlite):
        api, account = on_sqlite.an_api(self_service=["invoices:read"]), on_sqlite.an_account()["id"]
        user, browser = a_member(on_sqlite, account)
        long_ago(on_sqlite, user)
        answers = [make(browser, api, account, current=f"guess number {n}").status_code for n in range(12)]
        assert answers[0] == 403
        assert answers[-1] == 429

    def test_a_rotation_needs_it_too(self, on_sqlite):
        api, account = on_sqlite.an_api(self_service=["invoices:read"]), on_sqlite.an_account()["id"]
        user, browser = a_member(on_sqlite, account)
        key = on_sqlite.a_key(account=account, api=api["identifier"])
        long_ago(on_sqlite, user)
        assert browser.submit("/account", ROTATE, key=key["id"], overlap="1").status_code == 403
        assert browser.submit("/account", ROTATE, key=key["id"], overlap="1", current=PASSWORD).status_code == 200

    @pytest.mark.parametrize("path", [NEW, ROTATE, "/account/keys"])
    def test_a_form_that_we_did_not_show_does_nothing(self, doorward, api, account, path):
        """T141."""
        _, browser = a_member(doorward, account)
        key = doorward.a_key(account=account, api=api["identifier"])
        fields = {"api": api["id"], "account": account, "name": "x", "lifetime": "30", "key": key["id"], **READ}
        assert browser.post(path, fields).status_code == 403
        assert browser.post(path, {**fields, "csrf": a_browser(doorward).page("/login").csrf}).status_code == 403
        csrf = browser.page("/account").csrf
        assert browser.post(path, {**fields, "csrf": csrf}, sec_fetch_site="cross-site").status_code == 403
        assert [one["state"] for one in keys_of(doorward, account)] == ["active"]

    @pytest.mark.parametrize("path", [NEW, ROTATE])
    def test_who_is_not_signed_in_signs_in(self, doorward, path):
        browser = a_browser(doorward)
        assert browser.get(path).headers["location"] == "/login"
        assert browser.submit("/login", path, key="key_1").headers["location"] == "/login"


class TestRotating:
    def test_the_old_secret_outlives_the_first_use_of_the_new_one(self, doorward, api, account):
        _, browser = a_member(doorward, account)
        key = doorward.a_key(account=account, api=api["identifier"], name="to rotate")
        assert f"{ROTATE}?key={key['id']}" in browser.get("/account").text
        assert "to rotate" in browser.page(f"{ROTATE}?key={key['id']}").said
        text = made(browser.submit("/account", ROTATE, key=key["id"], overlap="1"))
        assert verify(doorward, text)["key_id"] == key["id"]
        assert verify(doorward, key["key"])["active"]
        shown = doorward.v1("GET", f"/keys/{key['id']}").json()
        assert (shown["expires_at"], shown["scope"]) == (key["expires_at"], key["scope"])

    def test_or_ends_at_once(self, doorward, api, account):
        _, browser = a_member(doorward, account)
        key = doorward.a_key(account=account, api=api["identifier"])
        text = made(browser.submit("/account", ROTATE, key=key["id"], overlap="0"))
        assert not verify(doorward, key["key"])["active"]
        assert verify(doorward, text)["active"]

    def test_a_key_that_ends_sooner_than_the_overlap_is_rotated_too(self, doorward, api, account):
        _, browser = a_member(doorward, account)
        key = doorward.a_key(account=account, api=api["identifier"], expires_in=3600)
        text = made(browser.submit("/account", ROTATE, key=key["id"], overlap="7"))
        assert verify(doorward, text)["expires_at"] == key["expires_at"]

    def test_a_new_secret_gives_nobody_more_than_he_may_take(self, doorward, api, account):
        """T166: an administrator's key with more scopes is seen, and can be ended."""
        _, browser = a_member(doorward, account, "owner")
        more = doorward.a_key(account=account, api=api["identifier"], scope="invoices:read invoices:write")
        ended = doorward.a_key(account=account, api=api["identifier"])
        doorward.v1("POST", f"/keys/{ended['id']}/deactivate")
        for key in (more, ended):
            assert f"{ROTATE}?key={key['id']}" not in browser.get("/account").text
            reply = browser.submit("/account", ROTATE, key=key["id"], overlap="1")
            assert (reply.status_code, KEY.findall(reply.text)) == (409, [])
        assert browser.submit("/account", ROTATE, key=more["id"], overlap="90").status_code == 409
        assert verify(doorward, more["key"])["active"]


class TestOthersAccounts:
    @pytest.mark.parametrize("who", ["viewer", "stranger", "suspended"])
    def test_nobody_touches_keys_that_he_does_not_manage(self, doorward, api, account, who):
        key = doorward.a_key(account=account, api=api["identifier"], name="not for everybody")
        other = doorward.an_account()["id"] if who == "stranger" else account
        _, browser = a_member(doorward, other, "viewer" if who == "viewer" else "owner")
        if who == "suspended":
            doorward.v1("POST", f"/accounts/{account}/suspend")
        page = browser.get("/account").text
        assert ("not for everybody" in page) is (who == "viewer")
        assert ("is suspended" in page) is (who == "suspended")
        for reply in (
            browser.get(f"{ROTATE}?key={key['id']}"),
            browser.submit("/account", ROTATE, key=key["id"], overlap="1"),
            browser.submit("/account", "/account/keys", key=key["id"]),
        ):
            assert reply.status_code == 404
        (there,) = keys_of(doorward, account)
        assert (there["state"], len(there["secrets"])) == ("active", 1)

    def test_the_page_says_what_each_key_is(self, doorward, api, account):
        _, browser = a_member(doorward, account, "viewer")
        key = doorward.a_key(account=account, api=api["identifier"], name="looked at", environment="test")
        doorward.v1("POST", f"/keys/{key['id']}/deactivate")
        page = browser.page("/account")
        for said in ("looked at", key["prefix"], api["name"], "invoices:read", "inactive", "test", "not used yet"):
            assert said in page.said, said
        assert "Create a key" not in page.said

    def test_a_key_whose_secret_leaked_says_so_until_it_is_rotated(self, doorward, api, account):
        _, browser = a_member(doorward, account)
        text = made(make(browser, api, account))
        assert "leaked" not in browser.page("/account").said
        assert doorward.http.post("/leaks/burn", json={"token": text}).status_code == 202
        assert "leaked" in browser.page("/account").said
        (key,) = keys_of(doorward, account)
        doorward.create(f"/keys/{key['id']}/rotate")
        assert "leaked" not in browser.page("/account").said

    def test_a_decoy_is_not_there(self, doorward, api, account):
        _, browser = a_member(doorward, account)
        decoy = doorward.a_key(account=account, api=api["identifier"], name="laid out", decoy=True)
        assert "laid out" not in browser.page("/account").said
        assert browser.submit("/account", "/account/keys", key=decoy["id"]).status_code == 404
        assert doorward.v1("GET", f"/keys/{decoy['id']}").json()["state"] == "decoy"
