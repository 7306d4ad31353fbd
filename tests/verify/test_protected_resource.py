"""Metadata of a protected resource, RFC 9728: what is in the document, where it lies, and who points to it."""

from __future__ import annotations

import pytest
from tests.verify.issuing import AUDIENCE

from doorward_verify import Misconfigured, Verifier
from doorward_verify.door import Door
from doorward_verify.protected_resource import answer, metadata_path, metadata_url, resource_metadata

ISSUER = "https://auth.example.com"


def test_the_document_has_what_was_said_and_nothing_empty() -> None:
    assert resource_metadata(AUDIENCE, [ISSUER]) == {
        "resource": AUDIENCE, "authorization_servers": [ISSUER], "bearer_methods_supported": ["header"],
    }  # fmt: skip
    assert resource_metadata(
        AUDIENCE, [ISSUER], scopes_supported=("invoices:read",), resource_name="Invoices",
        resource_documentation="https://docs.example.com",
    ) == {
        "resource": AUDIENCE, "authorization_servers": [ISSUER], "scopes_supported": ["invoices:read"],
        "bearer_methods_supported": ["header"], "resource_name": "Invoices",
        "resource_documentation": "https://docs.example.com",
    }  # fmt: skip


@pytest.mark.parametrize(
    "resource",
    ["http://api.example.com", "urn:invoices", "https:///x", "https://api.example.com#a", "api.example.com", ""],
)
def test_the_resource_is_an_https_url_without_a_fragment(resource: str) -> None:
    with pytest.raises(Misconfigured):
        resource_metadata(resource, [ISSUER])


@pytest.mark.parametrize("resource", ["http://localhost:8000/mcp", "http://127.0.0.1", "http://[::1]:8000"])
def test_plain_http_is_for_loopback(resource: str) -> None:
    assert resource_metadata(resource, [ISSUER])["resource"] == resource


@pytest.mark.parametrize(
    ("resource", "url"),
    [
        ("https://api.example.com", "https://api.example.com/.well-known/oauth-protected-resource"),
        ("https://api.example.com/", "https://api.example.com/.well-known/oauth-protected-resource"),
        ("https://api.example.com/mcp", "https://api.example.com/.well-known/oauth-protected-resource/mcp"),
        ("https://api.example.com/v1/", "https://api.example.com/.well-known/oauth-protected-resource/v1/"),
        ("https://api.example.com:8443/v1", "https://api.example.com:8443/.well-known/oauth-protected-resource/v1"),
        ("https://api.example.com/?a=b", "https://api.example.com/.well-known/oauth-protected-resource?a=b"),
    ],
)
def test_the_well_known_path_comes_between_host_and_path(resource: str, url: str) -> None:
    assert metadata_url(resource) == url
    assert url.partition("?")[0].endswith(metadata_path(resource))


def test_every_page_may_read_it_whatever_headers_it_sends() -> None:
    headers = dict(answer(resource_metadata(AUDIENCE, [ISSUER])).headers)
    assert headers["content-type"] == "application/json"
    assert headers["access-control-allow-origin"] == headers["access-control-allow-headers"] == "*"


def test_a_door_without_metadata_says_so_when_asked_for_them(verifier: Verifier) -> None:
    door = Door(verifier)
    with pytest.raises(Misconfigured, match="resource_metadata"):
        _ = door.metadata_path
    with pytest.raises(Misconfigured, match="resource_metadata"):
        _ = door.metadata_answer
