"""The configurations that `doorward gateway config` writes: one template a gateway, with the few values that differ.

Routes, scopes and limits are not in them: the gateway asks Doorward about every request, so that nothing drifts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

from doorward.cli.failure import USAGE, Failure

# What the checker says of the caller. The gateway sets these alone, and removes whatever else is spelt like them.
IDENTITY = (
    "X-Auth-Account", "X-Auth-Scope", "X-Auth-Client", "X-Auth-Subject", "X-Auth-Credential", "X-Auth-Key-Id",
    "X-Auth-Assertion",
)  # fmt: skip
CREDENTIALS = ("Authorization", "X-API-Key", "Proxy-Authorization")
# Of a client they are lies about where, what and how it asked; some frameworks believe them.
FORGED = (
    "X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Forwarded-Port", "X-Forwarded-Server",
    "Forwarded", "X-Original-Method", "X-Original-URL", "X-Original-URI", "X-Rewrite-URL", "X-Real-IP",
    "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
)  # fmt: skip
# The checker's own words to a gateway, and the gateway's to the checker.
INTERNAL = ("X-Auth-Status", "X-Auth-Problem", "X-Check-Secret")
# A checker must see the request, not a question about a copy that the client holds.
CONDITIONAL = (
    "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range", "Expect", "TE",
    "Trailer", "Upgrade",
)  # fmt: skip

_HOST = re.compile(r"\[[0-9a-fA-F:]+\]|[0-9A-Za-z]([0-9A-Za-z.-]*[0-9A-Za-z])?")
_FILE = re.compile(r"[0-9A-Za-z_./@+-]+")
_SERVICE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._~:/-]{0,199}")
_SECRET = re.compile(r"[0-9A-Za-z_~.+/=-]{32,200}")
_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|\[::1\]")


@dataclass(frozen=True, slots=True)
class Listener:
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Hop:
    """Where the gateway goes next: to the checker, or to the service."""

    scheme: str
    host: str = ""
    port: int = 0
    socket: str = ""

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def address(self) -> str:
        return f"unix:{self.socket}" if self.socket else f"{self.host}:{self.port}"

    @property
    def bare_host(self) -> str:
        return self.host.strip("[]")

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator says of his deployment."""

    service: str
    upstream: Hop
    check: Hop
    listen: Listener
    plaintext: Listener | None
    certificate: str
    key: str
    trusted: str
    secret: str = ""
    check_certificate: str = ""
    check_key: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """The main file's text, and the files that lie beside it by their names."""

    text: str
    beside: Mapping[str, str]


MAIN = {
    "nginx": "nginx.conf",
    "caddy": "Caddyfile",
    "haproxy": "haproxy.cfg",
    "traefik": "traefik.yaml",
    "envoy": "envoy.yaml",
    "k8s": "k8s.yaml",
}
BESIDE = {"haproxy": ("doorward.lua",), "traefik": ("doorward-routes.yaml",)}


def write(gateway: str, wanted: Wanted, directory: Path) -> Written:
    """For a file that will lie in the directory."""
    _refuse_impossible(gateway, wanted)
    names = BESIDE.get(gateway, ())
    values = {
        "wanted": wanted, "directory": directory.as_posix(), "identity": IDENTITY, "credentials": CREDENTIALS,
        "forged": FORGED, "internal": INTERNAL, "conditional": CONDITIONAL, "twins": twins,
        "upstream": in_cluster(wanted.upstream), "check": in_cluster(wanted.check),
    }  # fmt: skip
    return Written(_rendered(MAIN[gateway], values), {name: _rendered(name, values) for name in names})


def _rendered(name: str, values: Mapping[str, object]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Text, not HTML; what options may hold was restricted before.
    environment = Environment(
        loader=PackageLoader("doorward.cli", "gateway_templates"), undefined=StrictUndefined, autoescape=False,  # noqa: S701
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template(name).render(values)


def twins(name: str) -> list[str]:
    """With - or _ in each place, as whoever maps names to variables reads them alike; the name itself comes first."""
    words = name.split("-")
    marks = product("-_", repeat=len(words) - 1)
    return ["".join(word + mark for word, mark in zip(words, (*one, ""), strict=True)) for one in marks]


def _refuse_impossible(gateway: str, wanted: Wanted) -> None:
    if wanted.check.tls and gateway == "haproxy":
        raise _misuse("HAProxy's Lua cannot verify the checker's certificate", "give a Unix socket or a loopback port")
    if gateway == "k8s" and wanted.check_certificate:
        raise _misuse("a Gateway has no client certificate to show", "leave --check-cert and --check-key out")
    if bool(wanted.check_certificate) != bool(wanted.check_key):
        raise _misuse("a client certificate and its key go together", "give both --check-cert and --check-key")
    if wanted.check_certificate and not wanted.check.tls:
        raise _misuse("a client certificate is shown over TLS alone", "give --check https://...: check_tls_listen")
    if wanted.check.socket and gateway in ("traefik", "k8s"):
        raise _misuse(f"{gateway} reaches no Unix socket", "give --check a URL")
    if wanted.upstream.socket and gateway in ("traefik", "k8s"):
        raise _misuse(f"{gateway} reaches no Unix socket", "give --upstream a URL")
    if gateway == "k8s" and not (wanted.check.tls and wanted.secret):
        raise _misuse(
            "a Gateway asks from elsewhere: over TLS, and with the secret",
            "give --check https://doorward.NAMESPACE.svc:8443 --check-secret @FILE",
        )


@dataclass(frozen=True, slots=True)
class InCluster:
    """A Kubernetes service, as its host names it: billing.default.svc."""

    name: str
    namespace: str


def in_cluster(hop_: Hop) -> InCluster:
    name, _, rest = hop_.host.partition(".")
    return InCluster(name, rest.partition(".")[0] or "default")


def listener(text: str, option: str) -> Listener:
    """`:443`, `127.0.0.1:8443`, `[::1]:8443`."""
    host, _, port = text.rpartition(":")
    host = host or "0.0.0.0"  # noqa: S104  an API's door is open to its callers
    if not _HOST.fullmatch(host) or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise _misuse(f"{option} is no address to listen on", "give it as 0.0.0.0:443 or [::]:443")
    return Listener(host, int(port))


def hop(text: str, option: str) -> Hop:
    """`http://127.0.0.1:9443`, `https://auth.example.com`, `unix:/run/doorward/check.sock`."""
    if text.startswith("unix:/"):
        return Hop("unix", socket=plain_file(text.removeprefix("unix:"), option))
    try:
        parts = urlsplit(text)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        parts, port = urlsplit(""), 0
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    bare = (parts.path in ("", "/")) and not (parts.query or parts.fragment or parts.username is not None)
    if parts.scheme not in ("http", "https") or not bare or not port or not _HOST.fullmatch(host):
        raise _misuse(f"{option} is no http(s):// address without a path, and no unix:/path", "correct it")
    return Hop(parts.scheme, host, port)


def beyond_loopback(hop_: Hop) -> bool:
    return hop_.scheme == "http" and not _LOOPBACK.fullmatch(hop_.host)


def plain_file(text: str, option: str) -> str:
    if not _FILE.fullmatch(text):
        raise _misuse(f"{option} has characters that not every gateway can read", "give a plain file name")
    return text


def behind(text: str) -> str:
    if not _SERVICE.fullmatch(text):
        raise _misuse("--service is no name of a service", "give a word such as billing")
    return text


def secret(text: str) -> str:
    if not _SECRET.fullmatch(text):
        raise _misuse("--check-secret is no secret of 32 characters or more", "see check_secret in the settings")
    return text


def _misuse(sentence: str, *ways_out: str) -> Failure:
    return Failure(sentence, *ways_out, exit_code=USAGE)
