"""Authlib's session for requests, as its documentation uses it; its ID token claims over joserfc's signatures."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet
from steps import follow


class Client:
    """One registration, from discovery to logout."""

    def configure(self, issuer: str, client_id: str, client_secret: str | None, method: str, **asked: Any) -> str:
        self.asked = asked
        methods = {"token_endpoint_auth_method": method, "revocation_endpoint_auth_method": method}
        self.session = OAuth2Session(
            client_id, client_secret, scope=asked["scope"], redirect_uri=asked["redirect_uri"],
            code_challenge_method="S256", **methods,
        )  # fmt: skip
        self.server = self.read(f"{issuer}/.well-known/openid-configuration")
        return str(self.server["issuer"])

    def read(self, url: str) -> dict[str, Any]:
        reply = self.session.get(url, withhold_token=True)
        reply.raise_for_status()
        return dict(reply.json())

    def begin(self) -> str:
        self.verifier, self.nonce = generate_token(48), generate_token(20)
        url, self.state = self.session.create_authorization_url(
            self.server["authorization_endpoint"], code_verifier=self.verifier, nonce=self.nonce
        )
        return str(url)

    def arrive(self, address: str) -> dict[str, Any]:
        """A refusal is looked at by whoever uses the session, as its integrations for frameworks do."""
        told = dict(parse_qsl(urlsplit(address).query))
        if "error" in told:
            raise OAuthError(told["error"], told.get("error_description"))
        token = self.session.fetch_token(
            self.server["token_endpoint"], authorization_response=address, state=self.state, code_verifier=self.verifier
        )
        return self.shown(token, nonce=self.nonce)

    def shown(self, token: dict[str, Any], **checked: str) -> dict[str, Any]:
        if "id_token" not in token:
            return dict(token)
        keys = KeySet.import_key_set(self.read(self.server["jwks_uri"]))
        found = jwt.decode(token["id_token"], keys, algorithms=[self.asked["id_token_alg"]])
        options = {"iss": {"values": [self.server["issuer"]]}}
        known = {"client_id": self.session.client_id, "access_token": token["access_token"], **checked}
        claims = CodeIDToken(found.claims, found.header, options, known)
        claims.validate()
        return {**token, "claims": dict(claims)}

    def refresh(self, token: str) -> dict[str, Any]:
        return self.shown(self.session.refresh_token(self.server["token_endpoint"], refresh_token=token))

    def userinfo(self, token: str, sub: str) -> dict[str, Any]:
        self.session.token = {"access_token": token, "token_type": "Bearer"}
        reply = self.session.get(self.server["userinfo_endpoint"])
        reply.raise_for_status()
        return dict(reply.json())

    def introspect(self, token: str) -> dict[str, Any]:
        reply = self.session.introspect_token(self.server["introspection_endpoint"], token)
        reply.raise_for_status()
        return dict(reply.json())

    def revoke(self, token: str, hint: str) -> None:
        self.session.revoke_token(self.server["revocation_endpoint"], token, hint).raise_for_status()

    def leave(self, hint: str, state: str) -> str:
        """What its integrations for frameworks send."""
        asked = {
            "id_token_hint": hint, "post_logout_redirect_uri": self.asked["post_logout_redirect_uri"], "state": state
        }  # fmt: skip
        return str(requests.Request("GET", self.server["end_session_endpoint"], params=asked).prepare().url)


if __name__ == "__main__":
    client = Client()
    names = ("configure", "begin", "arrive", "refresh", "userinfo", "introspect", "revoke", "leave")
    follow({name: getattr(client, name) for name in names})
