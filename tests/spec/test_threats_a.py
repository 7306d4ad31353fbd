"""Threats to the authorization endpoint, `threats.md` A: no browser goes to an address that was not registered."""

from __future__ import annotations

import re
from urllib.parse import quote, urlencode, urlsplit

import pytest
from tests.browsing import (
    CALLBACK,
    PROOF,
    Browser,
    Page,
    a_code,
    a_public_app,
    address_of,
    an_app,
    asking,
    consent_page,
    redeem,
    sent_back,
    signed_in,
    tokens,
)

EVIL = "https://evil.example/callback"


@pytest.fixture
def client(doorward):
    return an_app(doorward)


def page400(reply):
    """A page of ours, and no way from it anywhere."""
    assert reply.status_code == 400, (reply.status_code, reply.text)
    assert "location" not in reply.headers
    assert reply.headers["content-type"].startswith("text/html")
    assert reply.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-request-id"] in reply.text
    assert "evil.example" not in reply.text
    return True


# What else is wrong: none of it comes before the address.
ELSE_WRONG = (
    {}, {"prompt": "none"}, {"response_type": "token"}, {"scope": "no:such"}, {"scope": "invoices:read"},
    {"code_challenge": ""}, {"response_mode": "form_post"}, {"resource": "https://unknown.example"},
    {"state": "s" * 5000},
)  # fmt: skip


@pytest.mark.parametrize("wrong", ELSE_WRONG)
def test_t001_an_address_that_is_not_registered_is_gone_to_by_nobody(doorward, browser, client, wrong):
    for uri in (EVIL, "", CALLBACK + "/", CALLBACK + "?x", CALLBACK.replace("https", "http")):
        for who in (browser, Browser(doorward)):
            assert page400(who.get(address_of(asking(client, **wrong, redirect_uri=uri))))


@pytest.mark.parametrize(
    "uri",
    [
        "https://client.example/callback#", "https://client.example/Callback", "https://CLIENT.example/callback",
        "https://client.example:443/callback", "https://client.example/%63allback", "https://client.example//callback",
        "https://client.example/x/../callback", "https://client.example./callback", "https://client.example/callback%00",
        "https://client.example/callback\r\nLocation: https://evil.example",
        "https://client.example@evil.example/callback",
        "https://client.example.evil.example/callback", "https://client.example\\@evil.example/callback",
        "https://\u0441lient.example/callback", "//client.example/callback", "javascript:alert(1)", "a" * 7000,
        "https://evil.example/?https://client.example/callback", "https://client.example/callback ", " " + CALLBACK,
        "https://client.example/callback\t", "https://client.example/callback/..", "https://client.example/callback;x",
    ],
)  # fmt: skip
def test_t001_nothing_that_looks_like_it_is_it(doorward, browser, client, uri):
    assert page400(browser.get(address_of(asking(client, redirect_uri=uri))))


def test_t001_without_an_address_there_is_none_even_where_one_alone_is_registered(browser, client):
    asked = asking(client)
    del asked["redirect_uri"]
    assert page400(browser.get(address_of(asked)))


def test_t001_a_request_that_cannot_be_read_goes_nowhere(browser, client):
    asked = address_of(asking(client))
    for broken in ("&x=%", "&x=%zz", "&x=%ff", "&x=%00", "&state=%00", "&" + "&".join("x" * 70), "&x=" + "y" * 9000):
        assert page400(browser.get(asked + broken))


def test_t002_any_port_of_the_loopback_interface_for_public_clients_alone(doorward, browser):
    uris = ["http://127.0.0.1/cb", "http://[::1]/cb", "http://localhost/cb"]
    public, confidential = a_public_app(doorward, redirect_uris=uris), an_app(doorward, redirect_uris=uris)
    for uri in ("http://127.0.0.1:49152/cb", "http://[::1]:1/cb"):
        consent_page(browser, browser.get(address_of(asking(public, redirect_uri=uri))))
        assert page400(browser.get(address_of(asking(confidential, redirect_uri=uri))))
    for uri in ("http://localhost:1/cb", "http://127.0.0.1:1/other", "http://127.0.0.2:1/cb", "https://127.0.0.1:1/cb"):
        assert page400(browser.get(address_of(asking(public, redirect_uri=uri))))
    named = a_public_app(doorward, redirect_uris=uris, localhost_any_port=True)
    consent_page(browser, browser.get(address_of(asking(named, redirect_uri="http://localhost:1/cb"))))


@pytest.mark.parametrize(
    "uri",
    ["app:/cb", "https://client.example/#", "https://a@client.example/", "https://*.example/", "http://client.example/",
     "javascript:alert(1)", "https://client.example/a/../b", "https://client.example\\@evil.example/", "/cb", ""],
)  # fmt: skip
def test_t003_what_could_be_read_in_two_ways_is_not_registered(doorward, uri):
    account, api = doorward.an_account()["id"], doorward.an_api()["identifier"]
    body = {
        "account": account,
        "api": api,
        "scope": "invoices:read",
        "name": "x",
        "grant_types": ["authorization_code"],
    }
    reply = doorward.v1("POST", "/clients", {**body, "redirect_uris": [uri]})
    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (422, "redirect_uris")
    good = doorward.create("/clients", **{**body, "redirect_uris": [CALLBACK]})
    changed = doorward.v1("PATCH", f"/clients/{good['client_id']}", {"redirect_uris": [CALLBACK, uri]})
    assert changed.status_code == 422


def test_t004_unknown_and_disabled_clients_have_the_same_page(doorward, browser, client):
    def shown(reply):
        assert page400(reply)
        return reply.text.replace(reply.headers["x-request-id"], "")

    unknown = shown(browser.get(address_of({**asking(client), "client_id": "client_unknown"})))
    doorward.v1("PATCH", f"/clients/{client['client_id']}", {"state": "disabled"})
    assert shown(browser.get(address_of(asking(client)))) == unknown
    suspended = an_app(doorward)
    doorward.v1("POST", f"/accounts/{suspended['account']}/suspend")
    assert shown(browser.get(address_of(asking(suspended)))) == unknown


@pytest.mark.parametrize(
    "kind", ["token", "id_token", "code token", "code id_token", "code id_token token", "none", "CODE"]
)
def test_t005_codes_are_all_there_is(browser, client, kind):
    for way in ({}, {"response_mode": "query"}):
        told = sent_back(browser.get(address_of(asking(client, response_type=kind, **way))))
        assert told["error"] == "unsupported_response_type"
        assert not {"access_token", "id_token", "code"} & told.keys()


def test_t005_no_parameter_of_the_pages_changes_what_was_checked(browser, client):
    page = consent_page(browser, browser.get(address_of(asking(client, scope="invoices:read"))))
    more = {
        "redirect_uri": EVIL,
        "response_type": "token",
        "client_id": "other",
        "state": "x",
        "scope.invoices:write": "on",
    }
    told = sent_back(browser.submit(page, answer="allow", **more))
    assert told["state"] == "af0ifjsldkj"
    assert redeem(browser.doorward, client, told["code"]).json()["scope"] == "invoices:read"


@pytest.mark.parametrize(
    "changed",
    [
        {"code_challenge": ""}, {"code_challenge_method": ""}, {"code_challenge_method": "plain"},
        {"code_challenge_method": "S512"}, {"code_challenge": "short"}, {"code_challenge": PROOF.challenge + "="},
        {"code_challenge": PROOF.challenge[:-1] + "+"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("app", [an_app, a_public_app])
def test_t006_every_client_needs_a_challenge_by_s256(doorward, browser, app, changed):
    told = sent_back(browser.get(address_of(asking(app(doorward), **changed))))
    assert told["error"] == "invalid_request"


@pytest.mark.parametrize("verifier", ["", "x" * 43, PROOF.challenge])
def test_t007_without_the_right_verifier_a_code_is_nothing(doorward, browser, client, verifier):
    code = a_code(browser, client)
    reply = redeem(doorward, client, code, code_verifier=verifier)
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant")
    assert redeem(doorward, client, code).status_code == 200


def test_t007_a_verifier_in_pieces_is_none(doorward, browser, client):
    code = a_code(browser, client)
    form = [("grant_type", "authorization_code"), ("code", code)]
    for more in ([("code_verifier[]", PROOF.verifier)], [("code_verifier", PROOF.verifier)] * 2):
        reply = doorward.http.post(
            "/oauth/token", content=urlencode(form + more),
            headers={"content-type": "application/x-www-form-urlencoded"},
            auth=(client["client_id"], client["client_secret"]),
        )  # fmt: skip
        assert reply.status_code == 400
        assert reply.json()["error"] in ("invalid_grant", "invalid_request")
    assert redeem(doorward, client, code).status_code == 200


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_t008_an_address_that_is_named_twice_is_none(browser, client, name):
    asked = asking(client)
    for second in (asked[name], EVIL, ""):
        assert page400(browser.get(f"{address_of(asked)}&{name}={quote(second, safe='')}"))


@pytest.mark.parametrize("name", ["state", "scope", "response_type", "code_challenge", "prompt", "colour"])
def test_t008_every_other_parameter_comes_once(browser, client, name):
    asked = {**asking(client, scope="invoices:read"), "prompt": "login", "colour": "blue"}
    told = sent_back(browser.get(f"{address_of(asked)}&{name}={quote(asked[name], safe='')}"))
    assert told["error"] == "invalid_request"
    assert told.get("state") == (None if name == "state" else "af0ifjsldkj")


def test_t008_a_name_in_query_and_body_is_named_twice(browser, client):
    asked = asking(client)
    for name in ("client_id", "redirect_uri"):
        assert page400(browser.post(f"/oauth/authorize?{name}={quote(asked[name], safe='')}", asked))
    assert sent_back(browser.post("/oauth/authorize?state=x", asked))["error"] == "invalid_request"


def test_t009_unknown_parameters_are_ignored_and_empty_ones_absent(browser, client):
    a_code(browser, client)
    address = address_of(asking(client)) + "&colour=blue&nonce=&prompt=&request=&max_age=&audience=a&audience=b"
    assert "code" in sent_back(browser.get(address))


@pytest.mark.parametrize(
    "state",
    [
        "a b+c%20",
        "\r\nSet-Cookie: x=y",
        "\"'<>&=;#?",
        "räksmörgås \U0001f980",
        "https://evil.example/",
        "x" * 2048,
        "%00",
    ],
)
def test_t010_the_state_comes_back_as_it_came(browser, client, state):
    for changed in ({}, {"prompt": "none", "scope": "no:such"}):
        reply = browser.get(address_of(asking(client, state=state, **changed)))
        if urlsplit(reply.headers["location"]).path == "/consent":
            reply = browser.submit(consent_page(browser, reply), answer="allow")
        assert sent_back(reply)["state"] == state
        assert "set-cookie" not in {name for name in reply.headers if "x=y" in reply.headers[name]}


def test_t010_a_state_that_is_too_long_is_refused_and_not_cut(browser, client):
    told = sent_back(browser.get(address_of(asking(client, state="x" * 2049))))
    assert told["error"] == "invalid_request"
    assert "state" not in told


def test_t011_every_answer_says_who_answers(doorward, browser, client):
    metadata = doorward.http.get("/.well-known/oauth-authorization-server").json()
    assert metadata["authorization_response_iss_parameter_supported"] is True
    a_code(browser, client)
    for changed in ({}, {"response_type": "token"}, {"prompt": "none", "scope": "openid"}, {"scope": "no:such"}):
        assert sent_back(browser.get(address_of(asking(client, **changed))))["iss"] == metadata["issuer"]


def test_t012_a_redirect_is_303(browser, client):
    page = consent_page(browser, browser.get(address_of(asking(client))))
    for reply in (
        browser.get(address_of(asking(client, response_type="token"))),
        browser.post("/oauth/authorize", asking(client)), browser.submit(page, answer="allow"),
    ):  # fmt: skip
        assert reply.status_code == 303


def test_t013_neither_the_address_nor_its_code_is_told_to_others(browser, client):
    page_reply = browser.get(browser.get(address_of(asking(client))).headers["location"])
    for reply in (page_reply, browser.submit(Page(page_reply.text), answer="allow")):
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cache-control"] == "no-store"
    policy = page_reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' https://client.example" in policy
    assert not re.search(r"(?:src|href)=\"(?!/)", page_reply.text)


@pytest.mark.parametrize("path", ["/oauth/authorize", "/consent", "/login"])
def test_t014_no_script_of_another_site_reads_it(doorward, browser, client, path):
    asked = {"origin": "https://client.example", "access-control-request-method": "GET"}
    reply = doorward.http.request("OPTIONS", path, headers=asked)
    assert reply.status_code == 405
    for found in (reply, browser.get(address_of(asking(client)), origin="https://client.example")):
        assert not [name for name in found.headers if name.startswith("access-control")]


def test_t014_head_gives_no_code(doorward, browser, client):
    a_code(browser, client)
    reply = browser._send("HEAD", address_of(asking(client)), headers={})
    assert (reply.status_code, "location" in reply.headers) == (405, False)


@pytest.mark.parametrize(
    "scope", ["no:such", "invoices:read no:such", "invoices:read  openid", 'in"v', "a\u00a0b", "a\tb", "a\nb"]
)
def test_t015_a_scope_that_is_not_the_clients_is_invalid(browser, client, scope):
    assert sent_back(browser.get(address_of(asking(client, scope=scope))))["error"] == "invalid_scope"


def test_t015_a_huge_scope_is_refused_unread(browser, client):
    for scope in ("a" * 4097, "aaaaaaaaa " * 420, " ".join(["invoices:read"] * 400)):
        assert sent_back(browser.get(address_of(asking(client, scope=scope))))["error"] == "invalid_request"


def test_t016_prompt_none_is_answered_without_a_page(doorward, browser, client):
    for who, changed, error in (
        (Browser(doorward), {}, "login_required"), (browser, {}, "consent_required"),
    ):  # fmt: skip
        told = sent_back(who.get(address_of(asking(client, prompt="none", **changed))))
        assert (told["error"], told["state"]) == (error, "af0ifjsldkj")
    for prompt in ("none login", "none consent", "login none"):
        told = sent_back(browser.get(address_of(asking(client, prompt=prompt))))
        assert told["error"] == "invalid_request"
    a_code(browser, client)
    assert "code" in sent_back(browser.get(address_of(asking(client, prompt="none"))))


def test_t016_prompt_login_is_answered_by_a_sign_in_and_by_nothing_else(doorward, browser, client, user):
    a_code(browser, client)
    for changed in ({"prompt": "login"}, {"max_age": "0"}, {"prompt": "select_account"}):
        asked = browser.get(address_of(asking(client, **changed)))
        to = urlsplit(asked.headers["location"])
        assert to.path == "/login"
        back = browser.get(f"/consent?{to.query}")
        assert urlsplit(back.headers["location"]).path == "/login", "the old session is too old"
        entered = browser.sign_in(user["username"], asked.headers["location"])
        assert "code" in sent_back(browser.get(entered.headers["location"]))


def test_t017_t019_nothing_is_read_from_elsewhere(browser, client):
    told = sent_back(browser.get(address_of(asking(client, request="eyJhbGciOiJub25lIn0.e30."))))
    assert told["error"] == "request_not_supported"
    told = sent_back(browser.get(address_of(asking(client, request_uri="https://client.example/request"))))
    assert told["error"] == "request_uri_not_supported"


def test_t021_a_token_is_for_the_resource_that_was_granted(doorward, browser):
    one, other = doorward.an_api(), doorward.an_api()
    client = an_app(doorward, api=one["identifier"])
    for resource in (other["identifier"], one["identifier"] + "/", doorward.issuer, "x"):
        assert sent_back(browser.get(address_of(asking(client, resource=resource))))["error"] == "invalid_target"
    twice = address_of(asking(client, resource=one["identifier"])) + "&resource=" + quote(one["identifier"], safe="")
    assert sent_back(browser.get(twice))["error"] == "invalid_target"
    doorward.v1("PATCH", f"/clients/{client['client_id']}", {"api": other["identifier"], "scope": "invoices:read"})
    got = tokens(browser, client, resource=other["identifier"])
    assert doorward.introspect(client, got["access_token"])["aud"] == other["identifier"]
    reply = redeem(doorward, client, a_code(browser, client, resource=one["identifier"]), resource=other["identifier"])
    assert reply.json()["error"] == "invalid_target"


def test_t022_what_a_form_post_page_carries_is_text(browser, client):
    a_code(browser, client)
    for state in ('"><script>alert(1)</script>', "' autofocus onfocus=alert(1) x='", "</form><form action=//evil>"):
        reply = browser.get(address_of(asking(client, state=state, response_mode="form_post")))
        page = Page(reply.text)
        assert (page.action, page.fields["state"]) == (CALLBACK, state)
        assert "<script>" not in reply.text
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert "unsafe-inline" not in reply.headers["content-security-policy"]


class TestT036:
    """The browser that began goes on, and no other: fixed, swapped or stolen ids are worth nothing."""

    def test_another_browser_cannot_go_on_with_it(self, doorward, browser, client, user):
        address = browser.get(address_of(asking(client))).headers["location"]
        thief = signed_in(doorward, user)
        for who in (thief, Browser(doorward)):
            assert page400(who.get(address))
        thief.get(address_of(asking(client)))  # with a cookie of his own
        assert page400(thief.get(address))
        consent_page(browser, browser.get(address_of(asking(client))))

    def test_nor_answer_it(self, doorward, browser, client, user):
        page = consent_page(browser, browser.get(address_of(asking(client))))
        thief = signed_in(doorward, user)
        own = consent_page(thief, thief.get(address_of(asking(client))))
        reply = thief.submit(own, answer="allow", request=page.fields["request"])
        assert page400(reply)

    def test_a_victim_who_is_led_into_somebody_elses_request_goes_nowhere(self, doorward, client, user):
        attacker = Browser(doorward)
        address = attacker.get(address_of(asking(client))).headers["location"]
        victim = Browser(doorward)
        entered = victim.sign_in(user["username"], address)
        assert page400(victim.get(entered.headers["location"]))

    @pytest.mark.parametrize("request_id", ["", "x", "authorization_0000000000000000", "a" * 5000, "../login", "é"])
    def test_an_id_of_nothing_is_nothing(self, browser, request_id):
        assert page400(browser.get(f"/consent?request={quote(request_id)}"))

    def test_two_windows_do_not_end_each_other(self, browser, client):
        first = browser.get(address_of(asking(client, state="one", scope="invoices:read invoices:write")))
        second = browser.get(address_of(asking(client, state="two", scope="invoices:read")))
        for reply, state in ((second, "two"), (first, "one")):
            page = consent_page(browser, reply)
            assert sent_back(browser.submit(page, answer="allow"))["state"] == state


class TestForms:
    """T141: the answer comes from our page."""

    @pytest.mark.parametrize(
        "header", [{"origin": EVIL}, {"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}]
    )
    def test_a_form_of_another_site_allows_nothing(self, browser, client, header):
        page = consent_page(browser, browser.get(address_of(asking(client))))
        reply = browser.post("/consent", {**page.fields, "answer": "allow"}, **header)
        assert (reply.status_code, "location" in reply.headers) == (403, False)
        assert "code" in sent_back(browser.submit(page, answer="allow"))

    @pytest.mark.parametrize("token", ["", "0" * 64])
    def test_a_form_without_our_token_allows_nothing(self, browser, client, token):
        page = consent_page(browser, browser.get(address_of(asking(client))))
        assert browser.submit(page, answer="allow", csrf=token).status_code == 403


def test_t015_what_is_left_of_a_scope_is_never_nothing(doorward, browser):
    """For a client that may not refresh, `offline_access` is none."""
    client = an_app(doorward, grant_types=["authorization_code"])
    for more in ({}, {"prompt": "none"}):
        told = sent_back(browser.get(address_of(asking(client, scope="offline_access", **more))))
        assert (told["error"], "code" in told) == ("invalid_scope", False)
