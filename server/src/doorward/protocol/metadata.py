"""Authorization server metadata, RFC 8414 §2, derived from the table of grant types and endpoints."""

from __future__ import annotations

from collections.abc import Iterable

from doorward.protocol.client_authentication import METHODS
from doorward.protocol.entities import JSON

MEMBERS = {"/oauth/introspect": "introspection_endpoint", "/oauth/revoke": "revocation_endpoint"}


def document(issuer: str, grant_types: Iterable[str], endpoints: Iterable[str]) -> dict[str, JSON]:
    """`response_types_supported` is required by §2 and empty: no authorization endpoint answers yet."""
    methods: list[JSON] = list(METHODS)
    served: dict[str, JSON] = {}
    for path in endpoints:
        served[MEMBERS[path]] = issuer + path
        served[f"{MEMBERS[path]}_auth_methods_supported"] = methods
    return {
        "issuer": issuer,
        "token_endpoint": issuer + "/oauth/token",
        "token_endpoint_auth_methods_supported": methods,
        "jwks_uri": issuer + "/.well-known/jwks.json",
        "grant_types_supported": list(grant_types),
        "response_types_supported": [],
        "revocations_endpoint": issuer + "/revocations",
        "revocations_stream_endpoint": issuer + "/revocations/stream",
        "revocations_jwks_uri": issuer + "/revocations/jwks",
        **served,
    }
