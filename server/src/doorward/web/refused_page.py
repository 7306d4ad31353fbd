"""A refusal as a page: its sentence, what helps, the request id; never a way elsewhere (page400 of the threats)."""

from __future__ import annotations

from doorward.protocol.reasons import REASONS
from doorward.protocol.refusal import Refusal
from doorward.web.incoming import Incoming
from doorward.web.page import page
from doorward.web.refused import refuse
from doorward.web.replies import Headers, Reply


def refused_page(fault: Exception, incoming: Incoming) -> Reply:
    """Counted and noted like every refusal."""
    return refuse(fault, incoming, _page)


def _page(refusal: Refusal, incoming: Incoming) -> Reply:
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
