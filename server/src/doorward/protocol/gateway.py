"""What a gateway tells of a request that it asks about, in one family of header fields: no other family is read.

nginx     X-Original-Method, X-Original-URL                                 (ngx_http_auth_request_module)
forward   X-Forwarded-Method, X-Forwarded-Proto, -Host, -Uri                (Caddy, Traefik, HAProxy, APISIX)
envoy     the request line behind the prefix, and Host                      (ext_authz over HTTP)
grpc      no field: the question has a place for each                       (ext_authz over gRPC)

Every forward-auth CVE of 2026 was one disagreement: which request it is, or who set a header. So a field that is
missing, repeated, has a twin that some server reads as the same name, or can be taken off by `Connection` is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from doorward.protocol import request_path
from doorward.protocol.refusal import InvalidRequest
from doorward.protocol.request_path import AmbiguousPath, Target
from doorward.protocol.use import USER_AGENT_LIMIT
from doorward_verify import api_key

Headers = Iterable[tuple[bytes, bytes]]

IDENTITY = (
    b"x-auth-account", b"x-auth-scope", b"x-auth-client", b"x-auth-subject", b"x-auth-credential", b"x-auth-key-id",
    b"x-auth-assertion",
)  # fmt: skip
CREDENTIALS = frozenset((b"authorization", b"x-api-key"))
SECRET = b"x-check-secret"
ORIGIN, WANTED_METHOD = b"origin", b"access-control-request-method"

FIELDS = {
    "nginx": (b"x-original-method", b"x-original-url"),
    "forward": (b"x-forwarded-method", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-uri"),
    "envoy": (b"host",),
    "grpc": (),
}
# Told where the gateway knows it.
OPTIONAL = {"nginx": (b"x-real-ip",), "forward": (), "envoy": (b"x-forwarded-proto",), "grpc": ()}
_PREFLIGHT = (ORIGIN, WANTED_METHOD)
READ = {family: frozenset((*FIELDS[family], *OPTIONAL[family], *_PREFLIGHT)) for family in FIELDS}
USER_AGENT = b"user-agent"
_GUARDED = frozenset((*CREDENTIALS, SECRET, b"x-real-ip"))
_GUARDED_FAMILIES = (b"x-auth-", b"x-forwarded-", b"x-original-")

_METHOD = re.compile(rb"[A-Z]{1,32}")
_URL = re.compile(rb"(https?)://([^/?#]*)(/.*)", re.DOTALL)
_HOST = re.compile(r"([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])\.?(?::[0-9]{1,5})?")
# RFC 6750 §2.3, and what keys in URLs are called.
_IN_QUERY = re.compile(r"(?:^|&)(?:access_token|api_key)=")


@dataclass(frozen=True, slots=True)
class Request:
    """Which request it is, by the gateway, and the one credential that it carries, if any.

    `flaw` is the reason why there is no credential; `wanted_method` is there for what a browser asks before a request
    of another origin (Fetch §4.8). `agent` is what the caller calls himself: it is kept, and decides nothing.
    """

    method: str
    host: str
    target: Target
    is_plaintext: bool = False
    address: str = ""
    credential: str = field(default="", repr=False)
    transport: str = ""
    flaw: str = ""
    wanted_method: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """The fields that a family is read from, each once, and those that carry credentials, as often as they came."""

    fields: dict[bytes, bytes]
    credentials: list[tuple[bytes, bytes]] = field(repr=False)
    agent: bytes = b""

    def __getitem__(self, name: bytes) -> bytes:
        try:
            return self.fields[name]
        except KeyError:
            raise refused(f"the {name.decode()} header is missing") from None


def refused(description: str) -> InvalidRequest:
    return InvalidRequest(description, reason="gateway_headers")


def read(headers: Headers, family: str) -> Read:
    """Raises InvalidRequest where two readers could see two requests."""
    wanted = READ[family]
    found: dict[bytes, bytes] = {}
    credentials: list[tuple[bytes, bytes]] = []
    agent = b""
    for name, value in headers:
        if name in wanted:
            if name in found:
                raise refused(f"the {name.decode()} header is repeated")
            found[name] = value
        elif name in CREDENTIALS:
            credentials.append((name, value))
        elif name == USER_AGENT:
            agent = agent or value[:USER_AGENT_LIMIT]
        elif b"_" in name and is_guarded(name.replace(b"_", b"-")):
            raise refused("a header is spelled like one of the gateway's, with an underscore")
        elif name == b"connection" and any(is_guarded(one.strip().lower()) for one in value.split(b",")):
            raise refused("the connection header names one of the gateway's")
    return Read(found, credentials, agent)


def is_guarded(name: bytes) -> bool:
    return name in _GUARDED or name.startswith(_GUARDED_FAMILIES)


def of_nginx(headers: Headers, brand: str) -> Request:
    found = read(headers, "nginx")
    address = found.fields.get(b"x-real-ip", b"").decode("latin-1")
    return request(found, found[b"x-original-method"], *_parts(found[b"x-original-url"]), address, brand)


def of_forward(headers: Headers, brand: str, address: str) -> Request:
    """`address` is the last hop that the gateway tells, as far as it is no believed proxy."""
    found = read(headers, "forward")
    scheme, host = found[b"x-forwarded-proto"], found[b"x-forwarded-host"]
    # Of a WebSocket some gateways say so; its hop is as plain or not as that of any request.
    scheme = {b"ws": b"http", b"wss": b"https"}.get(scheme, scheme)
    return request(found, found[b"x-forwarded-method"], scheme, host, found[b"x-forwarded-uri"], address, brand)


def of_envoy(headers: Headers, brand: str, address: str, method: str, target: bytes) -> Request:
    found = read(headers, "envoy")
    scheme = found.fields.get(b"x-forwarded-proto", b"https")
    return request(found, method.encode(), scheme, found[b"host"], target, address, brand)


def _parts(url: bytes) -> tuple[bytes, bytes, bytes]:
    parts = _URL.fullmatch(url)
    if parts is None:
        raise refused("the x-original-url header is not a URL")
    return parts[1], parts[2], parts[3]


def request(found: Read, method: bytes, scheme: bytes, host: bytes, target: bytes, address: str, brand: str) -> Request:
    if not _METHOD.fullmatch(method) or scheme not in (b"https", b"http"):
        raise refused("the method or the scheme is none")
    read_target = _target(target)
    text, transport, flaw = _credential(found.credentials, read_target, brand)
    return Request(
        method.decode(), host_name(host), read_target, scheme == b"http", address, text, transport, flaw,
        _wanted_method(found, method), found.agent.decode("latin-1"),
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _target(raw: bytes) -> Target:
    try:
        return request_path.read(raw)
    except AmbiguousPath as ambiguous:
        raise InvalidRequest(
            f"the path can be read in two ways: {ambiguous.flaw.replace('_', ' ')}", reason="path_ambiguous",
            detail=ambiguous.flaw,
        ) from None  # fmt: skip


@lru_cache(maxsize=1024)
def host_name(raw: bytes) -> str:
    """In lower case, without the port: the routes' spelling."""
    found = _HOST.fullmatch(raw.decode("latin-1").lower())
    if found is None:
        raise refused("the host is none")
    return found[1]


def _wanted_method(found: Read, method: bytes) -> str:
    if method != b"OPTIONS" or ORIGIN not in found.fields:
        return ""
    return found.fields.get(WANTED_METHOD, b"").decode("latin-1")


def _credential(sent: list[tuple[bytes, bytes]], target: Target, brand: str) -> tuple[str, str, str]:
    """The text, how it arrived, and the reason why there is none, which matters where the route asks for one."""
    in_query = bool(target.query and _IN_QUERY.search(target.query))
    if len(sent) + in_query > 1:
        return "", "", "several_credentials"
    if not sent:
        return "", "", "secret_in_query" if in_query else "credential_missing"
    name, value = sent[0]
    if name == b"x-api-key":
        return _text(value), "header", ""
    scheme, _, rest = value.partition(b" ")
    match scheme.lower():
        case b"bearer":
            return _text(rest.strip(b" ")), "bearer", ""
        case b"basic":
            return _basic(rest.strip(b" "), brand), "basic", ""
    return "", "", "credential_missing"


def _text(raw: bytes) -> str:
    """What is not ASCII is no credential; a character that none has stands for it."""
    return api_key.strip_uri_scheme(raw.decode("ascii", "replace"))


def _basic(raw: bytes, brand: str) -> str:
    """RFC 7617: the key is the user name, with nothing or anything as the password; or it is the password."""
    try:
        user, _, password = base64.b64decode(raw, validate=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError):
        return ""
    return user if not password or user.startswith(f"{brand}_") else password
