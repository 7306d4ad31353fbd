"""What can happen to the secrets of an api key, client or verifier; a part of the events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from doorward.protocol.entities import JSON, ApiKey, Client, Verifier
from doorward.protocol.secret import Secret


@dataclass(frozen=True, slots=True)
class ApiKeyRotated:
    """`retired` are the secrets that it had, as they are from now on."""

    entity: ClassVar[str] = "api_key"
    api_key: ApiKey
    secret: Secret
    retired: tuple[Secret, ...]


@dataclass(frozen=True, slots=True)
class ApiKeyOverlapBegun:
    """The new secret was used: the old one, `waiting` until now, ends when its overlap is over."""

    entity: ClassVar[str] = "api_key"
    api_key: ApiKey
    waiting: Secret


@dataclass(frozen=True, slots=True)
class ClientSecretRotated:
    entity: ClassVar[str] = "client"
    client: Client
    secret: Secret
    retired: tuple[Secret, ...]


@dataclass(frozen=True, slots=True)
class VerifierSecretRotated:
    entity: ClassVar[str] = "verifier"
    verifier: Verifier
    secret: Secret
    retired: tuple[Secret, ...]


OfSecrets = ApiKeyRotated | ApiKeyOverlapBegun | ClientSecretRotated | VerifierSecretRotated


def touched(event: OfSecrets) -> str:
    match event:
        case ApiKeyRotated() | ApiKeyOverlapBegun():
            return event.api_key.id
        case ClientSecretRotated():
            return event.client.id
        case VerifierSecretRotated():
            return event.verifier.id


def told(event: OfSecrets) -> Mapping[str, JSON]:
    """The public ids alone: a secret's MAC is made of the secret (law 5)."""
    if isinstance(event, ApiKeyOverlapBegun):
        return {"waiting": event.waiting.id, "ends_at": event.waiting.expires_at}
    return {"secret": event.secret.id, "retired": [one.id for one in event.retired]}
