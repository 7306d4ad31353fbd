"""Networks that a key is bound to, IPv4 and IPv6, as `192.0.2.0/24` or `2001:db8::/32`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from doorward.protocol.admin import invalid

NETWORKS_LIMIT = 50
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse(given: Iterable[str]) -> tuple[Network, ...]:
    """Raises Unprocessable for what is no network: one with bits behind its prefix would mean something else."""
    listed = list(given)
    if len(listed) > NETWORKS_LIMIT:
        raise invalid("networks", f"must be at most {NETWORKS_LIMIT}")
    try:
        return tuple(ipaddress.ip_network(network) for network in listed)
    except ValueError:
        raise invalid("networks", "must be networks such as 10.0.0.0/8 or 2001:db8::/32") from None


def texts(given: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(str, parse(given)))
