"""OAuth for native apps, RFC 8252: loopback and private-use redirects, and users who are always asked."""

from __future__ import annotations

import pytest
from tests.browsing import a_public_app, address_of, allowed, asking, consent_page, redeem, sent_back


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


def test_7_2_an_app_with_a_claimed_https_address_is_known_by_it(doorward, browser):
    """§8.6: the identity of the client can be assured, so its user is not asked again."""
    client = a_public_app(doorward)
    assert "code" in allowed(browser, client)
    assert "code" in sent_back(browser.get(address_of(asking(client, prompt="none"))))


def test_8_1_public_clients_prove_that_the_code_is_theirs(doorward, browser):
    """Authorization servers SHOULD reject authorization requests from native apps that don't use PKCE."""
    client, uri = a_public_app(doorward, redirect_uris=["http://127.0.0.1/cb"]), "http://127.0.0.1:5000/cb"
    told = sent_back(browser.get(address_of(asking(client, redirect_uri=uri, code_challenge=""))), uri)
    assert told["error"] == "invalid_request"


def test_8_4_the_type_of_the_client_is_recorded_and_its_addresses_are_complete(doorward, browser):
    """Authorization servers MUST record the client type, and MUST reject URIs that don't exactly match."""
    client = a_public_app(doorward, redirect_uris=["com.example.app:/cb", "http://127.0.0.1/cb"])
    assert doorward.v1("GET", f"/clients/{client['client_id']}").json()["token_endpoint_auth_method"] == "none"
    for uri in (
        "com.example.app:/cb2", "com.example.app:/", "com.example.app://cb", "com.example.app.evil:/cb",
        "COM.EXAMPLE.APP:/cb", "http://127.0.0.1/", "http://127.0.0.1:5000/cb?x=1", "http://127.0.0.1:5000/cb/",
    ):  # fmt: skip
        assert browser.get(address_of(asking(client, redirect_uri=uri))).status_code == 400


def test_8_5_a_secret_makes_nobody_less_public(doorward, browser):
    """A secret that is statically included in an app proves nothing, so a public client that shows one is refused."""
    client = a_public_app(doorward)
    shown = {**client, "client_secret": "dws_live_" + "0" * 50}
    assert redeem(doorward, shown, "x").status_code == 401


def test_8_10_each_answer_names_the_server_that_it_comes_from(doorward, browser):
    client, uri = a_public_app(doorward, redirect_uris=["http://127.0.0.1/cb"]), "http://127.0.0.1:5000/cb"
    assert allowed(browser, client, redirect_uri=uri)["iss"] == doorward.issuer


def test_an_app_with_an_address_of_its_own_has_no_warning(doorward, browser):
    client = a_public_app(doorward)
    page = consent_page(browser, browser.get(address_of(asking(client))))
    assert "on your own device" not in page.text
