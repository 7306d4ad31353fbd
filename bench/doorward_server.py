"""A Doorward of the bench's own: started, filled through its public API, and asked for what it serves."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import sqlite3
import urllib.request
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import machine
from load import FORM, JSON, Request
from processes import COMMAND, Child, free_port, started

Body = dict[str, Any] | bytes
SCOPE = "invoices:read invoices:write"
APIS = {"ES256": {}, "RS256": {"signing_algorithm": "RS256"}, "opaque": {"token_format": "opaque"}}


def audience(name: str) -> str:
    return f"https://{name.lower()}.example.com"


@dataclass(frozen=True)
class Doorward:
    """`clients` and `verifiers` hold an Authorization header by the name of their api, the keys are the first api's."""

    child: Child = field(repr=False)
    command: list[str | Path] = field(repr=False)
    url: str
    data_dir: Path
    admin: str = field(repr=False)
    clients: dict[str, str] = field(repr=False)
    verifiers: dict[str, tuple[str, str]] = field(repr=False)
    api_key: str = field(repr=False)
    limited_key: str = field(repr=False)
    counted_key: str = field(repr=False)
    check_url: str = ""

    def make(self, noun: str, **members: Any) -> dict[str, Any]:
        return _ask(f"{self.url}/v1/{noun}", members, self.admin)

    def ask(self, path: str, body: Body, authorization: str, content_type: str = JSON) -> dict[str, Any]:
        return _ask(f"{self.url}{path}", body, authorization, content_type)

    @property
    def first_api(self) -> str:
        return audience("ES256")

    def token(self, api: str) -> str:
        body = urlencode({"grant_type": "client_credentials", "scope": SCOPE}).encode()
        token: str = _ask(f"{self.url}/oauth/token", body, self.clients[api], FORM)["access_token"]
        return token

    def journaled_tokens(self) -> int:
        path = self.data_dir / "doorward.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            query = "SELECT count(*) FROM token_records WHERE type = 'AccessTokenIssued'"
            count: int = connection.execute(query).fetchone()[0]
            return count


@contextlib.contextmanager
def running(
    data_dir: Path,
    limits_url: str | None = None,
    options: Sequence[str] = (),
    cores: int | str = machine.SERVER_CORE,
) -> Generator[Doorward]:
    """`options` are of `doorward serve`."""
    port, check = free_port(), f"127.0.0.1:{free_port()}"
    url = f"http://127.0.0.1:{port}"
    counts = f'limits_url = "{limits_url}"\n' if limits_url else ""
    data_dir.parent.mkdir(exist_ok=True)
    (data_dir.parent / "doorward.toml").write_text(f'check_listen = "{check}"\n{counts}')
    serve: list[str | Path] = [COMMAND, "--data-dir", data_dir, "serve", "--no-tls", "--issuer", url]
    serve += ["--host", "127.0.0.1", "--port", str(port), *options]
    with started(serve, data_dir.parent, cores) as child:
        filled = _filled(child, serve, url, data_dir)
    # Started again: the first start has more to load than every later one.
    with started(serve, data_dir.parent, cores) as child:
        yield replace(filled, child=child, check_url=f"http://{check}")


def _filled(child: Child, command: list[str | Path], url: str, data_dir: Path) -> Doorward:
    setup = (data_dir / "setup-link").read_text().strip().partition("#token=")[2]
    admin = "Bearer " + _ask(f"{url}/setup", {"token": setup})["key"]

    def make(noun: str, **members: Any) -> dict[str, Any]:
        return _ask(f"{url}/v1/{noun}", members, admin)

    make("accounts", id="acme", name="Acme Inc")
    scopes = {name: f"Use {name}" for name in SCOPE.split()}
    clients, verifiers = {}, {}
    for name, particulars in APIS.items():
        routes = [{"path": f"/{name}/{{id}}", "methods": ["GET", "POST"], "scope": "invoices:read"}]
        make("apis", identifier=audience(name), name=name.lower(), scopes=scopes, routes=routes, **particulars)
        client = make("clients", account="acme", name=f"worker {name}", api=audience(name), scope=SCOPE)
        clients[name] = basic(client["client_id"], client["client_secret"])
        verifier = make("verifiers", api=audience(name))
        verifiers[name] = verifier["client_id"], verifier["client_secret"]
    of = {"account": "acme", "api": audience("ES256"), "scope": SCOPE}
    rate = {"name": "burst", "amount": 100_000, "per": "second"}
    # Of so small a burst nothing is lent, and it is full again at once.
    counted = {"name": "counted", "amount": 1_000_000, "per": "second", "burst": 99}
    keys = [make("keys", **of, limits=limits)["key"] for limits in ([], [rate], [counted])]
    return Doorward(child, command, url, data_dir, admin, clients, verifiers, *keys)


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def _ask(url: str, body: Body, authorization: str = "", content_type: str = JSON) -> dict[str, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": content_type})
    if authorization:
        request.add_header("authorization", authorization)
    with urllib.request.urlopen(request, timeout=10) as reply:
        answer: dict[str, Any] = json.load(reply)
        return answer


def issue(doorward: Doorward, name: str, api: str) -> Request:
    """A token by client credentials."""
    return Request(
        name, doorward.child, f"{doorward.url}/oauth/token", '"token_type":"Bearer"',
        body=urlencode({"grant_type": "client_credentials", "scope": SCOPE}), authorization=doorward.clients[api],
        fresh=True,
    )  # fmt: skip


def requests(doorward: Doorward) -> list[Request]:
    """Everything that is hot, each answered as its callers would have it answered."""
    child, url = doorward.child, doorward.url
    key_digest = base64.urlsafe_b64encode(hashlib.sha256(doorward.api_key.encode()).digest()).decode().rstrip("=")

    def introspect(name: str, api: str, **about: str) -> Request:
        caller = basic(*doorward.verifiers[api])
        return Request(
            name, child, f"{url}/oauth/introspect", '"active":true', body=urlencode(about), authorization=caller
        )

    return [
        issue(doorward, "issue a JWT, ES256", "ES256"),
        issue(doorward, "issue a JWT, RS256", "RS256"),
        issue(doorward, "issue an opaque token", "opaque"),
        introspect("introspect a JWT", "ES256", token=doorward.token("ES256")),
        introspect("introspect an opaque token", "opaque", token=doorward.token("opaque")),
        introspect("introspect a key by its digest", "ES256", token_sha256=key_digest),
        check(doorward, "/v1/keys/verify", doorward.api_key),
        *limited(doorward, "in the database"),
        asked_by_nginx(doorward, "/check/nginx, a key", "GET", doorward.api_key),
        asked_by_nginx(doorward, "/check/nginx, a JWT", "GET", doorward.token("ES256")),
        asked_by_nginx(doorward, "/check/nginx, a key that changes something", "POST", doorward.api_key),
        Request("JWKS", child, f"{url}/.well-known/jwks.json", '"kid"', method="GET"),
        Request("discovery", child, f"{url}/.well-known/openid-configuration", '"issuer"', method="GET"),
    ]  # fmt: skip


def limited(doorward: Doorward, place: str) -> list[Request]:
    """Checks of keys whose rates are counted there: of one a part is lent, of the other each use is asked for."""
    name = "/v1/keys/verify, with a rate limit"
    return [
        check(doorward, f"{name} {place}", doorward.limited_key),
        check(doorward, f"{name} {place}, nothing lent", doorward.counted_key),
    ]


def check(doorward: Doorward, name: str, key: str) -> Request:
    return Request(
        name, doorward.child, f"{doorward.url}/v1/keys/verify", '"active":true', body=json.dumps({"key": key}),
        content_type=JSON, authorization=doorward.admin,
    )  # fmt: skip


def asked_by_nginx(doorward: Doorward, name: str, method: str, credential: str) -> Request:
    """What nginx would ask of such a request."""
    told = (
        ("X-Original-Method", method), ("X-Original-URL", "https://api.example.com/ES256/7?page=2"),
        ("X-Real-IP", "192.0.2.1"),
    )  # fmt: skip
    url = f"{doorward.check_url}/check/nginx"
    return Request(name, doorward.child, url, "", method="GET", authorization=f"Bearer {credential}", headers=told)
