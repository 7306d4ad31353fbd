"""Upstreams for tests: an OpenID provider that says whatever it is told to say, and a company's own sign-in page.

The provider answers over a real socket. Its users never see a page: a test reads where the browser was sent, and lets
the provider give a code for that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from tests.deployment import Doorward, Json

CLIENT_ID, CLIENT_SECRET = "doorward", "a secret with + and % in it"
SHOP = "https://shop.example"


def a_key(kid: str, algorithm: str = "RS256") -> ECKey | RSAKey:
    about = {"kid": kid, "alg": algorithm, "use": "sig"}
    return RSAKey.generate_key(2048, about) if algorithm == "RS256" else ECKey.generate_key("P-256", about)


def unsigned(claims: Mapping[str, Any]) -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


@dataclass
class Person:
    """Who signs in there: `claims` go into the ID token, a None leaves one out; `userinfo` is told at its endpoint."""

    subject: str
    claims: Json = field(default_factory=dict)
    userinfo: Json = field(default_factory=dict)
    header: Json = field(default_factory=dict)
    form: str = "signed"


@dataclass
class Tenant:
    """One issuer of the provider. What it publishes may be changed by a test."""

    issuer: str
    key: ECKey | RSAKey
    published: list[ECKey | RSAKey] = field(default_factory=list)
    metadata: Json = field(default_factory=dict)
    codes: dict[str, tuple[dict[str, str], Person]] = field(default_factory=dict)
    tokens: dict[str, Person] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    is_down: bool = False

    def code(self, asked: Mapping[str, str], person: Person) -> str:
        code = secrets.token_urlsafe(16)
        self.codes[code] = (dict(asked), person)
        return code

    def document(self) -> Json:
        return {
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
            "authorization_response_iss_parameter_supported": True, **self.metadata,
        }  # fmt: skip

    def redeem(self, form: Mapping[str, str], authorization: str) -> tuple[int, Json]:
        """As strict as a provider should be: the code is for this client, this address and this verifier, once."""
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        if pair != f"{CLIENT_ID}:{quote(CLIENT_SECRET).replace('%20', '+')}":
            return 401, {"error": "invalid_client"}
        asked, person = self.codes.pop(form.get("code", ""), ({}, Person("")))
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        fits = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() == asked.get("code_challenge")
        if not fits or form.get("redirect_uri") != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        access_token = secrets.token_urlsafe(16)
        self.tokens[access_token] = person
        id_token = self.id_token(asked, person)
        return 200, {"access_token": access_token, "token_type": "Bearer", "id_token": id_token}

    def id_token(self, asked: Mapping[str, str], person: Person) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "sub": person.subject, "aud": CLIENT_ID, "iat": now, "exp": now + 300,
            "nonce": asked["nonce"], **person.claims,
        }  # fmt: skip
        told = {name: value for name, value in claims.items() if value is not None}
        if person.form == "unsigned":
            return unsigned(told)
        if person.form == "by the public key":
            public = OctKey.import_key(json.dumps(self.key.as_dict(private=False)).encode())
            return jwt.encode({"alg": "HS256", "kid": self.key.kid}, told, public)
        if person.form == "by another key":
            return jwt.encode({"alg": self.key.alg, "kid": self.key.kid}, told, a_key(self.key.kid, self.key.alg))
        return jwt.encode({"alg": self.key.alg, "kid": self.key.kid, "typ": "JWT", **person.header}, told, self.key)


@dataclass
class Provider:
    """Of several issuers, each below a path of its own."""

    origin: str
    tenants: dict[str, Tenant] = field(default_factory=dict)

    def tenant(self, name: str) -> Tenant:
        if name not in self.tenants:
            key = a_key(f"{name}-1")
            self.tenants[name] = Tenant(f"{self.origin}/{name}", key, [key])
        return self.tenants[name]

    def answer(self, path: str, body: str, headers: Mapping[str, str]) -> tuple[int, Json]:
        _, name, what = path.split("/", 2)
        tenant = self.tenants[name]
        tenant.asked[what] += 1
        if tenant.is_down:
            return 500, {"error": "server_error"}
        match what:
            case ".well-known/openid-configuration":
                return 200, tenant.document()
            case "jwks":
                return 200, {"keys": [key.as_dict(private=False) for key in tenant.published]}
            case "token":
                return tenant.redeem(dict(parse_qsl(body)), headers.get("authorization", ""))
            case "userinfo":
                person = tenant.tokens[headers["authorization"].removeprefix("Bearer ")]
                return 200, {"sub": person.subject, **person.userinfo}
        return 404, {}


@contextmanager
def a_provider() -> Iterator[Provider]:
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length).decode()
            status, document = provider.answer(self.path, body, {n.lower(): v for n, v in self.headers.items()})
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815  the server's names

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    provider = Provider(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class OwnPage:
    """The company's own sign-in page: what it knows is its key, and how to read our request by our published keys."""

    key: ECKey | RSAKey = field(default_factory=lambda: a_key("shop-1", "ES256"))

    @property
    def keys(self) -> str:
        return json.dumps({"keys": [self.key.as_dict(private=False)]})

    def read(self, doorward: Doorward, address: str) -> Json:
        """The request that the browser brings, checked as the documentation says."""
        page, _, query = address.partition("?")
        assert page == f"{SHOP}/sign-in"
        keys = KeySet.import_key_set(doorward.http.get("/.well-known/jwks.json").json())
        token = jwt.decode(parse_qs(query)["request"][0], keys, algorithms=["ES256"])
        assert token.header["typ"] == "sign-in-request+jwt"
        assert (token.claims["iss"], token.claims["aud"]) == (doorward.issuer, SHOP)
        assert token.claims["exp"] > time.time()
        return dict(token.claims)

    def assertion(self, request: Mapping[str, Any], subject: str, header: Json | None = None, **claims: Any) -> str:
        now = int(time.time())
        told = {
            "iss": SHOP, "aud": request["iss"], "sub": subject, "iat": now, "exp": now + 60,
            "jti": secrets.token_urlsafe(16), "nonce": request["nonce"], **claims,
        }  # fmt: skip
        members = {"alg": self.key.alg, "kid": self.key.kid, "typ": "sign-in-assertion+jwt", **(header or {})}
        return jwt.encode(members, {name: value for name, value in told.items() if value is not None}, self.key)

    def back(self, request: Mapping[str, Any], assertion: str) -> str:
        """Where the page sends the browser."""
        return f"{request['return_to']}?{urlencode({'state': request['state'], 'assertion': assertion})}"


def sent_to(address: str) -> dict[str, str]:
    """The parameters of an authorization request, each once."""
    found = parse_qs(urlsplit(address).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values()), found
    return {name: values[0] for name, values in found.items()}
