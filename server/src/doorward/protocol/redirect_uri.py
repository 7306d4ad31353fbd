"""Redirect URIs: what may be registered (T003), and what is (RFC 9700 §2.1, RFC 8252 §7.3; T001, T002).

They are compared as strings. A public client on the user's machine may listen on any port of the loopback interface.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from doorward.protocol.admin import invalid
from doorward.protocol.entities import Client

LIMIT = 2000
COUNT_LIMIT = 50
MUST = "must hold absolute URIs that can be read in one way only: https, http on loopback, or a scheme with a dot in it"
# RFC 3986 §2.2 and §2.3 without `*`, in which somebody could see a wildcard, and without `#`: there is no fragment.
_CHARACTERS = re.compile(r"(?:[A-Za-z0-9._~:/?\[\]@!$&'()+,;=-]|%[0-9A-Fa-f]{2})+")
_WEB = re.compile(r"(https|http)://([^/?]*)([^?]*)(\?.*)?")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([1-9][0-9]{0,4}))?")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_ADDRESS = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
# RFC 8252 §7.1: the reverse of a domain name, so that it is somebody's.
_PRIVATE = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+:(/[^?]*)(\?.*)?")
# Dot segments, and slashes, backslashes and dots in disguise: each is read differently somewhere.
_TWISTED = re.compile(r"(?:^|/)\.{1,2}(?:/|$)|%2e|%2f|%5c|%00|//", re.IGNORECASE)
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::([1-9][0-9]{0,4}))?((?:[/?].*)?)")
LOOPBACK_HOSTS = ("127.0.0.1", "[::1]", "localhost")
HIGHEST_PORT = 65_535


def registered(field: str, given: Iterable[str]) -> tuple[str, ...]:
    """The URIs in their order. Raises Unprocessable for one that must not be registered, and for too many."""
    uris = tuple(given)
    if len(uris) > COUNT_LIMIT or len(set(uris)) != len(uris) or not all(map(is_registrable, uris)):
        raise invalid(field, MUST)
    return uris


def is_registrable(uri: str) -> bool:
    if len(uri) > LIMIT or not _CHARACTERS.fullmatch(uri):
        return False
    web = _WEB.fullmatch(uri)
    if web is None:
        private = _PRIVATE.fullmatch(uri)
        return private is not None and not _is_twisted(private[1].removeprefix("//"))
    scheme, authority, path = web[1], web[2], web[3]
    found = _AUTHORITY.fullmatch(authority)
    if found is None or not _is_host(found[1]) or _is_twisted(path) or int(found[2] or 1) > HIGHEST_PORT:
        return False
    return scheme == "https" or found[1] in LOOPBACK_HOSTS


def _is_host(host: str) -> bool:
    """A name, or an address in its usual notation: `127.1` and `0x7f000001` are names to some, and not to others."""
    if host.startswith("["):
        return host == "[::1]" or _is_plain_ipv6(host[1:-1])
    last = host.rpartition(".")[2]
    if last.isdigit() or last.startswith("0x"):
        return _ADDRESS.fullmatch(host) is not None
    return _NAME.fullmatch(host) is not None


def _is_plain_ipv6(text: str) -> bool:
    groups = text.split(":")
    return len(groups) == 8 and all(re.fullmatch(r"0|[1-9a-f][0-9a-f]{0,3}", group) for group in groups)


def _is_twisted(path: str) -> bool:
    return _TWISTED.search(path) is not None


def matches(uri: str, client: Client) -> bool:
    """Whether the client registered it: the same string, or the same but for a port of the loopback interface."""
    if uri in client.redirect_uris:
        return True
    portless = _without_port(uri, client)
    return portless is not None and any(_without_port(one, client) == portless for one in client.redirect_uris)


def _without_port(uri: str, client: Client) -> tuple[str, str] | None:
    """What has to agree of a loopback URI, for a client that may choose its port."""
    found = _LOOPBACK.fullmatch(uri) if client.is_public and len(uri) <= LIMIT else None
    if found is None or int(found[2] or 1) > HIGHEST_PORT:
        return None
    if found[1].endswith("localhost") and not client.localhost_any_port:
        return None
    return found[1], found[3]


def is_loopback(uri: str) -> bool:
    return _LOOPBACK.fullmatch(uri) is not None


def proves_its_client(uri: str) -> bool:
    """Whether what is sent there reaches the client; the others any program of the machine can take (RFC 8252 §8.6)."""
    return uri.startswith("https://")


def origin(uri: str) -> str:
    """For `form-action` (decision 32): the scheme alone where a policy can name no more.

    A private-use scheme has no host; an IPv6 address is no host-source (CSP3 §2.3.1), and browsers ignore it.
    """
    web = _WEB.fullmatch(uri)
    return f"{web[1]}://{web[2]}" if web and not web[2].startswith("[") else uri.partition(":")[0] + ":"


def host(uri: str) -> str:
    """For people: who will hear of their answer."""
    web = _WEB.fullmatch(uri)
    return web[2] if web else uri.partition(":")[0]
