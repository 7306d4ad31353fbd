"""OAuth for native apps, RFC 8252: loopback and private-use redirects, and users who are always asked."""

from __future__ import annotations

import pytest
from tests.browsing import a_public_app, a_user, address_of, allowed, asking, consent_page, redeem, sent_back, signed_in


@pytest.fixture(scope="module")
def people():
    return {}


@pytest.fixture
def browser(doorward, people):
    if doorward.directory not in people:
        people[doorward.directory] = signed_in(doorward, a_user(doorward))
    return people[doorward.directory]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_7_3_any_port_may_be_specified_at_the_time_of_the_request(doorward, browser, host):
    client = a_public_app(doorward, redirect_uris=[f"http://{host}/cb"])
    for port in (1024, 49152, 65535):
        uri = f"http://{host}:{port}/cb"
        code = allowed(browser, client, redirect_uri=uri)["code"]
        assert redeem(doorward, client, code, redirect_uri=uri).status_code == 200


def test_the_port_at_the_token_endpoint_is_that_of_the_request(doorward, browser):
    client = a_public_app(doorward, redirect_uris=["http://127.0.0.1/cb"])
    code = allowed(browser, client, redirect_uri="http://127.0.0.1:5000/cb")["code"]
    assert redeem(doorward, client, code, redirect_uri="http://127.0.0.1:5001/cb").json()["error"] == "invalid_grant"
    assert redeem(doorward, client, code, redirect_uri="http://127.0.0.1:5000/cb").status_code == 200


def test_7_1_a_private_use_scheme_is_the_reverse_of_a_domain_name(doorward, browser):
    uri = "com.example.app:/oauth2redirect/example-provider"
    client = a_public_app(doorward, redirect_uris=[uri])
    assert allowed(browser, client, redirect_uri=uri).keys() == {"code", "state", "iss"}
    body = {"redirect_uris": ["myapp:/callback"]}
    assert doorward.v1("PATCH", f"/clients/{client['client_id']}", body).status_code == 422


def test_8_6_such_an_app_is_asked_for_every_time(doorward, browser):
    """The authorization server SHOULD NOT process such requests without user consent or interaction."""
    client = a_public_app(doorward, redirect_uris=["http://127.0.0.1/cb"])
    uri = "http://127.0.0.1:5000/cb"
    for _ in range(2):
        reply = browser.get(address_of(asking(client, redirect_uri=uri)))
        page = consent_page(browser, reply)
        assert "on your own device" in page.text
        sent_back(browser.submit(page, answer="allow"), uri)
    told = sent_back(browser.get(address_of(asking(client, redirect_uri=uri, prompt="none"))), uri)
    assert told["error"] == "consent_required"


def test_an_app_with_an_address_of_its_own_has_no_warning(doorward, browser):
    client = a_public_app(doorward)
    page = consent_page(browser, browser.get(address_of(asking(client))))
    assert "on your own device" not in page.text
