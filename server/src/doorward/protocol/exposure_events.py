"""An api key that was seen where it does not belong; a part of the events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from doorward.protocol.entities import JSON, ApiKey


@dataclass(frozen=True, slots=True)
class ApiKeySeen:
    """For the first time in a URL, or in a browser: others may know it by now. It stays as good as it was."""

    entity: ClassVar[str] = "api_key"
    api_key: ApiKey
    where: str
    seen_at: int


OfExposures = ApiKeySeen


def touched(event: OfExposures) -> str:
    return event.api_key.id


def told(event: OfExposures) -> Mapping[str, JSON]:
    key = event.api_key
    return {"account": key.account_id, "api": key.api_id, "where": event.where, "seen_at": event.seen_at}
