"""Metadata of a protected resource, RFC 9728: where a client learns who issues the tokens for it.

GET /.well-known/oauth-protected-resource
{"resource": "https://api.example.com", "authorization_servers": ["https://auth.example.com"], ...}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from doorward_verify.challenge import Answer
from doorward_verify.errors import Misconfigured

WELL_KNOWN = "/.well-known/oauth-protected-resource"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def resource_metadata(
    resource: str,
    authorization_servers: Iterable[str],
    *,
    scopes_supported: Iterable[str] = (),
    resource_name: str | None = None,
    resource_documentation: str | None = None,
) -> dict[str, Any]:
    """The document; other members of RFC 9728 §2 can be added to it. `resource` is the URL that clients know."""
    parts = urlsplit(resource)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not (is_safe and parts.hostname) or parts.fragment:
        raise Misconfigured("the resource is not an https URL without a fragment")
    members = {
        "resource": resource,
        "authorization_servers": list(authorization_servers),
        "scopes_supported": list(scopes_supported),
        "bearer_methods_supported": ["header"],
        "resource_name": resource_name,
        "resource_documentation": resource_documentation,
    }
    return {name: value for name, value in members.items() if value}


def metadata_url(resource: str) -> str:
    """RFC 9728 §3.1: the well-known path comes between host and path."""
    parts = urlsplit(resource)
    return parts._replace(path=metadata_path(resource)).geturl()


def metadata_path(resource: str) -> str:
    path = urlsplit(resource).path
    return WELL_KNOWN if path == "/" else WELL_KNOWN + path


def published(metadata: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if metadata is None:
        raise Misconfigured("no resource_metadata was given to this guard")
    return metadata


def answer(metadata: Mapping[str, Any]) -> Answer:
    """Open to every origin, whatever a page sends with it: the document is public."""
    headers = {
        "content-type": "application/json",
        "cache-control": "public, max-age=3600",
        "access-control-allow-origin": "*",
        "access-control-allow-headers": "*",
    }
    return Answer(200, tuple(headers.items()), dict(metadata))
