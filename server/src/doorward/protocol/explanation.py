"""Why a request was refused, read from its id alone: when, where, the sentence and the fix (decision 23)."""

from __future__ import annotations

from dataclasses import dataclass

from doorward.protocol.reasons import BY_CODE
from doorward.protocol.refusal import NotFound
from doorward_verify import request_id


@dataclass(frozen=True, slots=True)
class DetailObject:
    """What was kept of the refused request; never a secret of it."""

    actor: str
    method: str
    path: str
    detail: str


@dataclass(frozen=True, slots=True)
class ExplanationObject:
    """`origin` is `server`, or `service` for a refusal by a verifier, whose ids this server cannot vouch for."""

    id: str
    at: int
    origin: str
    reason: str | None
    status: int | None
    sentence: str
    fix: str
    detail: DetailObject | None


def explain(id_: str, key: bytes, detail: DetailObject | None = None) -> ExplanationObject:
    """Raises NotFound for an id that neither this deployment nor a verifier can have made."""
    try:
        found = request_id.read(id_)
    except ValueError:
        raise NotFound("there is no such request id") from None
    origin = "server" if request_id.is_authentic(id_, key) else "service"
    if origin == "service" and not request_id.is_authentic(id_, None):
        raise NotFound("there is no such request id")
    if found.reason_code == 0:
        return ExplanationObject(id_, found.at, origin, None, None, "The request was not refused.", "", detail)
    reason = BY_CODE.get(found.reason_code)
    if reason is None:
        raise NotFound("there is no such request id")
    return ExplanationObject(id_, found.at, origin, reason.name, reason.status, reason.sentence, reason.fix, detail)
