"""Shell for the `mcp` SDK: its TokenVerifier, and the settings that travel with it.

tokens = TokenVerifier(verifier)
server = MCPServer("Invoices", token_verifier=tokens, auth=tokens.settings("invoices:read"))
"""

from __future__ import annotations

from typing import Any

from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings

from doorward_verify.errors import DoorwardError, Unavailable
from doorward_verify.verified import Verified
from doorward_verify.verifier import Verifier


class TokenVerifier:
    """Access tokens and API keys alike: both arrive as Bearer."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def verify_token(self, token: str) -> AccessToken | None:
        """Raises Unavailable: the SDK knows no better way to say that the token is not at fault."""
        found = await verified(self._verifier, token)
        return None if found is None else AccessToken(**fields(self._verifier, token, found))

    def settings(self, *scope: str) -> AuthSettings:
        """The verifier's audience has to be the URL of the server, as clients know it."""
        return AuthSettings.model_validate(
            {
                "issuer_url": self._verifier.issuer,
                "resource_server_url": self._verifier.audience,
                "required_scopes": list(scope),
                "validate_token_resource": True,
            }
        )


async def verified(verifier: Verifier, token: str) -> Verified | None:
    try:
        return await verifier.acheck(token)
    except Unavailable:
        raise
    except DoorwardError:
        return None


def fields(verifier: Verifier, token: str, caller: Verified) -> dict[str, Any]:
    """The members of an AccessToken. Who has an API key is no client by himself: the key stands for one."""
    return {
        "token": token,
        "client_id": caller.client_id or caller.key_id or "",
        "scopes": sorted(caller.scope),
        "expires_at": caller.expires_at,
        "resource": caller.audience,
        "subject": caller.subject,
        "claims": {"iss": verifier.issuer, **caller.claims},
    }
