"""What happens to api keys that were made elsewhere, and to those that users make themselves; a part of the events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from doorward.protocol.entities import JSON, ApiKey
from doorward.protocol.secret import Secret

ANY = "any"


@dataclass(frozen=True, slots=True)
class LegacyTurned:
    """An api takes imported keys from now on, or takes none any more; it touches what is known of all apis."""

    entity: ClassVar[str] = "legacy"
    api_id: str
    legacy: bool


@dataclass(frozen=True, slots=True)
class ApiKeyRehashed:
    """An imported key that was known by a slow hash alone was shown: `secret` has a MAC of it from now on."""

    entity: ClassVar[str] = "api_key"
    api_key: ApiKey
    secret: Secret


@dataclass(frozen=True, slots=True)
class ApiKeySelfMade:
    """By a user. It touches the account's keys as a whole, so that of many who make one at once none miscounts."""

    entity: ClassVar[str] = "keys_of"
    api_key: ApiKey
    secret: Secret


OfKeys = LegacyTurned | ApiKeyRehashed | ApiKeySelfMade


def touched(event: OfKeys) -> str:
    match event:
        case LegacyTurned():
            return ANY
        case ApiKeyRehashed():
            return event.api_key.id
        case ApiKeySelfMade():
            return event.api_key.account_id


def told(event: OfKeys) -> Mapping[str, JSON]:
    match event:
        case LegacyTurned():
            return {"api": event.api_id, "legacy": event.legacy}
        case ApiKeyRehashed():
            return {"secret": event.secret.id}
        case ApiKeySelfMade():
            key = event.api_key
            return {"key": key.id, "api": key.api_id, "user": key.user_id}
