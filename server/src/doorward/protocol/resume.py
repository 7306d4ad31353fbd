"""What was held since a restore is resumed: by an administrator, who has seen that nothing is wrong with it.

An api key, client or user is also resumed by what activates it at any other time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from doorward.protocol.decision import Decision
from doorward.protocol.entities import AdminKey, ApiKey, Client, Verifier
from doorward.protocol.events import ApiKeyUpdated, ClientUpdated
from doorward.protocol.moment import Moment
from doorward.protocol.people import User
from doorward.protocol.people_events import UserUpdated
from doorward.protocol.restore_events import AdminKeyResumed, VerifierResumed

Held = ApiKey | Client | Verifier | AdminKey | User
Resumed = ApiKeyUpdated | ClientUpdated | VerifierResumed | AdminKeyResumed | UserUpdated


def resume(held: Iterable[Held], moment: Moment) -> Decision[None]:
    return Decision(None, tuple(_resumed(one, moment.now) for one in held))


def _resumed(one: Held, now: int) -> Resumed:
    version = one.version + 1
    match one:
        case ApiKey():
            return ApiKeyUpdated(replace(one, state="active", updated_at=now, version=version))
        case Client():
            return ClientUpdated(replace(one, state="active", updated_at=now, version=version))
        case User():
            return UserUpdated(replace(one, state="active", updated_at=now, version=version))
        case Verifier():
            return VerifierResumed(replace(one, state="active", version=version))
        case AdminKey():
            return AdminKeyResumed(replace(one, state="active", version=version))
