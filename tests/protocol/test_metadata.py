"""Authorization server metadata, RFC 8414 §2, is derived from the table of grant types and endpoints."""

from __future__ import annotations

import pytest

from doorward.protocol.metadata import MEMBERS, document

METHODS = ["client_secret_basic", "client_secret_post"]


def test_the_metadata_names_what_is_served() -> None:
    served = ["/oauth/introspect", "/oauth/revoke", "/oauth/userinfo"]
    assert document("https://auth.example.com", ["client_credentials"], served) == {
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
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "acr_values_supported": ["1"],
        "claim_types_supported": ["normal"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "at_hash", "sid",
            "name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
            "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
            "email", "email_verified", "address", "phone_number", "phone_number_verified",
        ],
        "claims_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "end_session_endpoint": "https://auth.example.com/oauth/logout",
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "revocations_endpoint": "https://auth.example.com/revocations",
        "revocations_stream_endpoint": "https://auth.example.com/revocations/stream",
        "revocations_jwks_uri": "https://auth.example.com/revocations/jwks",
        "assertions_jwks_uri": "https://auth.example.com/assertions/jwks",
        "usage_endpoint": "https://auth.example.com/usage",
        "plaintext_endpoint": "https://auth.example.com/leaks/plaintext",
        "status_list_aggregation_endpoint": "https://auth.example.com/statuslists",
        "introspection_endpoint": "https://auth.example.com/oauth/introspect",
        "introspection_endpoint_auth_methods_supported": METHODS,
        "revocation_endpoint": "https://auth.example.com/oauth/revoke",
        "revocation_endpoint_auth_methods_supported": [*METHODS, "none"],
        "userinfo_endpoint": "https://auth.example.com/oauth/userinfo",
    }  # fmt: skip


def test_what_is_not_served_is_not_named() -> None:
    found = document("https://auth.example.com", [], [])
    assert found["grant_types_supported"] == []
    assert not {name for name in found if name.startswith(("introspection_", "revocation_", "userinfo_"))}


@pytest.mark.parametrize("path", MEMBERS)
def test_every_url_is_below_the_issuer(path: str) -> None:
    found = document("https://example.com/tenant", [], [path])
    urls = [value for value in found.values() if isinstance(value, str)]
    assert all(url.startswith("https://example.com/tenant") for url in urls)
    assert f"https://example.com/tenant{path}" in urls
