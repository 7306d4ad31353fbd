"""Logout tokens, OpenID Connect Back-Channel Logout 1.0 §2.4, and when a client that took none is tried again.

{"typ": "logout+jwt", "alg": "RS256", "kid": "..."} . {"iss", "sub", "aud": client_id, "iat", "exp", "jti",
    "events": {"http://schemas.openid.net/event/backchannel-logout": {}}, "sid"}

POST backchannel_logout_uri          logout_token=eyJ...          -> 200
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from doorward.protocol import token
from doorward.protocol.entities import JSON, Client, SigningKey
from doorward.protocol.moment import Moment
from doorward.protocol.people import LogoutDelivery
from doorward.protocol.people_events import LogoutEvent, LogoutTokenDelivered, LogoutTokenUndelivered
from doorward.protocol.policy import Policy
from doorward.protocol.token import Claims

TYPE = "logout+jwt"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
LIFETIME = 120
# Seconds from each try to the next: five within a quarter of an hour. The last is for a server that ended in a try.
WAITS = (10, 50, 180, 600, 60)
TRIES = len(WAITS)
# §2.8; some frameworks cannot send an empty answer with 200.
TAKEN = frozenset({200, 204})
UNREGISTERED, INTERRUPTED = "unregistered", "interrupted"


@dataclass(frozen=True, slots=True)
class Facts:
    """`client` is None where it does not want to hear any more."""

    client: Client | None
    signing_keys: tuple[SigningKey, ...] = ()


@dataclass(frozen=True, slots=True)
class LogoutToken:
    """Claims, who signs them, and where they go."""

    claims: Claims
    signing_key: SigningKey
    uri: str


def issue(delivery: LogoutDelivery, facts: Facts, policy: Policy, moment: Moment) -> LogoutToken | None:
    """A fresh one for each try: a client that took it and could not say so refuses the same `jti` again. No nonce."""
    client = facts.client
    if client is None or client.backchannel_logout_uri is None or delivery.attempts > TRIES:
        return None
    events: dict[str, JSON] = {EVENT: {}}
    claims: dict[str, JSON] = {
        "iss": policy.issuer, "sub": delivery.user_id, "aud": client.id, "iat": moment.now,
        "exp": moment.now + LIFETIME, "jti": moment.id("logout"), "events": events, "sid": delivery.session_id,
    }  # fmt: skip
    key = token.signing_key(facts.signing_keys, client.id_token_signed_response_alg)
    return LogoutToken(claims, key, client.backchannel_logout_uri)


def tried(delivery: LogoutDelivery, now: int) -> LogoutDelivery:
    """As it is while somebody tries: should he end in it, another one comes later."""
    wait = WAITS[min(delivery.attempts, TRIES - 1)]
    return replace(delivery, attempts=delivery.attempts + 1, next_at=now + wait)


def outcome(delivery: LogoutDelivery, failure: str | None) -> tuple[LogoutEvent, ...]:
    """What is known after a try; nothing while others are to come."""
    if failure is None:
        return (LogoutTokenDelivered(delivery),)
    if delivery.attempts > TRIES:
        return (LogoutTokenUndelivered(delivery, INTERRUPTED),)
    if delivery.attempts == TRIES or failure == UNREGISTERED:
        return (LogoutTokenUndelivered(delivery, failure),)
    return ()
