"""How often one address may do something in a minute: whoever goes on is no longer heeded. Bounded, without a clock."""

from __future__ import annotations

import ipaddress

WINDOW = 60.0
ADDRESSES_LIMIT = 10_000


class AddressLimit:
    """Of one loop, or of one thread after another: a count that two threads write at once may miss one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counted: dict[str, int] = {}
        self._since = 0.0

    def allows(self, address: str, now: float) -> bool:
        if now - self._since >= WINDOW or len(self._counted) >= ADDRESSES_LIMIT:
            self._counted, self._since = {}, now
        block = _block(address)
        self._counted[block] = self._counted.get(block, 0) + 1
        return self._counted[block] <= self._limit


def _block(address: str) -> str:
    """Whoever has one address of IPv6 has its /64."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address
