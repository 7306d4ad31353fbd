"""OpenID Connect Discovery §3 and §4: what a client finds out by itself, and that it is so."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from tests.browsing import an_app, signed_in
from tests.openid import EVERYTHING, identified, identity, known, somebody, userinfo

PATH = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"
PUBLIC = [PATH, OAUTH, "/.well-known/jwks.json"]
ORIGIN = {"origin": "https://spa.example"}


@pytest.fixture
def doorward(on_sqlite):
    """It is the same whatever the database."""
    return on_sqlite


@pytest.fixture
def metadata(doorward):
    reply = doorward.http.get(PATH)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    return reply.json()


def test_both_addresses_have_one_document(doorward):
    assert doorward.http.get(PATH).content == doorward.http.get(OAUTH).content


def test_the_issuer_is_the_one_that_the_tokens_name(doorward, metadata):
    """§4.3: it MUST be the issuer that the address was made from, and the `iss` of ID tokens."""
    assert metadata["issuer"] == doorward.issuer
    parts = urlsplit(metadata["issuer"])
    assert (parts.scheme, parts.query, parts.fragment) == ("https", "", "")


def test_everything_that_is_required_is_there(metadata):
    """§3."""
    assert metadata.keys() >= {
        "issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "scopes_supported",
        "response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported",
        "claims_supported", "claims_parameter_supported", "acr_values_supported", "response_modes_supported",
        "code_challenge_methods_supported", "token_endpoint_auth_methods_supported", "grant_types_supported",
    }  # fmt: skip
    assert metadata["subject_types_supported"] == ["public"]
    assert {"openid", "profile", "email", "address", "phone", "offline_access"} <= set(metadata["scopes_supported"])


def test_what_is_not_offered_is_said_to_be_so(metadata):
    """§3: request_uri_parameter_supported is true where it is left out."""
    assert metadata["request_uri_parameter_supported"] is metadata["request_parameter_supported"] is False
    assert "registration_endpoint" not in metadata
    assert "none" not in metadata["id_token_signing_alg_values_supported"]


def test_every_algorithm_signs(doorward, metadata):
    """RS256 MUST be included."""
    browser = signed_in(doorward, somebody(doorward))
    assert "RS256" in metadata["id_token_signing_alg_values_supported"]
    for algorithm in metadata["id_token_signing_alg_values_supported"]:
        client = an_app(doorward, id_token_signed_response_alg=algorithm)
        assert identity(doorward, identified(browser, client), client, algorithm)


def test_every_claim_that_is_named_can_be_told_and_no_other(doorward, metadata):
    client, browser = an_app(doorward), signed_in(doorward, somebody(doorward))
    tokens = identified(browser, client, scope=EVERYTHING)
    told = identity(doorward, tokens, client).keys() | known(doorward, tokens["access_token"]).keys()
    assert told == set(metadata["claims_supported"])


def test_the_endpoints_are_where_it_says(doorward, metadata):
    browser, client = signed_in(doorward, somebody(doorward)), an_app(doorward)
    assert urlsplit(metadata["userinfo_endpoint"]).path == "/oauth/userinfo"
    assert userinfo(doorward, identified(browser, client)["access_token"]).status_code == 200
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        assert metadata[name].startswith(doorward.issuer + "/")
        assert doorward.http.get(urlsplit(metadata[name]).path).status_code != 404


@pytest.mark.parametrize("path", PUBLIC)
class TestOtherOrigins:
    """T182: clients in a browser find out too."""

    def test_any_may_read_without_cookies(self, doorward, path):
        reply = doorward.http.get(path, headers=ORIGIN)
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "*")
        assert "access-control-allow-credentials" not in reply.headers

    def test_a_preflight_is_answered(self, doorward, path):
        asked = {**ORIGIN, "access-control-request-method": "GET"}
        reply = doorward.http.options(path, headers=asked)
        assert (reply.status_code, reply.content) == (204, b"")
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["access-control-allow-methods"] == "GET, HEAD"


def test_a_single_page_app_gets_its_tokens_by_itself(doorward):
    """Every endpoint that it calls says so beforehand; the one that it sends its user to does not (T014)."""
    for path, methods in (("token", "POST"), ("revoke", "POST"), ("userinfo", "GET, POST")):
        asked = {**ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
        reply = doorward.http.options(f"/oauth/{path}", headers=asked)
        assert (reply.status_code, reply.headers["access-control-allow-methods"]) == (204, methods)
        assert "content-type" in reply.headers["access-control-allow-headers"]
    reply = doorward.http.options("/oauth/authorize", headers=ORIGIN)
    assert (reply.status_code, "access-control-allow-origin" in reply.headers) == (405, False)
