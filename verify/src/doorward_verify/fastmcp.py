"""Shell for FastMCP: a provider that checks tokens and API keys here, and sends clients to the issuer (RFC 9728).

server = FastMCP("Invoices", auth=DoorwardProvider(verifier, base_url="https://mcp.example.com"))
"""

from __future__ import annotations

from collections.abc import Iterable

from fastmcp.server.auth import AccessToken, RemoteAuthProvider, TokenVerificationError, TokenVerifier

from doorward_verify import mcp
from doorward_verify.errors import Unavailable
from doorward_verify.verifier import Verifier


class DoorwardProvider(RemoteAuthProvider):
    """The verifier's audience has to be `base_url` and the path of the server, as clients know it."""

    def __init__(self, verifier: Verifier, *, base_url: str, required_scopes: Iterable[str] = ()) -> None:
        super().__init__(
            token_verifier=Tokens(verifier, list(required_scopes)),
            # A URL object would end in a slash, and clients compare issuers as text.
            authorization_servers=[verifier.issuer],  # type: ignore[list-item]
            base_url=base_url,
        )


class Tokens(TokenVerifier):
    def __init__(self, verifier: Verifier, required_scopes: list[str]) -> None:
        super().__init__(required_scopes=required_scopes)
        self._verifier = verifier

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            found = await mcp.verified(self._verifier, token)
        except Unavailable as problem:
            raise TokenVerificationError(problem.description) from problem
        return None if found is None else AccessToken(**mcp.fields(self._verifier, token, found))
