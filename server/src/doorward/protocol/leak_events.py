"""What happens to leaked secrets: events like those of `protocol.events`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from doorward.protocol.entities import JSON, ApiKey, Client, Leak, Verifier
from doorward.protocol.secret import Secret


@dataclass(frozen=True, slots=True)
class LeakReported:
    """A secret of ours was found where it does not belong. What that ended has an event of its own, before this one."""

    entity: ClassVar[str] = "leak"
    leak: Leak


@dataclass(frozen=True, slots=True)
class LeakUpdated:
    """The same secret was found at another place, or what was only flagged was ended."""

    entity: ClassVar[str] = "leak"
    leak: Leak


@dataclass(frozen=True, slots=True)
class ApiKeySecretRevoked:
    """One secret of an api key; its siblings in rotation go on, and a new one can be made."""

    entity: ClassVar[str] = "api_key"
    api_key: ApiKey
    secret: Secret


@dataclass(frozen=True, slots=True)
class VerifierSecretRevoked:
    """One secret of a verifier, and the streams that it opened."""

    entity: ClassVar[str] = "verifier"
    verifier: Verifier
    secret: Secret


@dataclass(frozen=True, slots=True)
class ClientSecretRevoked:
    """One secret of a client, and every token that the client has so far: whoever had the secret may have them."""

    entity: ClassVar[str] = "client"
    client: Client
    secret: Secret


@dataclass(frozen=True, slots=True)
class DecoyTried:
    """A record: somebody used a key that was only laid out to be found."""

    entity: ClassVar[str] = "api_key"
    api_key: ApiKey


LeakEvent = LeakReported | LeakUpdated
SecretRevoked = ApiKeySecretRevoked | ClientSecretRevoked | VerifierSecretRevoked
OfLeaks = LeakEvent | SecretRevoked | DecoyTried


def touched(event: OfLeaks) -> str:
    """The id of what the event touches."""
    match event:
        case LeakReported() | LeakUpdated():
            return event.leak.id
        case ClientSecretRevoked():
            return event.client.id
        case VerifierSecretRevoked():
            return event.verifier.id
        case ApiKeySecretRevoked() | DecoyTried():
            return event.api_key.id


def told(event: OfLeaks) -> Mapping[str, JSON]:
    """What the audit log keeps of it."""
    match event:
        case LeakReported() | LeakUpdated():
            leak = event.leak
            return {
                "credential": leak.credential, "credential_id": leak.credential_id, "owner": leak.owner_id,
                "account": leak.account_id, "outcome": leak.outcome, "origin": leak.origin,
                "locations": [*leak.locations],
            }  # fmt: skip
        case ClientSecretRevoked():
            return {"account": event.client.account_id, "secret": event.secret.id}
        case ApiKeySecretRevoked():
            return {"account": event.api_key.account_id, "api": event.api_key.api_id, "secret": event.secret.id}
        case VerifierSecretRevoked():
            return {"api": event.verifier.api_id, "secret": event.secret.id}
        case DecoyTried():
            return {"account": event.api_key.account_id, "api": event.api_key.api_id}
