"""What happens when a backup takes the place of what was lost: events like those of `protocol.events`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from doorward.protocol.entities import JSON, AdminKey, Verifier
from doorward.protocol.moment import Position
from doorward.protocol.replay import Replay


@dataclass(frozen=True, slots=True)
class DeploymentRestored:
    """The database is as old as `backup`. All that people allowed and did, and every token, is over.

    `replay` is what a journal knows to have come after it; without one every long-lived secret is held.
    """

    entity: ClassVar[str] = "deployment"
    epoch: int
    backup: Position
    replay: Replay | None


@dataclass(frozen=True, slots=True)
class VerifierResumed:
    """It was held since a restore."""

    entity: ClassVar[str] = "verifier"
    verifier: Verifier


@dataclass(frozen=True, slots=True)
class AdminKeyResumed:
    entity: ClassVar[str] = "admin_key"
    admin_key: AdminKey


Resumed = VerifierResumed | AdminKeyResumed
OfRestores = DeploymentRestored | Resumed


def touched(event: OfRestores) -> str:
    match event:
        case DeploymentRestored():
            return "restored"
        case VerifierResumed():
            return event.verifier.id
        case AdminKeyResumed():
            return event.admin_key.id


def told(event: OfRestores) -> Mapping[str, JSON]:
    """What the audit log keeps."""
    match event:
        case DeploymentRestored():
            until = None if event.replay is None else event.replay.until
            return {"epoch": event.epoch, "backup": str(event.backup), "replayed_to": until}
        case VerifierResumed():
            return {"api": event.verifier.api_id, "name": event.verifier.name}
        case AdminKeyResumed():
            return {"name": event.admin_key.name}
