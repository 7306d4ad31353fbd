"""What a client may be registered as (RFC 7591 §2, RFC 8252 §8.4): grant types, methods and addresses that fit."""

from __future__ import annotations

from dataclasses import replace

from doorward.protocol import redirect_uri
from doorward.protocol.admin import invalid
from doorward.protocol.entities import Client

CODES, REFRESH, ITSELF = "authorization_code", "refresh_token", "client_credentials"


def checked(client: Client) -> Client:
    """The client. Raises Unprocessable for what does not fit together."""
    _check_grant_types(client)
    uris = redirect_uri.registered("redirect_uris", client.redirect_uris)
    if CODES in client.grant_types and not uris:
        raise invalid("redirect_uris", "must name at least one address for authorization_code")
    after = redirect_uri.registered("post_logout_redirect_uris", client.post_logout_redirect_uris)
    if client.localhost_any_port and not client.is_public:
        raise invalid("localhost_any_port", "is for public clients")
    for name in ("client_uri", "logo_uri", "backchannel_logout_uri"):
        _check_address(name, getattr(client, name))
    return replace(client, redirect_uris=uris, post_logout_redirect_uris=after)


def _check_grant_types(client: Client) -> None:
    given = client.grant_types
    if not given or len(set(given)) != len(given):
        raise invalid("grant_types", "must name each grant type once, and at least one")
    if REFRESH in given and CODES not in given:
        raise invalid("grant_types", "must name authorization_code for refresh_token")
    if ITSELF in given and client.is_public:
        raise invalid("grant_types", "must not name client_credentials for a public client")


def _check_address(name: str, uri: str | None) -> None:
    """Of the web: people follow it, or the server does."""
    if uri is not None and (not uri.startswith("https://") or not redirect_uri.is_registrable(uri)):
        raise invalid(name, "must be an https URI")
