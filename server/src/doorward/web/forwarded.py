"""Whose request it is that comes through a proxy: what X-Forwarded-For says, as far as believed proxies say it.

X-Forwarded-For: 203.0.113.7, 10.0.0.2      # from 10.0.0.1, where 10.0.0.0/8 is believed: 203.0.113.7 asks
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FOR = b"x-forwarded-for"
FIELDS = frozenset((b"forwarded", FOR, b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-real-ip"))
# With a port or without; an IPv6 address that has no brackets has no port.
BRACKETED = re.compile(r"\[([^\[\]]*)\](?::[0-9]{1,5})?")
DOTTED = re.compile(r"([0-9.]+)(?::[0-9]{1,5})?")


def caller(headers: Iterable[tuple[bytes, bytes]], believed: Sequence[Network]) -> str | None:
    """Asked for requests of believed proxies alone. None: they tell of nobody else, so it is the peer's request.

    Each hop appends who spoke to it. From the right, the first that is no proxy of ours is the caller; what stands
    left of him is his own invention, and so is all that is left of an entry that cannot be read.
    """
    values = [value.decode("latin-1") for name, value in headers if name == FOR]
    entries = [entry.strip() for value in values for entry in value.split(",")]
    for entry in reversed([entry for entry in entries if entry]):
        address = read(entry)
        if address is None:
            return None
        if not any(address in network for network in believed):
            return str(address)
    return None


def network(text: str) -> Network:
    return ipaddress.ip_network(text)


def read(entry: str) -> Address | None:
    """One address has one spelling: no port, no zone, and no IPv4 address in the clothes of IPv6."""
    found = BRACKETED.fullmatch(entry) or DOTTED.fullmatch(entry)
    try:
        address = ipaddress.ip_address(found[1] if found else entry)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    return address.ipv4_mapped or ipaddress.IPv6Address(int(address))
