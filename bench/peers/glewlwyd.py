"""glewlwyd from Debian on SQLite: a server in C, set up over its own administration API as a person would."""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import re
import sqlite3
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from doorward_server import Doorward, basic
from load import Request
from processes import free_port

from peers.running import SECONDS, Contender, Kind, Peer, ask, program, serving
from peers.workloads import INTROSPECT, ISSUE, JWKS

DOCUMENTATION = Path("/usr/share/doc/glewlwyd")
CLIENT, SECRET = "worker", "a-secret-of-the-bench-0123456789"
SCOPE = "invoices"
SLOW = 4  # connections, where a reply takes that long
# Of its table of clients: how often the secret is hashed. Once is enough for a random one.
ONE_ROUND = (
    """UPDATE g_client_module_instance SET gcmi_parameters = json_set(gcmi_parameters, '$."pbkdf2-iterations"', 1)"""
)
KINDS = {"ES256": "ecdsa", "RS256": "rsa"}


def missing() -> str:
    return "" if program("glewlwyd") else "it is not installed. On Debian: apt-get install glewlwyd"


@contextlib.contextmanager
def contenders(_doorward: Doorward, place: Path) -> Generator[list[Contender]]:
    with contextlib.ExitStack() as stack:
        names = {"glewlwyd on SQLite": True, "glewlwyd on SQLite, defaults": False}
        yield [one for who, fast in names.items() for one in stack.enter_context(_contenders(who, fast, place))]


@contextlib.contextmanager
def _contenders(who: str, fast: bool, place: Path) -> Generator[list[Contender]]:
    port = free_port()
    url, database, config = (
        f"http://127.0.0.1:{port}/api",
        place / f"glewlwyd-{port}.db",
        place / f"glewlwyd-{port}.conf",
    )
    _make(database, fast)
    config.write_text(_configured(port, database))
    with serving([program("glewlwyd") or "", f"--config-file={config}"], port, place) as child:
        _set_up(url)
        seconds = SECONDS if fast else 2 * SECONDS
        issue = functools.partial(_issue, who, child, url, 64 if fast else SLOW)
        yield [
            *(Contender(who, workload, functools.partial(issue, api), seconds)
              for workload, api in ISSUE.items() if api in KINDS),
            Contender(who, INTROSPECT, lambda: _introspect(issue("ES256")), seconds),
            *([Contender(who, JWKS, lambda: Request(who, child, f"{url}/ES256/jwks", '"kid"', method="GET"))] * fast),
        ]  # fmt: skip


def _make(database: Path, fast: bool) -> None:
    """The tables and the first administrator, as the package's script makes them."""
    script = gzip.decompress((DOCUMENTATION / "database" / "init.sqlite3.sql.gz").read_bytes()).decode()
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.executescript(script)
        if fast:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(ONE_ROUND)
        connection.commit()


def _configured(port: int, database: Path) -> str:
    """The package's example, here."""
    example = gzip.decompress((DOCUMENTATION / "glewlwyd.conf.sample.gz").read_bytes()).decode()
    changed = {
        "port": str(port), "external_url": f'"http://127.0.0.1:{port}"', "cookie_domain": '"127.0.0.1"',
        "cookie_secure": "0", "log_level": '"NONE"', "  path": f'"{database}"',
    }  # fmt: skip
    for name, value in changed.items():
        example, times = re.subn(rf"(?m)^{name} *=.*$", f"{name}={value}", example)
        if times != 1:
            raise SystemExit(f"glewlwyd's example has {times} lines of {name}")
    return f'bind_address="127.0.0.1"\n{example}'


def _set_up(url: str) -> None:
    """A plugin for each algorithm, a scope and a client."""
    signed_in = _post(f"{url}/auth/", "", username="admin", password="password")
    cookie = signed_in["Set-Cookie"].partition(";")[0]
    for alg in KINDS:
        _post(f"{url}/mod/plugin/", cookie, module="oidc", name=alg, display_name=alg, parameters=_parameters(url, alg))
    _post(f"{url}/scope/", cookie, name=SCOPE, display_name=SCOPE, password_required=False, scheme={})
    _post(
        f"{url}/client/", cookie, client_id=CLIENT, name=CLIENT, confidential=True, password=SECRET, enabled=True,
        scope=[SCOPE], authorization_type=["client_credentials"], token_endpoint_auth_method=["client_secret_basic"],
        redirect_uri=["https://client.example.com/callback"],
    )  # fmt: skip


def _post(url: str, cookie: str, **members: Any) -> Any:
    told = {"content-type": "application/json", **({"cookie": cookie} if cookie else {})}
    return ask(url, json.dumps(members).encode(), "", **told)[1]


def _parameters(url: str, alg: str) -> dict[str, Any]:
    """The console's own defaults, client credentials and introspection allowed."""
    private = ec.generate_private_key(ec.SECP256R1()) if alg == "ES256" else rsa.generate_private_key(65537, 2048)
    key = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return {
        "iss": f"{url}/{alg}", "jwt-type": KINDS[alg], "jwt-key-size": "256", "key": key, "cert": public,
        "access-token-duration": 3600, "refresh-token-duration": 1209600, "code-duration": 600,
        "refresh-token-rolling": True, "allow-non-oidc": True, "auth-type-client-enabled": True,
        "auth-type-code-enabled": False, "auth-type-token-enabled": False, "auth-type-id-token-enabled": False,
        "auth-type-none-enabled": False, "auth-type-password-enabled": False, "auth-type-refresh-enabled": True,
        "subject-type": "public", "jwks-show": True, "introspection-revocation-allowed": True,
        "introspection-revocation-allow-target-client": True, "allowed-scope": ["openid"],
    }  # fmt: skip


def _issue(who: str, child: Peer, url: str, connections: int, api: str) -> Request:
    return Request(
        who, child, f"{url}/{api}/token", '"access_token"', authorization=basic(CLIENT, SECRET), fresh=True,
        body=urlencode({"grant_type": "client_credentials", "scope": SCOPE}), connections=connections,
    )  # fmt: skip


def _introspect(issue: Request) -> Request:
    told, _ = ask(issue.url, issue.body.encode(), issue.authorization)
    return Request(
        issue.name, issue.server, issue.url.replace("/token", "/introspect"), '"active":true',
        body=urlencode({"token": json.loads(told)["access_token"]}), authorization=issue.authorization,
        connections=issue.connections,
    )  # fmt: skip


def versions() -> dict[str, str]:
    done = subprocess.run([program("glewlwyd") or "", "--version"], capture_output=True, text=True, check=False)
    return {"glewlwyd": done.stdout.strip()}


KIND = Kind(contenders, missing, versions)
