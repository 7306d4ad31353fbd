"""What happens to signing keys, and to what seals them: events like those of `protocol.events`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from doorward.protocol.entities import JSON, SigningKey


@dataclass(frozen=True, slots=True)
class SigningKeyCreated:
    entity: ClassVar[str] = "signing_key"
    signing_key: SigningKey


@dataclass(frozen=True, slots=True)
class SigningKeyActivated:
    entity: ClassVar[str] = "signing_key"
    signing_key: SigningKey


@dataclass(frozen=True, slots=True)
class SigningKeyRetired:
    """It signs no more, and is published for as long as anything that it signed lives."""

    entity: ClassVar[str] = "signing_key"
    signing_key: SigningKey


@dataclass(frozen=True, slots=True)
class SigningKeyRemoved:
    """By the `schedule`, when nothing that it signed lives any more; or in an `emergency`, to end all of that."""

    entity: ClassVar[str] = "signing_key"
    signing_key: SigningKey
    reason: str


@dataclass(frozen=True, slots=True)
class SigningKeyResealed:
    """Its private half is under another master key."""

    entity: ClassVar[str] = "signing_key"
    signing_key: SigningKey


@dataclass(frozen=True, slots=True)
class SecretsRotated:
    """Other versions of master key and pepper are current; the fingerprint tells nothing about them."""

    entity: ClassVar[str] = "deployment"
    fingerprint: str
    before: str
    master_key_version: int
    pepper_version: int


SigningKeyEvent = SigningKeyCreated | SigningKeyActivated | SigningKeyRetired | SigningKeyRemoved | SigningKeyResealed
OfSigningKeys = SigningKeyEvent | SecretsRotated


def touched(event: OfSigningKeys) -> str:
    """All keys are read together, whichever of them changed."""
    return "secrets" if isinstance(event, SecretsRotated) else "all"


def told(event: OfSigningKeys) -> Mapping[str, JSON]:
    """What the audit log keeps."""
    if isinstance(event, SecretsRotated):
        return {"master_key_version": event.master_key_version, "pepper_version": event.pepper_version}
    key = event.signing_key
    kept = {"kid": key.id, "purpose": key.purpose, "algorithm": key.algorithm, "state": key.state}
    return {**kept, "reason": event.reason} if isinstance(event, SigningKeyRemoved) else kept
