"""Where the consent page's answer takes a browser: its policy lets it go to the client's address, whatever that is."""

from __future__ import annotations

import pytest
from tests.browsing import PASSWORD, a_public_app, a_user, address_of, asking
from tests.deployment import free_port, served


@pytest.fixture(scope="module")
def doorward(tmp_path_factory):
    with served(tmp_path_factory.mktemp("redirects")) as doorward:
        yield doorward


@pytest.mark.parametrize(("host", "answer", "told"), [("127.0.0.1", "Deny", "error="), ("[::1]", "Allow", "code=")])
def test_a_browser_follows_the_answer_to_every_loopback_address(visit, doorward, host, answer, told):
    """RFC 8252 §7.3, decision 32: a policy cannot name `[::1]`, and Chromium would block the way there."""
    user, page = a_user(doorward), visit()
    client = a_public_app(doorward, redirect_uris=[f"http://{host}/cb"])
    # Nobody has to listen there: that the browser goes is enough.
    uri = f"http://{host}:{free_port()}/cb"
    page.goto(doorward.issuer + address_of(asking(client, redirect_uri=uri)))
    page.get_by_label("User name").fill(user["username"])
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    with page.expect_request(lambda request: request.url.startswith(f"{uri}?")) as sent:
        page.get_by_role("button", name=answer).click()
    assert f"?{told}" in sent.value.url
