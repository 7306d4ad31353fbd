"""The first administrator: a link that works once, and not at all once somebody administers (decision 17)."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from tests.deployment import deployed
from tests.people import PASSWORD, a_browser


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request, tmp_path):
    flags = {}
    if request.param == "postgresql":
        flags["database"] = request.getfixturevalue("postgresql_url")
    with deployed(tmp_path, set_up=False, **flags) as doorward:
        yield doorward


def use(doorward, token):
    return doorward.http.post("/setup", json={"token": token})


def test_it_makes_a_key_that_may_do_everything(fresh):
    reply = use(fresh, fresh.setup_token)
    assert (reply.status_code, reply.headers["cache-control"]) == (201, "no-store")
    made = reply.json()
    assert re.fullmatch(r"dwa_live_[0-9A-Za-z]{50}", made["key"])
    assert (made["scope"], made["state"]) == ("admin", "active")
    assert made["expires_at"] - made["created_at"] == 90 * 86_400
    assert fresh.v1("GET", f"/admin-keys/{made['id']}", key=made["key"]).status_code == 200


def test_with_a_name_and_a_password_it_makes_a_person_too(fresh):
    given = {"token": fresh.setup_token, "username": "Ada", "password": PASSWORD}
    for field, value, status in (("password", "short", 422), ("username", "", 422), ("password", None, 400)):
        assert fresh.http.post("/setup", json={**given, field: value}).status_code == status
    reply = fresh.http.post("/setup", json=given)
    assert reply.status_code == 201, "what was typed wrongly left the link as it was"
    key = reply.json()["key"]
    assert PASSWORD not in reply.text
    shown = fresh.v1("GET", "/users/ada", key=key).json()
    assert (shown["username"], shown["role"], shown["state"]) == ("Ada", "administrator", "active")
    assert a_browser(fresh).sign_in("ada").status_code == 303


def test_no_password_is_hashed_for_a_link_that_is_over(fresh):
    """Whoever may set nothing up costs the server nothing."""
    assert use(fresh, fresh.setup_token).status_code == 201
    given = {"token": fresh.setup_token, "username": "eve", "password": "short"}
    assert fresh.http.post("/setup", json=given).status_code == 410


def test_an_administrator_who_is_a_person_makes_the_link_void_too(tmp_path):
    with deployed(tmp_path) as doorward:
        doorward.create("/users", username="ada", role="administrator")
        doorward.sql("DELETE FROM admin_keys")
    with deployed(tmp_path, set_up=False) as doorward:
        assert doorward.setup_token == ""


def test_it_works_once(fresh):
    assert use(fresh, fresh.setup_token).status_code == 201
    again = use(fresh, fresh.setup_token)
    assert (again.status_code, again.json()["reason"]) == (410, "setup_over")


def test_of_32_who_have_it_one_becomes_administrator(fresh):
    replies = fresh.at_once(32, lambda _: use(fresh, fresh.setup_token))
    statuses = [reply.status_code for reply in replies]
    assert (statuses.count(201), statuses.count(410)) == (1, 31)
    (key,) = (reply.json()["key"] for reply in replies if reply.status_code == 201)
    assert len(fresh.v1("GET", "/admin-keys", key=key).json()["items"]) == 1


def test_a_guess_gets_the_answer_of_a_used_link(fresh):
    """And tells nobody whether there is one."""
    guesses = ["", "x", fresh.setup_token[:-1], fresh.setup_token + "0", fresh.setup_token.swapcase(), "a" * 5000]
    replies = [use(fresh, guess) for guess in guesses]
    assert use(fresh, fresh.setup_token).status_code == 201
    replies += [use(fresh, fresh.setup_token)]
    assert {reply.status_code for reply in replies} == {410}
    assert len({reply.json()["detail"] for reply in replies}) == 1


def test_any_other_body_is_malformed(fresh):
    for body in ({}, {"token": 1}, {"token": None}, {"token": "x", "more": 1}, {"Token": "x"}):
        assert fresh.http.post("/setup", json=body).status_code == 400
    assert use(fresh, fresh.setup_token).status_code == 201


def test_each_start_gives_a_new_one_until_somebody_administers(tmp_path):
    tokens = []
    for _ in range(2):
        with deployed(tmp_path, set_up=False) as doorward:
            tokens.append(doorward.setup_token)
    with deployed(tmp_path) as doorward:
        tokens.append(doorward.setup_token)
        assert len(set(tokens)) == 3
        # Those of earlier starts are void with the last one.
        assert [use(doorward, token).status_code for token in tokens] == [410, 410, 410]
    with deployed(tmp_path, set_up=False) as doorward:
        assert doorward.setup_token == ""


class Page(HTMLParser):
    """What a page loads and runs."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.inline, self.handlers = [], [], []
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.loaded += [found[name] for name in ("src", "href", "action") if found.get(name)]
        self.handlers += [name for name in found if name.startswith("on") or name == "style"]
        self._in = tag if tag in ("script", "style") else ""

    def handle_data(self, data):
        if self._in and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("path", ["/setup", "/login", "/reset", "/logout", "/v1/docs"])
def test_pages_run_nothing_inline_and_load_nothing_from_elsewhere(on_sqlite, path):
    browser = a_browser(on_sqlite)
    reply = browser.get(path)
    page = Page(reply.text)
    assert page.inline == page.handlers == []
    for address in page.loaded:
        assert address.startswith(("/", "#")), address
        assert not address.startswith("//")
        if address.startswith("/") and "#" not in address:
            # Some lead on to where the browser has to sign in first.
            reached = browser.get(address)
            assert reached.status_code == 200 or reached.headers["location"].startswith("/"), address
    policy = dict(part.strip().partition(" ")[::2] for part in reply.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert reply.headers["x-frame-options"] == "DENY"
    assert reply.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "name", ["../setup.html", "..%2f..%2fapp.py", "%2e%2e/pages.py", "setup.js/", "SETUP.JS", "", "x"]
)
def test_only_named_files_are_static(on_sqlite, name):
    assert on_sqlite.http.get(f"/static/{name}").status_code == 404
