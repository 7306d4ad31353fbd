"""What users allow clients, for the rules that are tested on it: requests, codes and refresh tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.protocol.given import (
    EARLIER,
    NOW,
    PEPPER,
    REFRESH_TOKEN,
    a_client,
    a_secret,
    a_session,
    a_user,
    a_user_grant,
    an_account,
    an_api,
    scope,
)

from doorward.protocol import interaction
from doorward.protocol.authorization import Authorization
from doorward.protocol.client import ClientFacts, GrantFacts
from doorward.protocol.entities import AuthorizationRequest, Code, Grant, RefreshToken
from doorward.protocol.grant import UserGrantFacts
from doorward.protocol.interaction import Known
from doorward.protocol.policy import DAY
from doorward.protocol.session import SessionFacts
from doorward_verify import api_key

CALLBACK = "https://client.example/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B
CODE = "SplxlOBeZQQYbYS6WxSbIASplxlOBeZQQYbYS6WxSbI"
COOKIE = "c" * 43
BOTH = ("authorization_code", "refresh_token")


def an_app(*grants: GrantFacts, **fields: Any) -> ClientFacts:
    """A client that asks users; public if it says so."""
    given = {"grant_types": BOTH, "redirect_uris": (CALLBACK,), "name": "Books", **fields}
    return a_client(*grants, **given)


def a_public_app(*grants: GrantFacts, **fields: Any) -> ClientFacts:
    return an_app(*grants, **{"token_endpoint_auth_method": "none", "secrets": (), **fields})


def signed_in(**fields: Any) -> SessionFacts:
    """A user and his session, which he uses right now."""
    return SessionFacts(a_session(**fields), a_user(), (), NOW)


def an_authorization(**fields: Any) -> Authorization:
    made = Authorization("client_1", CALLBACK, "query", CHALLENGE, scope("read"), "api_1", state="af0ifjsldkj")
    return replace(made, **fields)


def a_waiting_request(asked: Authorization | None = None, **fields: Any) -> AuthorizationRequest:
    made = AuthorizationRequest(
        "authorization_1", interaction.digest(COOKIE), "client_1", "192.0.2.1", (asked or an_authorization()).kept(),
        None, NOW - 60, NOW + 60,
    )  # fmt: skip
    return replace(made, **fields)


def known(client: ClientFacts | None = None, session: SessionFacts | None = None, *grants: Grant) -> Known:
    return Known(client or an_app(), session, grants, (an_account(),))


def a_code(**fields: Any) -> Code:
    made = Code(
        interaction.digest(CODE), "client_1", "user_1", "session_1", "grant_u", CALLBACK, CHALLENGE, scope("read"),
        "api_1", None, {}, NOW - 60, "1", NOW - 10, NOW + 50,
    )  # fmt: skip
    return replace(made, **fields)


def granted(**fields: Any) -> UserGrantFacts:
    """A user's grant with all that it hangs on."""
    return replace(UserGrantFacts(a_user_grant(auth_time=NOW - 60, acr="1"), a_user(), an_api()), **fields)


def a_refresh_token(seed: str = "", **fields: Any) -> RefreshToken:
    """What is kept of one; without a seed, of the REFRESH_TOKEN that every test knows."""
    text = a_secret("r", seed=seed) if seed else REFRESH_TOKEN
    mac = PEPPER.mac(api_key.digest(text))
    made = RefreshToken(
        api_key.parse(text).id, mac, 2, "grant_u", "client_1", scope("read"), EARLIER, NOW + DAY, NOW + 30 * DAY
    )
    return replace(made, **fields)
