"""The OpenID Foundation's certification, back-channel logout: one test for each module of the plan, by its name."""

from __future__ import annotations

import sys
from urllib.parse import urlencode

from tests.browsing import a_user, an_app, sent_back, signed_in
from tests.openid import authorize, identified
from tests.spec import test_oidf_basic_op as basic
from tests.spec.test_oidc_back_channel_logout import heard, sid_of

PLAN = "oidcc-backchannel-rp-initiated-logout-certification-test-plan"
AFTER = "https://client.example/post_logout_redirect"
PATH = "/backchannel_logout"
STATE = "w1nbZ8wGfZ7uJ9pQ"


def test_no_module_is_forgotten():
    assert {name for name in dir(sys.modules[__name__]) if name.startswith("test_oidcc_")} == basic.modules(PLAN)


def test_oidcc_backchannel_logout_discovery_endpoint_verification(calling):
    metadata = calling.http.get("/.well-known/openid-configuration").json()
    assert metadata["backchannel_logout_supported"] is True
    assert metadata["backchannel_logout_session_supported"] is True
    assert metadata["end_session_endpoint"].startswith("https://")


def test_oidcc_backchannel_rp_initiated_logout(calling, receiver):
    addresses = {"backchannel_logout_uri": receiver.url(PATH), "post_logout_redirect_uris": [AFTER]}
    client = an_app(calling, backchannel_logout_session_required=True, **addresses)
    user = a_user(calling)
    browser = signed_in(calling, user)
    id_token = identified(browser, client)["id_token"]
    asked = {"id_token_hint": id_token, "post_logout_redirect_uri": AFTER, "state": STATE}
    assert sent_back(browser.get(f"/oauth/logout?{urlencode(asked)}"), AFTER) == {"state": STATE}
    told = heard(calling, receiver, client, PATH)
    assert (told["sub"], told["sid"]) == (user["id"], sid_of(calling, id_token))
    assert authorize(browser, client, prompt="none").told["error"] == "login_required"
