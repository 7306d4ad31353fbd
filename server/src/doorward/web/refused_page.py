"""A refusal as a page: its sentence, what helps, the request id; never a way elsewhere (page400 of the threats).

Or as a few words above a form that is shown again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from doorward.protocol.reasons import REASONS
from doorward.protocol.refusal import Refusal
from doorward.web.incoming import Incoming
from doorward.web.page import page
from doorward.web.refused import refuse
from doorward.web.replies import Headers, Reply

SLOW_DOWN = 429


@dataclass(frozen=True, slots=True)
class Said:
    """What stands above a form; `wait` is in seconds, and takes the place of what else would help."""

    sentence: str = ""
    fix: str = ""
    wait: int = 0
    status: int = 200
    headers: Headers = field(default_factory=list)


def said(refusal: Refusal | None) -> Said:
    """Nothing where nothing was refused."""
    if refusal is None:
        return Said()
    reason = REASONS[refusal.reason]
    wait = int(dict(refusal.fields).get("retry_after", "0")) if refusal.status == SLOW_DOWN else 0
    return Said(reason.sentence, reason.fix, wait, refusal.status, retry_after(refusal))


def refused_page(fault: Exception, incoming: Incoming) -> Reply:
    """Counted and noted like every refusal."""
    return refuse(fault, incoming, as_page)


def as_page(refusal: Refusal, incoming: Incoming) -> Reply:
    reason = REASONS[refusal.reason]
    return page(
        incoming, "refused.html", refusal.status, form_action=("'none'",), more=retry_after(refusal),
        sentence=reason.sentence, fix=reason.fix, request_id=incoming.identify(refusal),
    )  # fmt: skip


def retry_after(refusal: Refusal) -> Headers:
    fields = dict(refusal.fields) if refusal.status != 422 else {}
    wait = fields.get("retry_after", "1" if refusal.status == 503 else "")
    allow = fields.get("allow")
    return [
        *([(b"retry-after", wait.encode())] if wait else []),
        *([(b"allow", allow.encode())] if allow else []),
    ]
