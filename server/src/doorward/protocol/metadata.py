"""Authorization server metadata, RFC 8414 §2, and the same as an OpenID provider's (OpenID Connect Discovery §3).

Derived from the table of grant types and endpoints; one document, at both addresses.
"""

from __future__ import annotations

from collections.abc import Iterable

from doorward.protocol import claims, consent, id_token, pkce, sign_in, status_list
from doorward.protocol.authorization import PROMPTS, RESPONSE_MODES
from doorward.protocol.client_authentication import METHODS, PUBLIC
from doorward.protocol.entities import JSON

MEMBERS = {
    "/oauth/introspect": "introspection_endpoint",
    "/oauth/revoke": "revocation_endpoint",
    "/oauth/userinfo": "userinfo_endpoint",
}
# A public client may end its own tokens, and ask about none (decision 13).
METHODS_OF = {"/oauth/introspect": METHODS, "/oauth/revoke": (*METHODS, PUBLIC)}


def document(issuer: str, grant_types: Iterable[str], endpoints: Iterable[str]) -> dict[str, JSON]:
    served: dict[str, JSON] = {}
    for path in endpoints:
        served[MEMBERS[path]] = issuer + path
        if path in METHODS_OF:
            served[f"{MEMBERS[path]}_auth_methods_supported"] = list(METHODS_OF[path])
    return {
        "issuer": issuer,
        "authorization_endpoint": issuer + "/oauth/authorize",
        "token_endpoint": issuer + "/oauth/token",
        "token_endpoint_auth_methods_supported": [*METHODS, PUBLIC],
        "jwks_uri": issuer + "/.well-known/jwks.json",
        "grant_types_supported": list(grant_types),
        "scopes_supported": [*consent.OIDC],
        "response_types_supported": ["code"],
        "response_modes_supported": [*RESPONSE_MODES],
        "code_challenge_methods_supported": [pkce.METHOD],
        "prompt_values_supported": [*sorted(PROMPTS)],
        "authorization_response_iss_parameter_supported": True,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [*id_token.ALGORITHMS],
        "acr_values_supported": [*sign_in.ACRS],
        "claim_types_supported": ["normal"],
        "claims_supported": [*id_token.CLAIMS, *claims.NAMES],
        "claims_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "end_session_endpoint": issuer + "/oauth/logout",
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "revocations_endpoint": issuer + "/revocations",
        "revocations_stream_endpoint": issuer + "/revocations/stream",
        "revocations_jwks_uri": issuer + "/revocations/jwks",
        "assertions_jwks_uri": issuer + "/assertions/jwks",
        "usage_endpoint": issuer + "/usage",
        "plaintext_endpoint": issuer + "/leaks/plaintext",
        "status_list_aggregation_endpoint": issuer + status_list.PATH,
        **served,
    }
