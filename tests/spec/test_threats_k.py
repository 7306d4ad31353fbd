"""Threats K: sign-in, sessions and pages, from the outside (T140 to T149, T151)."""

from __future__ import annotations

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest
from tests.deployment import Doorward, deployed
from tests.people import PASSWORD, Browser, Page, a_browser, a_user, choose, cookies_set, signed_in
from tests.vectors import outside_json

from doorward import passwords
from doorward.store import store

SESSION, BROWSER = "__Host-doorward-session", "__Host-doorward-browser"
PAGES = ["/login", "/logout", "/reset", "/account", "/setup"]
HOLDS = "Path=/; Secure; HttpOnly; SameSite=Lax"


def sql(doorward: Doorward, statement: str, **values: object) -> None:
    """What no caller could do, such as letting a day go by."""
    doorward.sql(statement, **values)


class TestSessions:
    """T140."""

    def test_signing_in_gives_a_cookie_that_was_never_seen_before(self, doorward):
        user = a_user(doorward)
        browser = a_browser(doorward)
        planted = "planted-by-somebody-else-0000000000000000000"
        browser.http.cookies.set(SESSION, planted, domain="localhost.local", path="/")
        seen = {planted}
        for _ in range(3):
            reply = browser.sign_in(user["username"])
            assert reply.status_code == 303
            assert cookies_set(reply)[SESSION] == HOLDS
            seen.add(browser.cookies[SESSION])
        assert len(seen) == 4
        assert browser.is_signed_in

    def test_what_a_cookie_was_before_signs_nobody_in_afterwards(self, doorward):
        user, browser = signed_in(doorward)
        old = browser.cookies[SESSION]
        browser.sign_in(user["username"])
        thief = a_browser(doorward)
        thief.http.cookies.set(SESSION, old, domain="localhost.local", path="/")
        assert not thief.is_signed_in
        assert browser.is_signed_in

    def test_a_session_ends_on_the_server_whatever_the_browser_keeps(self, doorward):
        user, browser = signed_in(doorward)
        (session,) = doorward.v1("GET", f"/sessions?user={user['id']}").json()["items"]
        assert (session["ended_at"], session["amr"]) == (None, ["pwd"])
        assert doorward.v1("POST", f"/sessions/{session['id']}/revoke").status_code == 200
        assert not browser.is_signed_in

    def test_it_ends_when_it_is_idle_and_when_it_is_old(self, on_sqlite):
        for statement in (
            "UPDATE sessions SET created_at = created_at - 90000 WHERE user_id = :user",
            "UPDATE sessions SET expires_at = created_at WHERE user_id = :user",
        ):
            user, browser = signed_in(on_sqlite)
            assert browser.is_signed_in
            sql(on_sqlite, statement, user=user["id"])
            assert not browser.is_signed_in

    def test_being_used_keeps_it_from_being_idle_but_not_from_being_old(self, on_sqlite):
        user, browser = signed_in(on_sqlite)
        sql(on_sqlite, "UPDATE sessions SET created_at = created_at - 80000 WHERE user_id = :user", user=user["id"])
        assert browser.is_signed_in
        sql(on_sqlite, "UPDATE sessions SET created_at = created_at - 80000 WHERE user_id = :user", user=user["id"])
        assert browser.is_signed_in, "it was seen a moment ago"
        (session,) = on_sqlite.v1("GET", f"/sessions?user={user['id']}").json()["items"]
        assert session["last_seen_at"] > session["created_at"] + 150_000

    def test_who_signs_in_where_somebody_else_was_signed_in_ends_that_session(self, doorward):
        _, browser = signed_in(doorward)
        kept = dict(browser.cookies)
        other = a_user(doorward)
        assert browser.sign_in(other["username"]).status_code == 303
        before = a_browser(doorward)
        for name, value in kept.items():
            before.http.cookies.set(name, value)
        assert not before.is_signed_in
        assert browser.is_signed_in

    def test_disabling_a_user_ends_his_sessions_for_good(self, doorward):
        user, browser = signed_in(doorward)
        assert doorward.v1("POST", f"/users/{user['id']}/disable").status_code == 200
        assert not browser.is_signed_in
        assert a_browser(doorward).sign_in(user["username"]).status_code == 403
        assert doorward.v1("POST", f"/users/{user['id']}/enable").status_code == 200
        assert not browser.is_signed_in
        assert a_browser(doorward).sign_in(user["username"]).status_code == 303

    def test_a_new_password_ends_the_other_sessions(self, doorward):
        user, here = signed_in(doorward)
        elsewhere = a_browser(doorward)
        elsewhere.sign_in(user["username"])
        reply = here.submit("/account", "/account/password", current=PASSWORD, password="another horse entirely")
        assert (reply.status_code, reply.headers["location"]) == (303, "/account?done=password")
        assert (here.is_signed_in, elsewhere.is_signed_in) == (True, False)
        assert a_browser(doorward).sign_in(user["username"]).status_code == 403
        assert a_browser(doorward).sign_in(user["username"], "another horse entirely").status_code == 303

    def test_a_user_ends_his_sessions_on_his_page(self, doorward):
        user, here = signed_in(doorward)
        others = [a_browser(doorward) for _ in range(3)]
        for one in others:
            one.sign_in(user["username"])
        shown = [form for form in here.page("/account").forms if "session" in form["fields"]]
        assert len(shown) == 3
        assert here.submit("/account", "/account/sessions", session=shown[0]["fields"]["session"]).status_code == 303
        assert sum(one.is_signed_in for one in others) == 2
        assert here.submit("/account", "/account/sessions", all="1").status_code == 303
        assert [one.is_signed_in for one in (*others, here)] == [False, False, False, True]

    def test_nobody_ends_the_session_of_another(self, doorward):
        victim, theirs = signed_in(doorward)
        (session,) = doorward.v1("GET", f"/sessions?user={victim['id']}").json()["items"]
        _, mine = signed_in(doorward)
        mine.submit("/account", "/account/sessions", session=session["id"])
        assert theirs.is_signed_in


@pytest.fixture(scope="module")
def browser(on_sqlite) -> Browser:
    """Somebody who is signed in, and whom no test signs out."""
    return signed_in(on_sqlite)[1]


CHANGES = [
    ("/login", {"username": "x", "password": "y"}),
    ("/logout", {"any": "thing"}),
    ("/reset", {"token": "x", "password": PASSWORD}),
    ("/reset/link", {"username": "x"}),
    ("/account/apps", {"client": "client_1"}),
    ("/account/keys", {"key": "key_1"}),
    ("/account/sessions", {"all": "1"}),
    ("/account/password", {"current": PASSWORD, "password": "another horse entirely"}),
]


class TestForms:
    """T141."""

    @pytest.mark.parametrize(("path", "fields"), CHANGES, ids=[path for path, _ in CHANGES])
    def test_a_form_without_its_token_or_with_that_of_another_changes_nothing(self, on_sqlite, path, fields):
        _, browser = signed_in(on_sqlite)
        _, other = signed_in(on_sqlite)
        foreign = other.page("/account").csrf
        before = on_sqlite.v1("GET", "/audit?limit=1&order=desc").json()
        for csrf in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": foreign}):
            reply = browser.post(path, {**fields, **csrf})
            assert reply.status_code == 403, reply.text
            assert "location" not in reply.headers
        assert on_sqlite.v1("GET", "/audit?limit=1&order=desc").json() == before
        assert browser.is_signed_in

    @pytest.mark.parametrize(
        "headers",
        [{"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}, {"origin": "https://evil.example"},
         {"origin": "https://localhost:8443.evil.example", "sec_fetch_site": ""}, {"sec_fetch_site": ""},
         {"origin": "http://localhost:8443"}],
        ids=str,
    )  # fmt: skip
    @pytest.mark.parametrize(("path", "fields"), CHANGES, ids=[path for path, _ in CHANGES])
    def test_a_form_from_elsewhere_changes_nothing_even_with_its_token(self, on_sqlite, browser, path, fields, headers):
        csrf = browser.page("/account").csrf
        assert browser.post(path, {**fields, "csrf": csrf}, **headers).status_code == 403
        assert browser.is_signed_in

    def test_a_client_that_says_nothing_of_origins_needs_the_token_alone(self, on_sqlite):
        """Browsers before 2020, and scripts."""
        user, browser = a_user(on_sqlite), a_browser(on_sqlite)
        csrf = browser.page("/login").csrf
        fields = {"csrf": csrf, "username": user["username"], "password": PASSWORD}
        assert browser.post("/login", fields, origin="", sec_fetch_site="").status_code == 303

    def test_nobody_can_be_signed_in_as_somebody_else(self, on_sqlite):
        """Login CSRF: the attacker has a token, but it belongs to his browser."""
        attacker, victim = a_user(on_sqlite), a_browser(on_sqlite)
        csrf = a_browser(on_sqlite).page("/login").csrf
        for _ in range(2):
            reply = victim.post("/login", {"csrf": csrf, "username": attacker["username"], "password": PASSWORD})
            assert (reply.status_code, SESSION in victim.cookies) == (403, False)
            victim.page("/login")

    def test_a_token_does_not_outlive_the_session_that_it_belongs_to(self, on_sqlite):
        user, browser = signed_in(on_sqlite)
        csrf = browser.page("/account").csrf
        browser.sign_in(user["username"])
        assert browser.post("/account/sessions", {"all": "1", "csrf": csrf}).status_code == 403


class TestPages:
    """T142, T143, T014."""

    @pytest.mark.parametrize("path", [*PAGES, "/account/apps", "/consent/nowhere"])
    def test_no_page_can_be_framed_or_kept_or_tells_where_one_was(self, on_sqlite, path):
        _, browser = signed_in(on_sqlite)
        for visitor in (browser, a_browser(on_sqlite)):
            reply = visitor.get(path)
            if not reply.headers.get("content-type", "").startswith("text/html"):
                assert reply.status_code in (303, 404)
                continue
            policy = dict(p.strip().partition(" ")[::2] for p in reply.headers["content-security-policy"].split(";"))
            assert (policy["default-src"], policy["frame-ancestors"], policy["base-uri"]) == ("'none'",) * 3
            assert "unsafe" not in reply.headers["content-security-policy"]
            assert reply.headers["x-frame-options"] == "DENY"
            assert reply.headers["referrer-policy"] == "no-referrer"
            assert reply.headers["cache-control"] == "no-store"
            assert reply.headers["x-content-type-options"] == "nosniff"
            page = Page(reply.text)
            assert page.inline == page.handlers == []
            assert all(re.match(r"[/#](?!/)", address) for address in page.loaded), page.loaded

    @pytest.mark.parametrize("path", PAGES)
    @pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE"])
    def test_no_other_site_is_allowed_anything(self, on_sqlite, path, method):
        reply = on_sqlite.http.request(method, path, headers={"origin": "https://evil.example"})
        assert reply.status_code == 405
        assert not [name for name in reply.headers if name.startswith("access-control")]

    def test_what_people_are_called_is_shown_and_never_runs(self, on_sqlite):
        user, browser = signed_in(on_sqlite)
        shown = 0
        for name in outside_json("naughty-strings/blns.json"):
            if on_sqlite.v1("PATCH", f"/users/{user['id']}", {"name": name}).status_code != 200:
                continue
            page = browser.page("/account")
            assert page.inline == page.handlers == []
            assert name in page.said
            shown += 1
        assert shown > 100

    def test_what_hides_is_written_out(self):
        from doorward.web.page import visible

        assert visible("pay\u202egro.lap\u200b") == "pay\\u202egro.lap\\u200b"
        assert visible("caf\u00e9 \u4f60\u597d") == "caf\u00e9 \u4f60\u597d"


ELSEWHERE = [
    "https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "https:evil.example",
    "/%09/evil.example", "///evil.example", "account@evil.example", "..//evil.example", "data:text/html,x",
]  # fmt: skip


class TestRedirects:
    """T144."""

    @pytest.mark.parametrize(
        "name", ["next", "return_to", "request", "redirect_uri", "continue", "post_logout_redirect_uri", "done"]
    )
    def test_no_parameter_leads_anywhere_but_to_our_own_pages(self, on_sqlite, name):
        user, browser = signed_in(on_sqlite)
        for address in ELSEWHERE:
            for path in ("/login", "/logout", "/account", "/reset"):
                reply = browser.http.get(path, params={name: address})
                assert reply.headers.get("location", "/account") in ("/account", "/login"), path
                assert "evil.example" not in reply.text
            reply = browser.sign_in(user["username"], **{name: address})
            assert (reply.status_code, reply.headers["location"]) == (303, "/account")

    def test_an_id_that_the_server_kept_is_where_it_goes_on(self, on_sqlite):
        user = a_user(on_sqlite)
        page = a_browser(on_sqlite)
        reply = page.sign_in(user["username"], request="authorization_0123")
        assert reply.headers["location"] == "/consent?request=authorization_0123"


def without_ids(text: str) -> str:
    return re.sub(r"[0-9a-f]{64}|req_\w+", "", text)


class TestEnumeration:
    """T145; that as much work is done is told by tests/test_passwords.py, and how long it takes by the bench."""

    def test_whatever_is_wrong_looks_the_same(self, doorward):
        disabled, known = a_user(doorward), a_user(doorward)
        unset = doorward.create("/users", username="has-no-password")
        assert doorward.v1("POST", f"/users/{disabled['id']}/disable").status_code == 200
        found = set()
        for name in ("nobody-at-all", disabled["username"], known["username"], unset["username"]):
            browser = a_browser(doorward)
            reply = browser.sign_in(name, "wrong" if name != disabled["username"] else PASSWORD)
            text = without_ids(reply.text).replace(f'value="{name}"', "")
            headers = {k: v for k, v in reply.headers.items() if k not in ("x-request-id", "content-length")}
            found.add((reply.status_code, text, json.dumps(headers), tuple(sorted(browser.cookies))))
        assert len(found) == 1

    def test_each_refusal_leaves_one_record_whether_there_is_such_a_user_or_not(self, doorward):
        user = a_user(doorward)
        for name, about in ((user["username"], user["id"]), ("nobody-at-all", "unknown")):
            path = f"/audit?type=CredentialRefused&entity_id={about}&limit=200"
            before = len(doorward.v1("GET", path).json()["items"])
            assert a_browser(doorward).sign_in(name, "wrong").status_code == 403
            assert len(doorward.v1("GET", path).json()["items"]) == before + 1

    def test_a_link_that_never_was_looks_like_one_that_is_over(self, doorward):
        user = a_user(doorward)
        link = doorward.v1("POST", f"/users/{user['id']}/reset-password").json()["link"].partition("#token=")[2]
        choose(doorward, user, "another horse entirely")
        replies = [
            a_browser(doorward).submit("/reset", "/reset", token=token, password=PASSWORD)
            for token in (link, "x", "A" * 43, "\u00e9" * 50, "x" * 4000)
        ]
        assert {reply.status_code for reply in replies} == {410}
        assert len({without_ids(reply.text) for reply in replies}) == 1


class TestGuessing:
    """T146, T147."""

    @pytest.fixture
    def alone(self, tmp_path):
        """What is counted here is counted for an address."""
        with deployed(tmp_path) as doorward:
            yield doorward

    def test_of_200_wrong_passwords_at_once_few_are_looked_at(self, alone):
        user, known = signed_in(alone)
        # From where she never was: the address of the session is another one.
        sql(alone, "UPDATE sessions SET address = '192.0.2.99'")
        browsers = [a_browser(alone) for _ in range(200)]
        csrf = [browser.page("/login").csrf for browser in browsers]

        def guess(number):
            fields = {"csrf": csrf[number], "username": user["username"], "password": f"guess {number}"}
            return browsers[number].post("/login", fields)

        replies = alone.at_once(200, guess)
        statuses = [reply.status_code for reply in replies]
        # A machine that has too much to do may say so to some.
        assert set(statuses) <= {403, 429, 503}
        for reply in replies:
            assert reply.status_code == 403 or 1 <= int(reply.headers["retry-after"]) <= 900
            assert ("Try again in" in reply.text) is (reply.status_code == 429)
        for _ in range(10):
            statuses.append(a_browser(alone).sign_in(user["username"], "wrong").status_code)
        assert statuses[-1] == 429
        looked_at = alone.v1("GET", f"/audit?type=CredentialRefused&entity_id={user['id']}&limit=200").json()["items"]
        assert statuses.count(403) <= len(looked_at) <= 10
        assert a_browser(alone).sign_in(user["username"]).status_code == 429, "the right one waits like the others"

        sql(alone, "UPDATE sessions SET address = '127.0.0.1'")
        assert a_browser(alone).sign_in(user["username"]).status_code == 303, "where she was before she is not kept out"
        assert known.is_signed_in

    def test_an_open_browser_is_no_way_to_guess_the_password(self, alone):
        _, browser = signed_in(alone)
        csrf = browser.page("/account").csrf
        fields = {"csrf": csrf, "password": "another horse entirely"}
        statuses = [
            browser.post("/account/password", {**fields, "current": f"guess {n}"}).status_code for n in range(12)
        ]
        assert statuses == [*[403] * 10, 429, 429]

    def test_what_is_refused_is_counted_for_everybody_to_see(self, server):
        a_browser(server).sign_in("nobody", "wrong")
        deadline = time.monotonic() + 30
        while (
            'reason="sign_in_refused"'
            not in server.http.get("/metrics", headers={"authorization": f"Bearer {server.admin_key}"}).text
        ):
            assert time.monotonic() < deadline, "it was never counted"
            time.sleep(0.1)

    def test_a_password_that_others_know_is_not_taken(self, tmp_path):
        leaked = tmp_path / "leaked.txt"
        leaked.write_text("Correct Horse Battery Staple\nanother one that leaked\n")
        with deployed(tmp_path, leaked_passwords=leaked) as doorward:
            user = doorward.create("/users", username="ada")
            link = doorward.v1("POST", f"/users/{user['id']}/reset-password").json()["link"]
            browser, token = a_browser(doorward), link.partition("#token=")[2]
            refused = browser.submit("/reset", "/reset", token=token, password=PASSWORD)
            assert refused.status_code == 422
            assert "The password cannot be used" in refused.text
            taken = browser.submit("/reset", "/reset", token=token, password="one that nobody ever saw")
            assert taken.status_code == 200


class TestFlood:
    """T148: as counts; what it does to the speed of token checks is for the bench."""

    ROOM, CALLERS = 3, 20

    def test_who_finds_no_room_is_sent_away_at_once_and_tokens_are_checked_meanwhile(self, tmp_path, monkeypatch):
        monkeypatch.setattr(passwords, "WAITING_LIMIT", self.ROOM)
        # Of a machine that has too much to do another queue might speak first.
        monkeypatch.setattr(store, "PATIENCE", 60.0)
        held, compared = threading.Event(), []
        compare = passwords.Passwords._matches

        def slow(pool, phc, text):
            compared.append(text)
            assert held.wait(60)
            return compare(pool, phc, text)

        with deployed(tmp_path) as doorward, ThreadPoolExecutor(self.CALLERS) as threads:
            user, client = a_user(doorward), doorward.a_client()
            monkeypatch.setattr(passwords.Passwords, "_matches", slow)
            names = [user["username"], *(f"nobody-{n}" for n in range(self.CALLERS - 1))]
            asking = [threads.submit(lambda name: a_browser(doorward).sign_in(name), name) for name in names]
            finished = as_completed(asking, timeout=60)
            room = passwords.THREADS + self.ROOM
            away = [next(finished).result() for _ in range(self.CALLERS - room)]
            assert doorward.introspect(client, doorward.token(client))["active"] is True
            assert len(compared) <= passwords.THREADS, "so many are at work, whoever waits"
            held.set()
            replies = [one.result() for one in finished]
        for reply in away:
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
            assert "queue is full" in reply.text
        assert len(replies) == len(compared) == room
        assert {reply.status_code for reply in replies} <= {303, 403}


class TestConnectedApps:
    """T149: the part of /account; that consent is asked for is told where it is given."""

    def allowed(self, doorward, user, api):
        """A grant of the user, as consent would leave it."""
        client = doorward.a_client(api=api["identifier"])
        values = {"client": client["client_id"], "api": api["id"], "user": user["id"]}
        values["grant"] = f"grant_of_{user['id']}"
        sql(
            doorward,
            "INSERT INTO grants (id, client_id, api_id, scope, created_at, version, user_id, claims) "
            "VALUES (:grant, :client, :api, 'invoices:read', 1, 1, :user, '{}')",
            **values,
        )
        return client, values["grant"]

    def test_a_user_sees_who_acts_for_him_and_ends_it_at_once(self, on_sqlite):
        api = on_sqlite.an_api()
        verifier = on_sqlite.a_verifier(api=api["identifier"])
        user, browser = signed_in(on_sqlite)
        client, grant = self.allowed(on_sqlite, user, api)
        page = browser.page("/account")
        assert "Read your invoices" in page.said
        assert "worker" in page.said
        reply = browser.submit("/account", "/account/apps", client=client["client_id"])
        assert (reply.status_code, reply.headers["location"]) == (303, "/account?done=app")
        assert "Read your invoices" not in browser.page("/account").said
        told = on_sqlite.http.get("/revocations", auth=(verifier["client_id"], verifier["client_secret"])).json()
        assert ("grant", grant, "dead") in [(e["kind"], e["value"], e["effect"]) for e in told["entries"]]
        # What the client may do for itself is none of the user's business.
        assert on_sqlite.token(client)

    def test_no_app_is_hidden_by_the_silent_authorizations_of_another(self, on_sqlite):
        api = on_sqlite.an_api()
        user, browser = signed_in(on_sqlite)
        self.allowed(on_sqlite, user, api)
        sql(
            on_sqlite,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 205) "
            "INSERT INTO grants (id, client_id, api_id, scope, created_at, version, user_id, claims) "
            "SELECT id || '_' || i, client_id, api_id, scope, 1 + i, 1, user_id, '{}' FROM grants, n "
            "WHERE user_id = :user",
            user=user["id"],
        )
        later = on_sqlite.a_client(api=api["identifier"], name="the second app")
        sql(
            on_sqlite,
            "INSERT INTO grants (id, client_id, api_id, scope, created_at, version, user_id, claims) "
            "VALUES (:grant, :client, :api, 'invoices:write', 1000, 1, :user, '{}')",
            grant=f"later_grant_of_{user['id']}", client=later["client_id"], api=api["id"], user=user["id"],
        )  # fmt: skip
        page = browser.page("/account")
        assert "the second app" in page.said
        assert page.said.count("Read your invoices") == 1

    def test_nobody_disconnects_for_another(self, on_sqlite):
        victim, theirs = signed_in(on_sqlite)
        client, _ = self.allowed(on_sqlite, victim, on_sqlite.an_api())
        _, mine = signed_in(on_sqlite)
        mine.submit("/account", "/account/apps", client=client["client_id"])
        assert "Read your invoices" in theirs.page("/account").said

    @pytest.mark.parametrize(("role", "may"), [("owner", True), ("developer", True), ("viewer", False)])
    def test_members_see_the_keys_of_their_accounts_and_who_manages_them_ends_them(self, doorward, role, may):
        account, api = doorward.an_account(), doorward.an_api()
        key = doorward.a_key(account=account["id"], api=api["identifier"], name="nightly export")
        other = doorward.a_key(name="somebody else's")
        user, browser = signed_in(doorward)
        assert "nightly export" not in browser.page("/account").said
        doorward.create("/memberships", user=user["username"], account=account["id"], role=role)
        page = browser.page("/account")
        assert "nightly export" in page.said
        assert "somebody else" not in page.said
        assert [form["fields"]["key"] for form in page.forms if "key" in form["fields"]] == [key["id"]] * may
        reply = browser.submit("/account", "/account/keys", key=key["id"])
        assert reply.status_code == (303 if may else 404)
        assert doorward.v1("GET", f"/keys/{key['id']}").json()["state"] == ("revoked" if may else "active")
        assert browser.submit("/account", "/account/keys", key=other["id"]).status_code == 404


class TestSigningOut:
    """T151: for the session in this browser; RP-initiated logout has a file of its own."""

    def test_a_link_asks_and_a_form_ends_it_and_a_second_time_is_no_error(self, doorward):
        _, browser = signed_in(doorward)
        assert "Sign out" in browser.page("/logout").said
        assert browser.is_signed_in
        csrf = browser.page("/logout").csrf
        cookie = browser.cookies[SESSION]
        reply = browser.post("/logout", {"csrf": csrf})
        assert (reply.status_code, reply.headers["location"]) == (303, "/logout")
        assert cookies_set(reply)[SESSION].endswith("Max-Age=0")
        assert not browser.is_signed_in
        browser.http.cookies.set(SESSION, cookie, domain="localhost.local", path="/")
        assert not browser.is_signed_in
        assert browser.post("/logout", {"csrf": csrf}).status_code == 303

    def test_who_is_not_signed_in_is_told_so(self, doorward):
        assert "Nobody is signed in" in a_browser(doorward).page("/logout").said


def test_what_people_type_is_in_no_journal_and_no_answer(doorward):
    """T200 for passwords, cookies and links."""
    user, browser = signed_in(doorward)
    link = doorward.v1("POST", f"/users/{user['id']}/reset-password").json()["link"].partition("#token=")[2]
    secrets = [PASSWORD, browser.cookies[SESSION], link, "argon2id"]
    told = ""
    for path in ("/audit?limit=200&order=desc", f"/users/{user['id']}", "/users", f"/sessions?user={user['id']}"):
        told += doorward.v1("GET", path).text
    assert user["id"] in told
    assert [secret for secret in secrets if secret in told] == []


def test_the_api_of_users_and_memberships_is_one_like_the_others(doorward):
    account = doorward.an_account()
    user = doorward.create("/users", username="Grace", email="grace@example.com")
    assert doorward.v1("POST", "/users", {"username": "GRACE"}).status_code == 409
    assert doorward.v1("GET", "/users/grace").json()["id"] == user["id"]
    assert [one["id"] for one in doorward.v1("GET", "/users?username=GRACE").json()["items"]] == [user["id"]]
    changed = doorward.v1("PATCH", f"/users/{user['id']}", {"role": "administrator"}, if_match='"1"')
    assert (changed.json()["role"], changed.headers["etag"]) == ("administrator", '"2"')
    assert doorward.v1("PATCH", f"/users/{user['id']}", {"name": "x"}, if_match='"1"').status_code == 412
    membership = doorward.create("/memberships", user="grace", account=account["id"], role="viewer")
    belongs = doorward.v1("GET", f"/users/{user['id']}").json()["accounts"]
    assert belongs == [{"account": account["id"], "role": "viewer"}]
    assert [one["id"] for one in doorward.v1("GET", "/memberships?user=grace").json()["items"]] == [membership["id"]]
    owner = doorward.v1("PATCH", f"/memberships/{membership['id']}", {"role": "owner"}).json()
    assert owner["role"] == "owner"
    assert doorward.v1("DELETE", f"/memberships/{membership['id']}").status_code == 204
    assert doorward.v1("GET", f"/users/{user['id']}").json()["accounts"] == []
    ended = doorward.v1("POST", "/revocations", {"user": "grace"}).json()
    assert ended == {"kind": "user", "id": user["id"], "changed": True}
    reader = doorward.an_admin_key("users:read")
    assert doorward.v1("GET", "/users", key=reader).status_code == 200
    assert doorward.v1("POST", "/users", {"username": "eve"}, key=reader).status_code == 403
