"""What a provider publishes of itself: of this issuer, with addresses that can be trusted, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.elsewhere import ACME, an_upstream
from tests.protocol.given import refused

from doorward.protocol import upstream_metadata
from doorward.protocol.upstream_metadata import Metadata

DOCUMENT: dict[str, Any] = {
    "issuer": ACME.issuer, "authorization_endpoint": f"{ACME.issuer}/authorize",
    "token_endpoint": f"{ACME.issuer}/token", "jwks_uri": f"{ACME.issuer}/jwks",
}  # fmt: skip


def test_the_least_is_enough() -> None:
    assert upstream_metadata.parse(ACME, DOCUMENT) == Metadata(
        f"{ACME.issuer}/authorize", f"{ACME.issuer}/token", f"{ACME.issuer}/jwks", None, frozenset({"RS256"}),
        "client_secret_basic", False,
    )  # fmt: skip


def test_what_is_announced_is_used() -> None:
    found = upstream_metadata.parse(
        ACME,
        {
            **DOCUMENT, "userinfo_endpoint": f"{ACME.issuer}/userinfo",
            "id_token_signing_alg_values_supported": ["none", "HS256", "ES256", "RS256", 7],
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"],
            "authorization_response_iss_parameter_supported": True,
        },
    )  # fmt: skip
    assert found.userinfo_endpoint == f"{ACME.issuer}/userinfo"
    assert (found.algorithms, found.auth_method) == (frozenset({"ES256", "RS256"}), "client_secret_post")
    assert found.promises_iss


def test_it_lies_behind_the_whole_issuer() -> None:
    for issuer in ("https://login.acme.example/tenant", "https://login.acme.example/tenant/"):
        address = upstream_metadata.address(an_upstream(issuer=issuer))
        assert address == "https://login.acme.example/tenant/.well-known/openid-configuration"


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://login.acme.example/"}, {"issuer": None}, {"issuer": ["https://login.acme.example"]},
        {"authorization_endpoint": None}, {"token_endpoint": "http://login.acme.example/token"},
        {"jwks_uri": "javascript:alert(1)"}, {"jwks_uri": "com.example.app:/jwks"}, {"token_endpoint": 7},
        {"authorization_endpoint": "https://login.acme.example/authorize#x"}, {"userinfo_endpoint": "ftp://x"},
        {"id_token_signing_alg_values_supported": ["none", "HS256"]},
        {"id_token_signing_alg_values_supported": "RS256"},
    ],
    ids=str,
)  # fmt: skip
def test_a_document_that_cannot_be_trusted_is_refused(changed: dict[str, Any]) -> None:
    with refused("access_denied", reason="upstream_failed"):
        upstream_metadata.parse(ACME, {**DOCUMENT, **changed})
