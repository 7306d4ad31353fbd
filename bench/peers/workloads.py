"""What is measured, by name, and what is asked of Doorward beside which peer."""

from __future__ import annotations

from dataclasses import dataclass

ISSUE = {
    "issue a JWT, ES256": "ES256", "issue a JWT, RS256": "RS256", "issue an opaque token": "opaque",
}  # fmt: skip
INTROSPECT = "introspect"
ASKED_ABOUT = ("an opaque token", "a JWT", "an API key")
JWKS = "JWKS"
FOR_GATEWAY = {"check for a gateway, ES256": "ES256", "check for a gateway, RS256": "RS256"}
THROUGH = {name: f"through {name} that asks about every request" for name in ("nginx", "caddy", "envoy")}

OURS = "Doorward"
CONSTANT = "an answer that is always the same"
OIDC_PROVIDER = "oidc-provider, in memory"
AUTHLIB_SQLITE = "Authlib on SQLite"
HAPROXY = "HAProxy jwt_verify"
PYJWT = "PyJWT"


@dataclass(frozen=True)
class Asked:
    """How many times the peer's rate `ours` has at least, and what is aimed at."""

    workload: str
    ours: str
    peer: str
    required: float
    aimed: float | None = None


# fmt: off
ASKED = (
    Asked("issue a JWT, ES256", "Doorward", OIDC_PROVIDER, 2.0, 3.5),
    Asked("issue a JWT, ES256", "Doorward", AUTHLIB_SQLITE, 10.0),
    *(Asked(INTROSPECT, f"Doorward, {what}", OIDC_PROVIDER, 2.5, 4.0) for what in ASKED_ABOUT),
    *(Asked("check for a gateway, ES256", f"Doorward, {what}", HAPROXY, 1.0, 1.6) for what in ("a JWT", "an API key")),
)
ASKED_OF_VERIFIER = (
    Asked("verify, ES256", "Doorward, known", PYJWT, 30.0),
    Asked("verify, ES256", "Doorward, unknown", PYJWT, 1.4, 1.5),
    Asked("verify, RS256", "Doorward, unknown", PYJWT, 1.8, 2.4),
)
# fmt: on
