"""The OpenID Foundation's certification, RP-initiated logout: one test for each module of the plan, by its name.

Each signs somebody in at a client, sends him to the end_session_endpoint, and looks whether he is signed in after it.
"""

from __future__ import annotations

import sys
from urllib.parse import quote, urlencode, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from tests.browsing import Browser, Page, an_app, signed_in
from tests.deployment import Json
from tests.openid import authorize, identified, somebody
from tests.spec import test_oidf_basic_op as basic
from tests.spec.test_oidc_rp_initiated_logout import forged

from doorward_verify import jwt as ours

PLAN = "oidcc-rp-initiated-logout-certification-test-plan"
AFTER = "https://client.example/post_logout_redirect"
STATE = "w1nbZ8wGfZ7uJ9pQ"
NONE = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"  # {"alg":"none","typ":"JWT"}


def test_no_module_is_forgotten():
    assert {name for name in dir(sys.modules[__name__]) if name.startswith("test_oidcc_")} == basic.modules(PLAN)


@pytest.fixture(scope="module")
def ada(on_sqlite):
    return somebody(on_sqlite)


@pytest.fixture(scope="module")
def client(on_sqlite):
    return an_app(on_sqlite, post_logout_redirect_uris=[AFTER])


@pytest.fixture
def here(on_sqlite, ada):
    return signed_in(on_sqlite, ada)


@pytest.fixture
def asked(here, client):
    """All that a client sends."""
    hint = identified(here, client)["id_token"]
    return {"id_token_hint": hint, "post_logout_redirect_uri": AFTER, "state": STATE}


def sent(browser: Browser, asked: dict[str, str]) -> str:
    """Where the browser is in the end, on its way through pages of ours; a question is answered with yes."""
    metadata = browser.doorward.http.get("/.well-known/openid-configuration").json()
    path = urlsplit(metadata["end_session_endpoint"]).path
    reply = browser.get(f"{path}?{urlencode(asked, quote_via=quote)}" if asked else path)
    while True:
        if reply.status_code == 303 and not urlsplit(reply.headers["location"]).netloc:
            reply = browser.get(reply.headers["location"])
        elif reply.status_code == 200 and (page := Page(reply.text)).action == "/logout":
            reply = browser.submit(page)
        elif reply.status_code == 303:
            return str(reply.headers["location"])
        else:
            assert "Nobody is signed in" in reply.text
            return "a page of ours"


def is_refused(browser: Browser, asked: dict[str, str], client: Json) -> None:
    """An error, or a question: no way back to the client, and nothing ended."""
    reply = browser.get(f"/oauth/logout?{urlencode(asked, quote_via=quote)}")
    assert reply.status_code == 400
    assert "location" not in reply.headers
    assert "code" in authorize(browser, client, prompt="none").told


def is_signed_out(browser: Browser, client: Json) -> None:
    assert authorize(browser, client, prompt="none").told["error"] == "login_required"


def test_oidcc_rp_initiated_logout_discovery_endpoint_verification(on_sqlite):
    metadata = on_sqlite.http.get("/.well-known/openid-configuration").json()
    assert metadata["end_session_endpoint"] == f"{on_sqlite.issuer}/oauth/logout"


def test_oidcc_rp_initiated_logout(here, client, asked):
    assert sent(here, asked) == f"{AFTER}?state={STATE}"
    is_signed_out(here, client)


def test_oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(here, client, asked):
    is_refused(here, {**asked, "post_logout_redirect_uri": "https://other.example/post_logout_redirect"}, client)


def test_oidcc_rp_initiated_logout_modified_id_token_hint(here, client, asked):
    is_refused(here, {**asked, "id_token_hint": forged(asked["id_token_hint"], NONE, "")}, client)


def test_oidcc_rp_initiated_logout_no_id_token_hint(here, client, asked):
    del asked["id_token_hint"]
    is_refused(here, asked, client)


def test_oidcc_rp_initiated_logout_no_params(here, client):
    assert sent(here, {}) == "a page of ours"
    is_signed_out(here, client)


def test_oidcc_rp_initiated_logout_no_post_logout_redirect_uri(here, client, asked):
    del asked["post_logout_redirect_uri"]
    assert sent(here, asked) == "a page of ours"
    is_signed_out(here, client)


def test_oidcc_rp_initiated_logout_no_state(here, client, asked):
    del asked["state"]
    assert sent(here, asked) == AFTER
    is_signed_out(here, client)


def test_oidcc_rp_initiated_logout_only_state(here, client):
    assert sent(here, {"state": STATE}) == "a page of ours"
    is_signed_out(here, client)


def test_oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri(here, client, asked):
    is_refused(here, {**asked, "post_logout_redirect_uri": f"{AFTER}?foo=bar"}, client)


def test_oidcc_rp_initiated_logout_bad_id_token_hint(here, client, asked):
    """Signed by somebody else, with a key of his own under the name of ours."""
    is_refused(here, {**asked, "id_token_hint": signed_elsewhere(asked["id_token_hint"])}, client)


def signed_elsewhere(text: str) -> str:
    parsed = ours.parse(text)
    return jwt.encode(dict(parsed.header), parsed.claims, RSAKey.generate_key(2048))
