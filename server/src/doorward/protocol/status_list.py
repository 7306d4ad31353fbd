"""Token Status List (draft-ietf-oauth-status-list): a bit for each token, which says whether it was ended.

GET /statuslists/17        accept: application/statuslist+jwt

{"typ": "statuslist+jwt", "alg": "ES256", "kid": "..."}
{"iss": "...", "sub": "https://auth.example.com/statuslists/17", "iat": ..., "exp": ..., "ttl": 60,
 "status_list": {"bits": 1, "lst": "eNrt3AENwCAMAEGogk..."}}

A token names its bit (§6.2): {"status": {"status_list": {"idx": 413, "uri": "https://auth.example.com/statuslists/17"}}}

Lists are made for an hour of expiry, and end with the last token in them. Indexes are handed out in blocks that have
no two in common; where in its list a token has its bit tells nothing of when or by whom it was issued.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from hashlib import shake_256
from typing import NamedTuple

from doorward.protocol.entities import JSON
from doorward.protocol.policy import Policy
from doorward_verify import jwt

MEDIA_TYPE = "application/statuslist+jwt"
PATH = "/statuslists"
# A block has one index in each row, and a row has one index for each block.
BLOCKS = ROWS = 1024
SIZE = BLOCKS * ROWS
SHARD_LIFETIME = 3600
# Between the choice of a list and the issue of a token in it time goes by.
SLACK = 10
# Verifiers that cannot read a newer list believe the last one for so long after its time.
GRACE = 300


class Place(NamedTuple):
    """An index that one token has; a list ends at `expires_at`, and none of its tokens lives longer."""

    list_id: int
    idx: int
    expires_at: int


def shard_expires_at(now: int, lifetime: int) -> int:
    """When the list ends that takes the tokens which are issued now."""
    latest = now + lifetime + SLACK
    return latest + -latest % SHARD_LIFETIME


def indexes(key: bytes, block: int) -> list[int]:
    """The indexes of a block of a list with this key, row by row.

    Each row has an order of its own: block -> (odd * block + shift) mod 1024 meets every index of the row once.
    """
    stream = shake_256(key).digest(4 * ROWS)
    found = []
    for row in range(ROWS):
        odd, shift = (int.from_bytes(stream[at : at + 2], "big") for at in (4 * row, 4 * row + 2))
        found.append(row * BLOCKS + ((odd | 1) * block + shift) % BLOCKS)
    return found


def lst(ended: Iterable[int], size: int = SIZE) -> str:
    """§4.1: the bit of an index is counted from the least significant one of its byte; 1 means invalid (§7.1)."""
    bits = bytearray(size // 8)
    for idx in ended:
        bits[idx >> 3] |= 1 << (idx & 7)
    return _compressed(bits)


def lst_of_all(size: int = SIZE) -> str:
    """Of a list that was lost in part, no token is good."""
    return _compressed(b"\xff" * (size // 8))


def _compressed(bits: bytes | bytearray) -> str:
    return jwt.b64url_encode(zlib.compress(bits, 9))


def uri(issuer: str, list_id: int) -> str:
    return f"{issuer}{PATH}/{list_id}"


def reference(issuer: str, place: Place) -> dict[str, JSON]:
    """The `status` claim of a token."""
    return {"status_list": {"idx": place.idx, "uri": uri(issuer, place.list_id)}}


def claims(list_id: int, lst: str, now: int, policy: Policy) -> dict[str, JSON]:
    """§5.1; whoever fetched the list asks again after `ttl` seconds."""
    ttl = policy.status_list_max_age
    return {
        "iss": policy.issuer,
        "sub": uri(policy.issuer, list_id),
        "iat": now,
        "exp": now + ttl + GRACE,
        "ttl": ttl,
        "status_list": {"bits": 1, "lst": lst},
    }


def aggregation(issuer: str, list_ids: Iterable[int]) -> dict[str, JSON]:
    """§9: every list there is."""
    return {"status_lists": [uri(issuer, list_id) for list_id in list_ids]}
