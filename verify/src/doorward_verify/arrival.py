"""How a credential came, and whether its api takes keys that way: the answer about a key says what is allowed.

"transports": ["bearer", "header"], "browsers": "flag"

Tokens come as Bearer alone (RFC 6750 §2.1), whatever an api allows its keys.
"""

from __future__ import annotations

from typing import NamedTuple

from doorward_verify.errors import InvalidRequest
from doorward_verify.verified import Verified

TRANSPORTS = ("bearer", "header", "basic", "query", "body")
USUAL = ("bearer", "header")
BROWSERS = ("allow", "flag", "refuse")
URL, BROWSER = "url", "browser"


class Arrival(NamedTuple):
    """`from_browser`: with `Origin` or `Sec-Fetch-*`, which only browsers send."""

    transport: str = "bearer"
    from_browser: bool = False


AS_BEARER = Arrival()


def allowed(found: Verified) -> tuple[str, ...]:
    """An answer that says nothing, or makes no sense, allows no more than usual."""
    if found.credential != "api_key":
        return ("bearer",)
    given = found.claims.get("transports")
    return tuple(name for name in TRANSPORTS if name in given) if isinstance(given, list) else USUAL


def _is_taken(found: Verified, transport: str) -> bool:
    """The same of one way, without a list of all."""
    if found.credential != "api_key":
        return transport == "bearer"
    given = found.claims.get("transports")
    return transport in TRANSPORTS and transport in (given if isinstance(given, list) else USUAL)


def exposures(found: Verified, arrival: Arrival) -> tuple[str, ...]:
    """Where a key was seen that it does not belong; a test key may be in a browser."""
    in_url = arrival.transport == "query"
    # Nearly all come otherwise.
    if not (in_url or arrival.from_browser) or found.credential != "api_key":
        return ()
    in_browser = arrival.from_browser and found.environment == "live" and _browsers(found) != "allow"
    return (URL,) * in_url + (BROWSER,) * in_browser


def take(found: Verified, arrival: Arrival) -> None:
    """Raises InvalidRequest; who shows a good credential learns how to send it."""
    if not _is_taken(found, arrival.transport):
        ways = allowed(found)
        raise InvalidRequest(f"it came by {arrival.transport}, and is taken by {' or '.join(ways) or 'nothing'} alone",
                             reason="transport_not_allowed")  # fmt: skip
    if arrival.from_browser and BROWSER in exposures(found, arrival) and _browsers(found) == "refuse":
        raise InvalidRequest("a live key does not belong in a browser", reason="key_in_browser")


def _browsers(found: Verified) -> str:
    given = found.claims.get("browsers", "flag")
    return given if given in BROWSERS else "refuse"
