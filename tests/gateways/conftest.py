"""One Doorward with routes of its own, and each gateway once, for every test of this room."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.client_certificates import Authority
from tests.deployment import Doorward, Program, free_port, served
from tests.gateways import proxies
from tests.gateways.proxies import Plan
from tests.gateways.relay import Relay
from tests.receiver import a_receiver

API = "https://api.example.com"
SERVICE = "billing"
SCOPES = {"invoices:read": "Read your invoices", "invoices:write": "Create and change invoices"}
SECRET = "a+secret/of=forty-letters_or.more~0123456"
SETTINGS = f"""
check_secret = "{SECRET}"
issuer = "https://localhost:{{main}}"
behind_proxy = ["127.0.0.0/8", "::1/128"]
check_listen = "127.0.0.1:{{port}}"
check_tls_listen = "127.0.0.1:{{tls}}"
check_client_ca_file = "{{authority}}"

[[gateway.routes]]
path = "/invoices"
methods = ["GET"]
api = "{API}"
service = "{SERVICE}"
scope = "invoices:read"

[[gateway.routes]]
path = "/invoices"
methods = ["POST"]
api = "{API}"
service = "{SERVICE}"
scope = "invoices:write"

[[gateway.routes]]
path = "/few"
methods = ["GET"]
api = "{API}"
service = "{SERVICE}"
limits = [{{{{ name = "few", amount = 2, per = "day", type = "quota" }}}}]

[[gateway.routes]]
path = "/public"
methods = ["GET", "POST"]
public = true
"""


@dataclass
class Site:
    """Who may do what, and where gateways ask; `key` reads invoices, `writer` also writes them.

    At `tls_port` a gateway shows `own`, its certificate and key.
    """

    doorward: Doorward
    check_port: int
    tls_port: int
    own: tuple[Path, Path]
    relay: Relay
    certificate: Path
    authority: Path
    key: str = field(repr=False)
    writer: str = field(repr=False)
    ended: str = field(repr=False)

    def a_key(self, scope: str = "invoices:read") -> dict[str, str]:
        return self.doorward.a_key(api=API, scope=scope)

    def used_by(self, key_id: str) -> str | None:
        """What last used a key, by what it calls itself."""
        found: str | None = self.doorward.v1("GET", f"/keys/{key_id}").json()["last_user_agent"]
        return found

    def plan(self, directory: Path, check: str | None = None) -> Plan:
        return proxies.plan(directory, self.certificate, self.authority, check or self.relay.url)


@dataclass
class Standing:
    """A gateway that runs."""

    name: str
    plan: Plan
    program: Program
    site: Site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory, certificates = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("certificates")
    port, tls, main = free_port(), free_port(), free_port()
    authority, file = Authority(), directory / "gateways.pem"
    file.write_bytes(authority.pem())
    (directory / "doorward.toml").write_text(SETTINGS.format(port=port, tls=tls, main=main, authority=file))
    # Its authority and certificate are what the gateways have, too.
    with a_receiver(certificates) as receiver, served(directory, port=main) as doorward, Relay(port) as relay:
        doorward.an_api(identifier=API, scopes=SCOPES)
        keys = [doorward.a_key(api=API, scope=scope) for scope in ("invoices:read", "invoices:read invoices:write")]
        ended = doorward.a_key(api=API)
        doorward.v1("POST", f"/keys/{ended['id']}/revoke")
        yield Site(
            doorward, port, tls, authority.certified(directory / "own"), relay, receiver.chain, receiver.ca_file,
            keys[0]["key"], keys[1]["key"], str(ended["key"]),
        )  # fmt: skip


@pytest.fixture(scope="session")
def standing(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Standing]]:
    """Those that were asked for, by their names."""
    with contextlib.ExitStack() as stack:
        yield _Started(site, tmp_path_factory, stack)


class _Started(dict[str, Standing]):
    def __init__(self, site: Site, directories: pytest.TempPathFactory, stack: contextlib.ExitStack) -> None:
        super().__init__()
        self._site, self._directories, self._stack = site, directories, stack

    def __missing__(self, name: str) -> Standing:
        plan = self._site.plan(self._directories.mktemp(name))
        program = self._stack.enter_context(proxies.standing(name, plan))
        self[name] = Standing(name, plan, program, self._site)
        return self[name]


@pytest.fixture(params=proxies.REAL)
def gateway(request: pytest.FixtureRequest, standing: dict[str, Standing]) -> Standing:
    return standing[request.param]
