"""The revocation feed: what a verifier asks and is told of the credentials of its api (decisions 3 and 4).

GET /revocations?since=1:1000&wait=30
GET /revocations/stream                 last-event-id: 1:1000
authorization: Basic base64(client_id ":" client_secret)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from doorward.protocol import client_authentication
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.decision import Decision
from doorward.protocol.entities import JSON
from doorward.protocol.form import Form
from doorward.protocol.moment import Moment, Position
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import Gone, InvalidRequest
from doorward.protocol.verifier import VerifierFacts

LONGEST_WAIT = 30
# How far back a verifier may resume: its answers from introspection live no longer either.
REACH = 900


@dataclass(frozen=True, slots=True)
class Request:
    """Without `since` a snapshot is wanted."""

    credentials: ClientCredentials
    since: Position | None = None
    wait: int = 0


def parse(authorization: Sequence[bytes], query: Form) -> Request:
    credentials = client_authentication.parse(authorization, client_authentication.NO_FORM, query)
    since, wait = query.get("since"), query.get("wait")
    if since is None and wait is not None:
        raise InvalidRequest("wait needs since")
    return Request(credentials, None if since is None else _position(since), _seconds(wait or "0"))


def parse_stream(authorization: Sequence[bytes], query: Form, last_event_id: bytes | None) -> Request:
    """The header wins: a client that reconnects repeats its first URL, and knows more by then."""
    credentials = client_authentication.parse(authorization, client_authentication.NO_FORM, query)
    since = query.get("since") if last_event_id is None else last_event_id.decode("latin-1")
    if since is None:
        raise InvalidRequest("last-event-id or since is needed")
    return Request(credentials, _position(since))


def _position(text: str) -> Position:
    try:
        return Position.parse(text)
    except ValueError:
        raise InvalidRequest("the position is malformed") from None


def _seconds(text: str) -> int:
    if len(text) > 2 or not text.isascii() or not text.isdigit() or int(text) > LONGEST_WAIT:
        raise InvalidRequest(f"wait is not a number from 0 to {LONGEST_WAIT}")
    return int(text)


def decide(request: Request, facts: VerifierFacts | None, policy: Policy, moment: Moment) -> Decision[VerifierFacts]:
    hears = Decision(client_authentication.authenticate_verifier(request.credentials, facts, policy, moment))
    return client_authentication.noticed(hears, request.credentials, facts, policy, moment)


def follow(since: Position, head: Position, moved_on_at: int | None, now: int) -> None:
    """Raises Gone unless all that came behind `since` is still there; `moved_on_at` is when the first of it came."""
    if since.epoch != head.epoch:
        raise Gone("the position is of another epoch")
    if since.seq > head.seq:
        raise Gone("the position is ahead of the journal")
    if moved_on_at is not None and moved_on_at < now - REACH:
        raise Gone("the position is too old")


def heartbeat(issuer: str, audience: str, now: int, head: Position, last: Position) -> dict[str, JSON]:
    """What is signed every second: up to `head` everything was told, and the last of it was `last`."""
    return {"iss": issuer, "aud": audience, "iat": now, "pos": str(head), "last": str(last)}
