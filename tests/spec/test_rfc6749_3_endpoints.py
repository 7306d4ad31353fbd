"""The authorization endpoint and what is compared with what: RFC 6749 §3.1, §3.2.1 and §3.3."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest
from tests.browsing import (
    CALLBACK,
    PROOF,
    Browser,
    a_code,
    a_public_app,
    address_of,
    an_app,
    asking,
    consent_page,
    redeem,
    sent_back,
    tokens,
)

OTHER = "https://client.example/other"


@pytest.fixture
def doorward(on_sqlite):
    return on_sqlite


def stays_here(reply):
    assert (reply.status_code, "location" in reply.headers) == (400, False)
    assert reply.headers["content-type"].startswith("text/html")
    return True


def error_of(reply):
    return sent_back(reply)["error"]


def test_3_1_the_user_is_verified_first(doorward, user):
    """The authorization server MUST first verify the identity of the resource owner."""
    client, visitor = an_app(doorward, first_party=True), Browser(doorward)
    reply = visitor.get(address_of(asking(client)))
    assert urlsplit(reply.headers["location"]).path == "/login"
    entered = visitor.sign_in(user["username"], reply.headers["location"], password="a wrong password, though long")
    assert entered.status_code != 303
    entered = visitor.sign_in(user["username"], reply.headers["location"])
    assert "code" in sent_back(visitor.get(entered.headers["location"]))


def test_3_1_the_endpoint_is_the_one_that_the_metadata_names_and_has_no_fragment(doorward):
    endpoint = doorward.http.get("/.well-known/oauth-authorization-server").json()["authorization_endpoint"]
    assert endpoint == f"{doorward.issuer}/oauth/authorize"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_3_1_get_and_post_and_nothing_else(doorward, method):
    reply = doorward.http.request(method, "/oauth/authorize")
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("name", ["scope", "state", "nonce", "prompt", "resource", "max_age", "claims", "login_hint"])
def test_3_1_what_is_sent_without_a_value_was_not_sent(doorward, browser, name):
    """Parameters sent without a value MUST be treated as if they were omitted."""
    client = an_app(doorward, first_party=True)
    asked = asking(client)
    asked.pop(name, None)
    assert "code" in sent_back(browser.get(f"{address_of(asked)}&{name}="))


@pytest.mark.parametrize("name", ["response_type", "code_challenge", "code_challenge_method"])
def test_3_1_so_one_that_is_needed_is_missing(doorward, browser, name):
    asked = asking(an_app(doorward))
    del asked[name]
    assert error_of(browser.get(f"{address_of(asked)}&{name}=")) == "invalid_request"


def test_3_1_unrecognised_parameters_are_ignored(doorward, browser):
    """The authorization server MUST ignore unrecognized request parameters."""
    client = an_app(doorward, first_party=True)
    more = {"colour": "blue", "access_token": "x", "code": "x", "error": "access_denied", "iss": "https://evil.example"}
    assert sent_back(browser.get(address_of(asking(client, **more)))).keys() == {"code", "state", "iss"}


def test_3_1_none_is_included_twice(doorward, browser):
    """Request and response parameters MUST NOT be included more than once."""
    asked = asking(an_app(doorward))
    for name in ("response_type", "state", "code_challenge"):
        assert error_of(browser.get(f"{address_of(asked)}&{name}={quote(asked[name])}")) == "invalid_request"


def test_3_1_1_a_response_type_that_is_missing_or_not_understood_is_an_error(doorward, browser):
    client = an_app(doorward)
    for kind, error in (
        ("", "invalid_request"),
        ("x", "unsupported_response_type"),
        ("code code", "unsupported_response_type"),
    ):
        assert error_of(browser.get(address_of(asking(client, response_type=kind)))) == error


def test_3_1_2_the_query_of_the_redirect_address_is_retained(doorward, browser):
    """The query component MUST be retained when adding additional query parameters."""
    uri = "https://client.example/callback?tenant=a%20b&x="
    client = an_app(doorward, first_party=True, redirect_uris=[uri])
    for changed, member in (({}, "code"), ({"scope": "no:such"}, "error")):
        location = browser.get(address_of(asking(client, redirect_uri=uri, **changed))).headers["location"]
        assert location.startswith(f"{uri}&{member}=")


@pytest.mark.parametrize("uri", ["/callback", "callback", "//client.example/callback", f"{CALLBACK}#", f"{CALLBACK}#x"])
def test_3_1_2_it_is_absolute_and_without_a_fragment(doorward, uri):
    client = an_app(doorward)
    reply = doorward.v1("PATCH", f"/clients/{client['client_id']}", {"redirect_uris": [uri]})
    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (422, "redirect_uris")


def test_3_1_2_1_it_is_protected_by_tls_unless_it_is_on_the_users_device(doorward):
    client = an_app(doorward)
    plain = doorward.v1("PATCH", f"/clients/{client['client_id']}", {"redirect_uris": ["http://client.example/cb"]})
    assert plain.status_code == 422
    local = doorward.v1("PATCH", f"/clients/{client['client_id']}", {"redirect_uris": ["http://127.0.0.1/cb"]})
    assert local.status_code == 200


@pytest.mark.parametrize("method", ["none", "client_secret_basic"])
def test_3_1_2_2_every_client_that_asks_users_registers_its_addresses(doorward, method):
    """The authorization server MUST require public clients to register their redirection endpoint."""
    body = {"name": "x", "account": doorward.an_account()["id"], "grant_types": ["authorization_code"]}
    reply = doorward.v1("POST", "/clients", {**body, "token_endpoint_auth_method": method})
    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (422, "redirect_uris")


def test_3_1_2_3_the_address_is_named_in_each_request(doorward, browser):
    """With several, the client MUST include one; here it must even with one, as OpenID Connect has it."""
    for uris in ([CALLBACK], [CALLBACK, OTHER]):
        asked = asking(an_app(doorward, redirect_uris=uris))
        del asked["redirect_uri"]
        assert stays_here(browser.get(address_of(asked)))


def test_3_1_2_3_and_compared_as_a_string(doorward, browser):
    client = an_app(doorward, first_party=True, redirect_uris=[CALLBACK, OTHER])
    for uri in (CALLBACK, OTHER):
        assert "code" in sent_back(browser.get(address_of(asking(client, redirect_uri=uri))), uri)
    for uri in (CALLBACK + "/", OTHER + "?", OTHER.replace("other", "%6fther"), OTHER.upper(), CALLBACK + OTHER):
        assert stays_here(browser.get(address_of(asking(client, redirect_uri=uri))))


@pytest.mark.parametrize("response_mode", ["query", "form_post", "fragment"])
def test_3_1_2_4_to_an_address_that_is_not_registered_nobody_is_sent(doorward, browser, response_mode):
    """It SHOULD inform the resource owner of the error and MUST NOT automatically redirect."""
    evil = "https://evil.example/callback"
    reply = browser.get(address_of(asking(an_app(doorward), redirect_uri=evil, response_mode=response_mode)))
    assert stays_here(reply)
    assert "evil.example" not in reply.text + str(reply.headers)


def test_3_2_1_a_confidential_client_authenticates(doorward, browser):
    """Confidential clients MUST authenticate with the authorization server."""
    client = an_app(doorward)
    code = a_code(browser, client)
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": PROOF.verifier}
    assert doorward.post("token", None, **form, client_id=client["client_id"]).json()["error"] == "invalid_client"
    assert redeem(doorward, client, code).status_code == 200


def test_3_2_1_a_client_id_keeps_the_code_from_being_somebody_elses(doorward, browser):
    client, other = a_public_app(doorward), a_public_app(doorward)
    code = a_code(browser, client)
    assert redeem(doorward, other, code).json()["error"] == "invalid_grant"
    assert redeem(doorward, client, code).status_code == 200


class TestScope:
    """§3.3."""

    def test_without_one_the_client_gets_what_it_is_allowed(self, doorward, browser):
        """The authorization server MUST either process the request using a pre-defined default or fail."""
        assert tokens(browser, an_app(doorward))["scope"] == "invoices:read invoices:write"

    def test_the_default_has_nothing_of_the_users_person(self, doorward, browser):
        page = consent_page(browser, browser.get(address_of(asking(an_app(doorward)))))
        assert page.boxes == ["scope.invoices:read", "scope.invoices:write"]

    def test_its_order_does_not_matter_and_its_case_does(self, doorward, browser):
        client = an_app(doorward)
        got = tokens(browser, client, scope="invoices:write invoices:read")
        assert set(got["scope"].split()) == {"invoices:read", "invoices:write"}
        assert error_of(browser.get(address_of(asking(client, scope="Invoices:read")))) == "invalid_scope"

    def test_what_was_issued_is_told_where_it_differs_from_what_was_asked(self, doorward, browser):
        """The authorization server MUST include the "scope" response parameter to inform the client."""
        client = an_app(doorward)
        page = consent_page(browser, browser.get(address_of(asking(client))))
        del page.fields["scope.invoices:read"]
        code = sent_back(browser.submit(page, answer="allow"))["code"]
        assert redeem(doorward, client, code).json()["scope"] == "invoices:write"
