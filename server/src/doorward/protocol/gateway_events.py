"""What happens to the routes of gateways: events like those of `protocol.events`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from doorward.protocol.entities import JSON, Api


@dataclass(frozen=True, slots=True)
class RoutesChanged:
    """An api lets other requests through than before; the api's own event keeps them."""

    entity: ClassVar[str] = "route"
    api: Api
    before: tuple[Mapping[str, JSON], ...] = ()


OfGateways = RoutesChanged


def touched(event: OfGateways) -> str:
    """All routes are read together, whichever of them changed."""
    return "all"


def told(event: OfGateways) -> Mapping[str, JSON]:
    """What the audit log keeps."""
    after, before = ([dict(one) for one in routes] for routes in (event.api.routes, event.before))
    return {
        "api": event.api.id,
        "added": [one for one in after if one not in before],
        "removed": [one for one in before if one not in after],
    }
