"""PKCE as a client sees it, RFC 7636 §4, with the values of its appendix B."""

from __future__ import annotations

import pytest
from tests.browsing import a_code, a_public_app, address_of, an_app, asking, redeem, sent_back

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize("app", [an_app, a_public_app])
def test_the_verifier_of_appendix_b_redeems_what_its_challenge_began(doorward, browser, app):
    client = app(doorward)
    code = a_code(browser, client, code_challenge=CHALLENGE)
    assert redeem(doorward, client, code, code_verifier=VERIFIER).status_code == 200


def test_4_6_if_the_values_are_not_equal_the_error_is_invalid_grant(doorward, browser):
    client = a_public_app(doorward)
    code = a_code(browser, client, code_challenge=CHALLENGE)
    for verifier in (CHALLENGE, VERIFIER[:-1], VERIFIER + "A", VERIFIER.upper(), "a" * 129, "short"):
        reply = redeem(doorward, client, code, code_verifier=verifier)
        assert (reply.status_code, reply.json()["error"], reply.json()["reason"]) == (
            400,
            "invalid_grant",
            "pkce_failed",
        )
    assert redeem(doorward, client, code, code_verifier=VERIFIER).status_code == 200


def test_4_4_1_a_request_without_a_challenge_is_invalid(doorward, browser):
    told = sent_back(browser.get(address_of(asking(a_public_app(doorward), code_challenge=""))))
    assert (told["error"], told["error_description"]) == ("invalid_request", "a code_challenge by S256 is needed")


def test_4_4_1_a_transformation_that_is_not_supported_is_invalid(doorward, browser):
    for method in ("plain", "S384", ""):
        told = sent_back(browser.get(address_of(asking(a_public_app(doorward), code_challenge_method=method))))
        assert told["error"] == "invalid_request"


def test_the_metadata_says_that_s256_is_all_there_is(doorward):
    """RFC 8414 §2; some clients refuse to begin without it."""
    metadata = doorward.http.get("/.well-known/oauth-authorization-server").json()
    assert metadata["code_challenge_methods_supported"] == ["S256"]
