"""Authorization server metadata, RFC 8414 §2, is derived from the table of grant types and endpoints."""

from __future__ import annotations

import pytest

from doorward.protocol.metadata import MEMBERS, document

METHODS = ["client_secret_basic", "client_secret_post"]


def test_the_metadata_names_what_is_served() -> None:
    assert document("https://auth.example.com", ["client_credentials"], ["/oauth/introspect", "/oauth/revoke"]) == {
        "issuer": "https://auth.example.com",
        "authorization_endpoint": "https://auth.example.com/oauth/authorize",
        "token_endpoint": "https://auth.example.com/oauth/token",
        "token_endpoint_auth_methods_supported": [*METHODS, "none"],
        "jwks_uri": "https://auth.example.com/.well-known/jwks.json",
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["openid", "profile", "email", "address", "phone", "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["consent", "login", "none", "select_account"],
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "revocations_endpoint": "https://auth.example.com/revocations",
        "revocations_stream_endpoint": "https://auth.example.com/revocations/stream",
        "revocations_jwks_uri": "https://auth.example.com/revocations/jwks",
        "usage_endpoint": "https://auth.example.com/usage",
        "status_list_aggregation_endpoint": "https://auth.example.com/statuslists",
        "introspection_endpoint": "https://auth.example.com/oauth/introspect",
        "introspection_endpoint_auth_methods_supported": METHODS,
        "revocation_endpoint": "https://auth.example.com/oauth/revoke",
        "revocation_endpoint_auth_methods_supported": [*METHODS, "none"],
    }


def test_what_is_not_served_is_not_named() -> None:
    found = document("https://auth.example.com", [], [])
    assert found["grant_types_supported"] == []
    assert not {name for name in found if name.startswith(("introspection_", "revocation_"))}


@pytest.mark.parametrize("path", MEMBERS)
def test_every_url_is_below_the_issuer(path: str) -> None:
    found = document("https://example.com/tenant", [], [path])
    urls = [value for value in found.values() if isinstance(value, str)]
    assert all(url.startswith("https://example.com/tenant") for url in urls)
    assert f"https://example.com/tenant{path}" in urls
