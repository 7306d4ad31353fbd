"""The networks that an API key may be used from: whoever cannot tell where a request came from refuses a bound key.

"networks": ["192.0.2.0/24", "2001:db8::/32"]
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from doorward_verify.errors import InvalidToken
from doorward_verify.verified import Verified

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_parsed = lru_cache(maxsize=1024)(ipaddress.ip_network)


def contain(networks: Iterable[str], address: str | None) -> bool:
    """An address that cannot be read, as that of a Unix socket, is in no network. Raises ValueError for no network.

    A socket that takes both families tells an IPv4 address as `::ffff:192.0.2.7` (RFC 4291 §2.5.5.2).
    """
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in _parsed(network) for network in networks)


def admit(found: Verified, address: str | None) -> None:
    """Raises InvalidToken for a bound key that came from elsewhere; an answer that makes no sense lets nobody in."""
    networks = found.claims.get("networks") if found.credential == "api_key" else None
    if networks is None:
        return
    try:
        is_within = isinstance(networks, list) and contain(networks, address)
    except ValueError:
        is_within = False
    if not is_within:
        raise InvalidToken("the key may not be used from this address", reason="network_not_allowed")
