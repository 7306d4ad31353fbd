"""`[upstream.NAME]` in doorward.toml: where people have logins already; `DOORWARD__UPSTREAM__NAME__KEY` each.

[upstream.acme]                          an OpenID provider         [upstream.shop]         a sign-in page of one's own
issuer = "https://login.acme.example"                               issuer = "https://shop.example"
client_id = "doorward"                                              page = "https://shop.example/sign-in"
client_secret_file = "acme-secret"                                  keys_file = "shop.jwks.json"
first_sign_in = "verified_email"                                    first_sign_in = "anyone"
email_domains = ["acme.example"]                                    account = "acme"
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode

from doorward.protocol.upstream import ClaimNames, FirstSignIn, Upstream
from doorward_verify import jwt

PEM = "-----BEGIN PUBLIC KEY-----"


def _words(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _domains(value: object) -> object:
    found = _words(value)
    return tuple(one.lower() for one in found) if isinstance(found, tuple | list) else found


STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Claims(BaseModel):
    """Under which name the upstream tells what; OpenID Connect's names by default."""

    model_config = STRICT

    sub: str = "sub"
    email: str = "email"
    email_verified: str = "email_verified"
    name: str = "name"
    username: str = "preferred_username"


class UpstreamSettings(BaseModel):
    """One upstream; `refusals` has what may not be combined."""

    model_config = STRICT

    title: str | None = Field(None, min_length=1, max_length=50, description="What its button says.")
    issuer: str = Field(description="Its issuer, letter by letter: the `iss` of all that it says.")
    client_id: str = Field("", description="Of an OpenID provider: what this server is called there.")
    client_secret: SecretStr | None = Field(None, description="By PKCE alone, if the provider gave none.")
    client_secret_file: Path | None = Field(None, description="A file that holds client_secret.")
    scopes: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = Field(
        ("openid", "profile", "email"), description="What the provider is asked for."
    )
    page: str | None = Field(None, description="Of a sign-in page of one's own: its address.")
    keys: str | None = Field(None, description="Its public keys: a JWKS, or one key in PEM.")
    keys_file: Path | None = Field(None, description="A file that holds keys.")
    first_sign_in: FirstSignIn = Field("existing", description="Who is let in that was never here before.")
    email_domains: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_domains)] = Field(
        (), description="Whose addresses it may vouch for; * for every one."
    )
    claims: Claims = Claims()
    account: str | None = Field(None, description="The account that newcomers belong to.")
    account_role: Literal["owner", "developer", "viewer"] = Field("viewer", description="And what they may do there.")

    @property
    def secret(self) -> str | None:
        """None where there is none, or it cannot be read."""
        if self.client_secret is not None:
            return self.client_secret.get_secret_value()
        return _read(self.client_secret_file)

    def public_keys(self) -> jwt.Keys:
        """Those of the page that can be used; the private half of none."""
        text = self.keys if self.keys is not None else _read(self.keys_file)
        return {} if text is None else _keys(text.strip())

    def upstream(self, name: str) -> Upstream:
        names = ClaimNames(**self.claims.model_dump())
        keys = self.public_keys() if self.page is not None else {}
        return Upstream(
            name, self.title or name.replace("_", " ").title(), self.issuer, self.first_sign_in, self.client_id,
            self.page, keys, self.email_domains, names, self.account, self.account_role,
        )  # fmt: skip


def upstreams(given: Mapping[str, UpstreamSettings]) -> Mapping[str, Upstream]:
    """As the core sees them."""
    return {name: one.upstream(name) for name, one in given.items()}


def _read(file: Path | None) -> str | None:
    try:
        return None if file is None else file.read_text("utf-8").strip()
    except (OSError, ValueError):
        return None


def _keys(text: str) -> jwt.Keys:
    """A key in PEM has no id, and neither must what it signs."""
    try:
        if not text.startswith(PEM):
            document = json.loads(text)
            return jwt.keys_from_jwks(document) if isinstance(document, dict) else {}
        public = load_pem_public_key(text.encode())
        if isinstance(public, ec.EllipticCurvePublicKey):
            return {"": jwt.ES256(public)}
        return {"": jwt.RS256(public)} if isinstance(public, rsa.RSAPublicKey) else {}
    except (ValueError, UnsupportedAlgorithm):
        return {}
