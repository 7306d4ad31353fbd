"""Who calls, and which mechanism fits: what `doorward init` knows. Every answer is in this table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Caller(StrEnum):
    servers = "servers"
    partners = "partners"
    apps = "apps"
    own_app = "own-app"
    mcp = "mcp"
    ci = "ci"


@dataclass(frozen=True, slots=True)
class Advice:
    """`makes` is None where this version does not offer the mechanism."""

    who: str
    mechanism: str
    reason: str
    makes: str | None
    account: str = ""
    redirect_uri: str = ""

    @property
    def is_for_people(self) -> bool:
        """Its client sends users to sign in, and they come back to an address of its own."""
        return bool(self.redirect_uri)


ADVICE = {
    Caller.servers: Advice(
        "your own services, calling each other",
        "OAuth client credentials with JWT access tokens",
        "Each service fetches a token that lives for minutes, and the callee checks it locally, without a call.",
        "client",
        "own",
    ),
    Caller.partners: Advice(
        "partners' servers",
        "an API key",
        "One header and no protocol to learn; it expires, and once revoked it is refused at once.",
        "key",
        "partner",
    ),
    Caller.apps: Advice(
        "other people's apps, on behalf of your users",
        "OAuth authorization code with PKCE, and the user's consent",
        "The user decides what the app may do, sees it among the connected apps, and can end it there.",
        "client",
        "app",
        "https://localhost:8001/callback",
    ),
    Caller.own_app: Advice(
        "your own single-page or mobile app",
        "OpenID Connect: authorization code with PKCE, as a public client",
        "Such an app can keep no secret, so the sign-in is bound to it by PKCE and its refresh tokens rotate.",
        "public client",
        "own",
        "https://localhost:8002/",
    ),
    Caller.mcp: Advice(
        "AI tools, over MCP",
        "OAuth authorization code with PKCE, protected resource metadata and client metadata documents",
        "MCP asks for exactly that: the tool finds the server by itself, and the user consents to what it may do.",
        None,
    ),
    Caller.ci: Advice(
        "CI jobs",
        "OAuth client credentials with JWT access tokens",
        "What a job prints into its log by mistake is a token of minutes; the secret stays in the CI's own store.",
        "client",
        "ci",
    ),
}
