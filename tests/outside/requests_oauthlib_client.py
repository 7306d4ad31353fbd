"""requests-oauthlib, as its documentation uses it. It knows code flow and refresh; the rest is sent by its session."""

from __future__ import annotations

from typing import Any

import requests
from joserfc import jwt
from joserfc.jwk import KeySet
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session
from steps import follow


class Client:
    """One registration, from discovery to logout."""

    def configure(self, issuer: str, client_id: str, client_secret: str | None, method: str, **asked: Any) -> str:
        self.asked = asked
        self.session = OAuth2Session(
            client_id, scope=asked["scope"].split(), redirect_uri=asked["redirect_uri"], pkce="S256"
        )
        self.auth = HTTPBasicAuth(client_id, client_secret) if method == "client_secret_basic" else None
        secret = {"client_secret": client_secret} if method == "client_secret_post" else {}
        self.form = {} if self.auth else {"client_id": client_id, **secret}
        self.server = self.read(f"{issuer}/.well-known/openid-configuration")
        return str(self.server["issuer"])

    def read(self, url: str) -> dict[str, Any]:
        reply = self.session.get(url, withhold_token=True)
        reply.raise_for_status()
        return dict(reply.json())

    def begin(self) -> str:
        url, _ = self.session.authorization_url(self.server["authorization_endpoint"])
        return str(url)

    def arrive(self, address: str) -> dict[str, Any]:
        secret = self.form.get("client_secret")
        sent = {"auth": self.auth} if self.auth else {"include_client_id": True, "client_secret": secret}
        return self.shown(
            self.session.fetch_token(self.server["token_endpoint"], authorization_response=address, **sent)
        )

    def shown(self, token: dict[str, Any]) -> dict[str, Any]:
        """It leaves the ID token to its caller."""
        keys = KeySet.import_key_set(self.read(self.server["jwks_uri"]))
        found = jwt.decode(token["id_token"], keys, algorithms=[self.asked["id_token_alg"]])
        expected = {
            "iss": {"essential": True, "value": self.server["issuer"]},
            "aud": {"essential": True, "value": self.session.client_id},
        }
        jwt.JWTClaimsRegistry(**expected).validate(found.claims)
        return {**token, "claims": found.claims}

    def refresh(self, token: str) -> dict[str, Any]:
        url = self.server["token_endpoint"]
        return self.shown(self.session.refresh_token(url, refresh_token=token, auth=self.auth, **self.form))

    def userinfo(self, token: str, sub: str) -> dict[str, Any]:
        self.session.token = {"access_token": token, "token_type": "Bearer"}
        return self.read_as_user(self.server["userinfo_endpoint"])

    def read_as_user(self, url: str) -> dict[str, Any]:
        reply = self.session.get(url)
        reply.raise_for_status()
        return dict(reply.json())

    def introspect(self, token: str) -> dict[str, Any]:
        return dict(self.send(self.server["introspection_endpoint"], token=token).json())

    def revoke(self, token: str, hint: str) -> None:
        self.send(self.server["revocation_endpoint"], token=token, token_type_hint=hint)

    def send(self, url: str, **form: str) -> requests.Response:
        reply = self.session.post(url, data={**self.form, **form}, auth=self.auth, withhold_token=True)
        reply.raise_for_status()
        return reply

    def leave(self, hint: str, state: str) -> str:
        asked = {
            "id_token_hint": hint, "post_logout_redirect_uri": self.asked["post_logout_redirect_uri"], "state": state
        }  # fmt: skip
        return str(requests.Request("GET", self.server["end_session_endpoint"], params=asked).prepare().url)


if __name__ == "__main__":
    client = Client()
    names = ("configure", "begin", "arrive", "refresh", "userinfo", "introspect", "revoke", "leave")
    follow({name: getattr(client, name) for name in names})
