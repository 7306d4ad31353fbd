"""What an OpenID provider publishes of itself (OpenID Connect Discovery §3 and §4.3, RFC 9207 §3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from doorward.protocol import redirect_uri
from doorward.protocol.upstream import Upstream
from doorward.protocol.upstream_answer import ALGORITHMS, failed

# In the order of our liking; without any of them it is the first (Discovery §3).
METHODS = ("client_secret_basic", "client_secret_post")


@dataclass(frozen=True, slots=True)
class Metadata:
    """As far as it is used. `promises_iss`: its answers say whose they are."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    algorithms: frozenset[str]
    auth_method: str
    promises_iss: bool


def address(upstream: Upstream) -> str:
    """§4: behind the whole issuer, whatever its path."""
    return upstream.issuer.removesuffix("/") + "/.well-known/openid-configuration"


def parse(upstream: Upstream, document: Mapping[str, Any]) -> Metadata:
    """Raises UpstreamFailed; a document of another issuer is one of a stranger (§4.3)."""
    if document.get("issuer") != upstream.issuer:
        failed("the metadata is of another issuer")
    algorithms = _texts(document, "id_token_signing_alg_values_supported", ("RS256",)) & ALGORITHMS
    if not algorithms:
        failed("the provider signs by no algorithm of ours")
    methods = _texts(document, "token_endpoint_auth_methods_supported", METHODS[:1])
    userinfo = document.get("userinfo_endpoint")
    return Metadata(
        _endpoint(document, "authorization_endpoint"), _endpoint(document, "token_endpoint"),
        _endpoint(document, "jwks_uri"), None if userinfo is None else _endpoint(document, "userinfo_endpoint"),
        algorithms, next((one for one in METHODS if one in methods), METHODS[0]),
        document.get("authorization_response_iss_parameter_supported") is True,
    )  # fmt: skip


def _endpoint(document: Mapping[str, Any], name: str) -> str:
    """A browser is sent there, or a secret: over https, or on this machine."""
    url = document.get(name)
    if not isinstance(url, str) or not redirect_uri.is_registrable(url) or not url.startswith("http"):
        failed(f"{name} is missing, or no address to be trusted")
    return url


def _texts(document: Mapping[str, Any], name: str, otherwise: tuple[str, ...]) -> frozenset[str]:
    given = document.get(name, otherwise)
    return frozenset(one for one in given if isinstance(one, str)) if isinstance(given, list | tuple) else frozenset()
