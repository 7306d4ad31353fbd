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
class ApiKeyRotationCancelled:
    """The new secret ended, and the old one is `restored`."""

    entity: ClassVar[str] = "api_key"
    api_key: ApiKey
    withdrawn: Secret
    restored: Secret


@dataclass(frozen=True, slots=True)
class ClientSecretRotated:
    entity: ClassVar[str] = "client"
    client: Client
    secret: Secret
    retired: tuple[Secret, ...]


@dataclass(frozen=True, slots=True)
class ClientOverlapBegun:
    entity: ClassVar[str] = "client"
    client: Client
    waiting: Secret


@dataclass(frozen=True, slots=True)
class ClientRotationCancelled:
    entity: ClassVar[str] = "client"
    client: Client
    withdrawn: Secret
    restored: Secret


@dataclass(frozen=True, slots=True)
class VerifierSecretRotated:
    entity: ClassVar[str] = "verifier"
    verifier: Verifier
    secret: Secret
    retired: tuple[Secret, ...]


@dataclass(frozen=True, slots=True)
class VerifierOverlapBegun:
    entity: ClassVar[str] = "verifier"
    verifier: Verifier
    waiting: Secret


@dataclass(frozen=True, slots=True)
class VerifierRotationCancelled:
    entity: ClassVar[str] = "verifier"
    verifier: Verifier
    withdrawn: Secret
    restored: Secret


Rotation = ApiKeyRotated | ClientSecretRotated | VerifierSecretRotated
OverlapBegun = ApiKeyOverlapBegun | ClientOverlapBegun | VerifierOverlapBegun
RotationCancelled = ApiKeyRotationCancelled | ClientRotationCancelled | VerifierRotationCancelled
OfSecrets = Rotation | OverlapBegun | RotationCancelled


def owner(event: OfSecrets) -> ApiKey | Client | Verifier:
    match event:
        case ApiKeyRotated() | ApiKeyOverlapBegun() | ApiKeyRotationCancelled():
            return event.api_key
        case ClientSecretRotated() | ClientOverlapBegun() | ClientRotationCancelled():
            return event.client
        case VerifierSecretRotated() | VerifierOverlapBegun() | VerifierRotationCancelled():
            return event.verifier


def touched(event: OfSecrets) -> str:
    return owner(event).id


def told(event: OfSecrets) -> Mapping[str, JSON]:
    """The public ids alone: a secret's MAC is made of the secret (law 5)."""
    if isinstance(event, OverlapBegun):
        return {"waiting": event.waiting.id, "ends_at": event.waiting.expires_at}
    if isinstance(event, RotationCancelled):
        return {"withdrawn": event.withdrawn.id, "restored": event.restored.id}
    return {"secret": event.secret.id, "retired": [one.id for one in event.retired]}
