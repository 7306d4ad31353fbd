"""Who is let in first when more is asked than can be answered: a rank for every path (F16).

What services ask about their own callers comes first, then what ends a credential, then new tokens, then people, then
administration: whoever looks after the door shall not be the one who closes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rank:
    """In one worker `at_once` are answered side by side and `queue` more wait; each is answered or refused `within` so
    many seconds of its arrival, whatever it waits for.

    While a worker that has much to do is `late` by so many seconds, none of them is let in.
    """

    name: str
    at_once: int
    queue: int
    within: float
    late: float
    paths: tuple[str, ...]


# Programs are told within two seconds that it is in vain (F7), and the way to them is a part of it. People wait longer.
SOON = 1.7

# A path that ends with a slash is all that lies below it.
RANKS = (
    #    name          at once  queue  within     late
    Rank("operations",     16,     16,     SOON, math.inf, ("/healthz", "/readyz", "/metrics")),
    Rank("feed",       10_000,      0, math.inf, math.inf, ("/revocations", "/revocations/stream")),
    # What comes by the gateways' own listeners: no stranger can take a place there.
    Rank("gateway",     1_000,  1_000,     SOON,      3.0, ()),
    Rank("check",       1_000,  1_000,     SOON,      2.0, (
        "/check/", "/oauth/introspect", "/v1/keys/verify", "/v1/keys/verify/batch",
        "/.well-known/", "/revocations/jwks", "/assertions/jwks", "/statuslists/",
    )),
    Rank("end",           512,    512,     SOON,      1.0, (
        "/oauth/revoke", "/v1/revocations", "/v1/keys/self/revoke", "/leaks/",
    )),
    Rank("token",          64,    512,     SOON,      0.5, ("/oauth/token", "/oauth/userinfo", "/usage")),
    Rank("page",           64,    256,      5.0,     0.25, ("/",)),
    Rank("admin",           8,    256,      5.0,      0.1, ("/v1/",)),
)  # fmt: skip

_EXACT = {path.encode(): rank for rank in RANKS for path in rank.paths if not path.endswith("/")}
# The longest first: what lies below /v1 is no page, though all is below /.
_BELOW = sorted(
    ((path.encode(), rank) for rank in RANKS for path in rank.paths if path.endswith("/")),
    key=lambda row: len(row[0]),
    reverse=True,
)
GATEWAY = next(rank for rank in RANKS if rank.name == "gateway")
_PAGE = next(rank for rank in RANKS if rank.name == "page")


def rank_of(target: bytes) -> Rank:
    """Of a request's target as it stands in its first line; what is written in an unusual way is a page."""
    path = target.partition(b"?")[0]
    return _EXACT.get(path) or next((rank for below, rank in _BELOW if path.startswith(below)), _PAGE)


def is_let_in(rank: Rank, inside: int, late: float) -> bool:
    """`inside` are answered or wait already; `late` is by how much the worker is, 0 while it has little to do."""
    return inside < rank.at_once + rank.queue and late <= rank.late
