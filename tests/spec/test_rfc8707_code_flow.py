"""Resource indicators where a user is asked: RFC 8707 §2.1 and §2.2 (T021; decision 11)."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from tests.browsing import (
    CALLBACK,
    a_code,
    address_of,
    an_app,
    asking,
    consent_page,
    redeem,
    refresh,
    sent_back,
    tokens,
)


@pytest.fixture
def doorward(on_sqlite):
    return on_sqlite


@pytest.fixture
def apis(doorward):
    return [
        doorward.an_api(scopes={"invoices:read": "Read your invoices", "invoices:write": "Change your invoices"}),
        doorward.an_api(scopes={"invoices:read": "Read your receipts"}),
    ]


@pytest.fixture
def client(doorward, apis):
    """A client of both apis, with more scopes at the first."""
    made = an_app(doorward, api=apis[0]["identifier"])
    granted = {"api": apis[1]["identifier"], "scope": "invoices:read"}
    assert doorward.v1("PATCH", f"/clients/{made['client_id']}", granted).status_code == 200
    return made


def audience(doorward, client, token):
    return doorward.introspect(client, token)["aud"]


def refused(reply):
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_target"), reply.text
    return True


def test_2_1_the_named_resource_is_what_the_user_is_asked_for(doorward, browser, client, apis):
    for api, sentence in zip(apis, ("Read your invoices", "Read your receipts"), strict=True):
        asked = asking(client, resource=api["identifier"], scope="invoices:read")
        assert sentence in consent_page(browser, browser.get(address_of(asked))).text


def test_2_1_and_the_only_audience_of_the_token(doorward, browser, client, apis):
    for api in apis:
        got = tokens(browser, client, resource=api["identifier"])
        assert audience(doorward, client, got["access_token"]) == api["identifier"]


def test_2_1_the_only_api_of_a_client_need_not_be_named(doorward, browser, apis):
    client = an_app(doorward, api=apis[0]["identifier"])
    assert audience(doorward, client, tokens(browser, client)["access_token"]) == apis[0]["identifier"]


@pytest.mark.parametrize("scope", ["", "invoices:read"])
def test_2_1_of_several_one_has_to_be_named(doorward, browser, client, scope):
    assert sent_back(browser.get(address_of(asking(client, scope=scope))))["error"] == "invalid_target"


def test_2_1_unless_the_client_asks_for_the_user_alone(doorward, browser, client):
    assert audience(doorward, client, tokens(browser, client, scope="openid")["access_token"]) == doorward.issuer


@pytest.mark.parametrize(
    "change",
    [
        lambda uri: uri + "/", lambda uri: uri + "#part", str.upper, lambda uri: uri.replace("https", "http"),
        lambda uri: uri[:-1], lambda uri: "https://unknown.example", lambda uri: "x",
    ],
)  # fmt: skip
def test_2_what_is_unknown_or_malformed_is_an_invalid_target(doorward, browser, client, apis, change):
    told = sent_back(browser.get(address_of(asking(client, resource=change(apis[0]["identifier"])))))
    assert told["error"] == "invalid_target"


def test_2_an_api_that_the_client_is_not_allowed_is_as_unknown(doorward, browser, client):
    foreign = doorward.an_api()["identifier"]
    assert sent_back(browser.get(address_of(asking(client, resource=foreign))))["error"] == "invalid_target"


def test_2_several_at_once_are_refused(doorward, browser, client, apis):
    asked = address_of(asking(client, resource=apis[0]["identifier"]))
    assert (
        sent_back(browser.get(f"{asked}&resource={quote(apis[1]['identifier'], safe='')}"))["error"] == "invalid_target"
    )


def test_2_1_the_scope_is_that_of_the_named_resource(doorward, browser, client, apis):
    told = sent_back(browser.get(address_of(asking(client, resource=apis[1]["identifier"], scope="invoices:write"))))
    assert told["error"] == "invalid_scope"


def test_2_2_the_token_request_may_name_it_once_more_and_no_other(doorward, browser, client, apis):
    first, second = (api["identifier"] for api in apis)
    code = a_code(browser, client, resource=first)
    assert refused(redeem(doorward, client, code, resource=second))
    got = redeem(doorward, client, code, resource=first)
    assert got.status_code == 200, "the attempt used nothing up"
    token = got.json()["refresh_token"]
    assert refused(refresh(doorward, client, token, resource=second))
    assert refused(refresh(doorward, client, token, resource="https://unknown.example"))
    again = refresh(doorward, client, token, resource=first).json()
    assert audience(doorward, client, again["access_token"]) == first


def test_2_2_a_token_for_the_issuer_is_for_no_resource(doorward, browser, client, apis):
    code = a_code(browser, client, scope="openid")
    assert refused(redeem(doorward, client, code, resource=apis[0]["identifier"], redirect_uri=CALLBACK))
    assert redeem(doorward, client, code).status_code == 200
