"""RFC 9207: every authorization response names its issuer, so that two servers are not mixed up."""

from __future__ import annotations

import pytest
from tests.browsing import (
    Browser,
    Page,
    address_of,
    allowed,
    an_app,
    asking,
    consent_page,
    sent_back,
)


def issuer(doorward):
    metadata = doorward.http.get("/.well-known/oauth-authorization-server").json()
    assert metadata["authorization_response_iss_parameter_supported"] is True
    return metadata["issuer"]


def test_2_a_success_names_it(doorward, browser):
    assert allowed(browser, an_app(doorward))["iss"] == issuer(doorward)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"), ({"scope": "no:such"}, "invalid_scope"),
        ({"prompt": "none"}, "consent_required"), ({"code_challenge": ""}, "invalid_request"),
        ({"resource": "https://unknown.example"}, "invalid_target"), ({"request": "x"}, "request_not_supported"),
    ],
)  # fmt: skip
def test_2_and_so_does_every_error(doorward, browser, changed, error):
    told = sent_back(browser.get(address_of(asking(an_app(doorward), **changed))))
    assert (told["error"], told["iss"]) == (error, issuer(doorward))


def test_2_a_denial_and_a_missing_sign_in_too(doorward, browser):
    client = an_app(doorward)
    page = consent_page(browser, browser.get(address_of(asking(client))))
    assert sent_back(browser.submit(page, answer="deny"))["iss"] == issuer(doorward)
    nobody = Browser(doorward).get(address_of(asking(client, prompt="none")))
    assert sent_back(nobody)["iss"] == issuer(doorward)


def test_in_a_form_it_is_a_field(doorward, browser):
    reply = browser.get(address_of(asking(an_app(doorward), response_mode="form_post", scope="no:such")))
    assert Page(reply.text).fields["iss"] == issuer(doorward)


def test_what_a_request_says_of_the_issuer_is_nothing(doorward, browser):
    headers = {"x-forwarded-host": "evil.example", "forwarded": "host=evil.example"}
    reply = browser.get(address_of(asking(an_app(doorward), scope="no:such", iss="https://evil.example")), **headers)
    assert sent_back(reply)["iss"] == issuer(doorward)
