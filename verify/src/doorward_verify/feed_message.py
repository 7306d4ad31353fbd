"""What the feed says, read strictly: snapshots, answers to polls, and heartbeats, which are compact JWS.

{"revocations_endpoint", "revocations_stream_endpoint", "revocations_jwks_uri", "usage_endpoint"}      in the metadata
{"pos": "1:1042", "entries": [...]}
{"typ": "feed+jwt", "alg": "ES256", "kid": "..."} . {"iss", "aud", "iat", "pos": "1:1042", "last": "1:1017"}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from doorward_verify import jwt, revocations, strict_json
from doorward_verify.errors import InvalidToken
from doorward_verify.feed_state import Heartbeat
from doorward_verify.revocations import Entry, Position

TYPE = "feed+jwt"


class FeedEndpoints(NamedTuple):
    """`usage` is where to tell what was used, if the server wants to know."""

    log: str
    stream: str
    jwks_uri: str
    usage: str | None = None


class Told(NamedTuple):
    """A snapshot, or what came behind a position; `position` is the journal's head."""

    position: Position
    entries: tuple[Entry, ...]


def endpoints(metadata: Mapping[str, Any]) -> FeedEndpoints | None:
    """None where the issuer has no feed: only Doorward has."""
    log, stream, jwks_uri = (
        metadata.get(f"revocations_{name}") for name in ("endpoint", "stream_endpoint", "jwks_uri")
    )
    if isinstance(log, str) and isinstance(stream, str) and isinstance(jwks_uri, str):
        usage = metadata.get("usage_endpoint")
        return FeedEndpoints(log, stream, jwks_uri, usage if isinstance(usage, str) else None)
    return None


def told(document: Mapping[str, Any]) -> Told:
    """Raises ValueError when any of it is not understood."""
    entries = document.get("entries")
    if not isinstance(entries, list):
        raise ValueError("there are no entries")
    return Told(revocations.position(document.get("pos")), tuple(map(revocations.entry, entries)))


def entry(data: str) -> Entry:
    return revocations.entry(strict_json.parse(data.encode()))


def heartbeat(text: str, keys: jwt.Keys, *, issuer: str, audience: str) -> Heartbeat:
    """Raises KeyUnknown, InvalidToken or ValueError unless it was signed by a key of the feed, for this audience."""
    header, payload, signature, signing_input = jwt.unpack(text)
    if header.typ != TYPE:
        raise InvalidToken("the heartbeat is of another type", reason="token_type_wrong")
    jwt.authenticate(header, signature, signing_input, keys)
    claims = jwt.read_claims(payload)
    if claims.get("iss") != issuer or claims.get("aud") != audience:
        raise InvalidToken("the heartbeat is of another issuer or audience", reason="wrong_audience")
    issued_at = claims.get("iat")
    if type(issued_at) is not int:
        raise ValueError("the heartbeat has no time")
    return Heartbeat(revocations.position(claims.get("pos")), revocations.position(claims.get("last")), issued_at)
