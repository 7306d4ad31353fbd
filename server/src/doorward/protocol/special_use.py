"""Special-use addresses, RFC 6890 and IANA's two registries: where no stranger may send us (T133).

`ipaddress.is_global` is not asked: it takes what was registered after it, and most forms that carry another address
within, for public.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SPECIAL_IPV4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",           # this network
        "10.0.0.0/8",          # private
        "100.64.0.0/10",       # behind a carrier's NAT
        "127.0.0.0/8",         # loopback
        "169.254.0.0/16",      # link-local: clouds keep their metadata services there
        "172.16.0.0/12",       # private
        "192.0.0.0/24",        # protocol assignments
        "192.0.2.0/24",        # documentation
        "192.31.196.0/24",     # AS112
        "192.52.193.0/24",     # automatic multicast tunneling
        "192.88.99.0/24",      # 6to4 relays
        "192.168.0.0/16",      # private
        "192.175.48.0/24",     # AS112
        "198.18.0.0/15",       # benchmarks
        "198.51.100.0/24",     # documentation
        "203.0.113.0/24",      # documentation
        "224.0.0.0/4",         # multicast
        "240.0.0.0/4",         # reserved, and broadcast
    )
)  # fmt: skip
# All that is handed out to be reached; whatever lies outside is special without being named.
GLOBAL_UNICAST = IPv6Network("2000::/3")
SPECIAL_IPV6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",           # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",       # documentation
        "2002::/16",           # 6to4: an IPv4 address within
        "2620:4f:8000::/48",   # AS112
        "3fff::/20",           # documentation
    )
)  # fmt: skip
NAT64 = IPv6Network("64:ff9b::/96")


def plain(address: Address) -> Address:
    """The IPv4 address that is meant by an IPv6 one: a mapped one (RFC 4291 §2.5.5.2), or by NAT64 (RFC 6052)."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else address


def is_special(address: Address) -> bool:
    meant = plain(address)
    if isinstance(meant, IPv4Address):
        return any(meant in network for network in SPECIAL_IPV4)
    return meant not in GLOBAL_UNICAST or any(meant in network for network in SPECIAL_IPV6)


def may_be_called(address: Address, networks: Iterable[Network]) -> bool:
    """Public, or in one of the networks that an administrator named."""
    return not is_special(address) or any(plain(address) in network for network in networks)
