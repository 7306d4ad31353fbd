"""What is kept of a refusal: a count by reason, and its private detail in a bounded ring (decision 23)."""

from __future__ import annotations

import time

from doorward.protocol.refusal import Refusal
from doorward.store.tallies import RefusalDetail
from doorward.web.incoming import Incoming


def note(refusal: Refusal, incoming: Incoming) -> None:
    """Called once the reply was rendered, so that the id is the one in it."""
    runtime = incoming.runtime
    runtime.metrics.refused(refusal.reason)
    detail = RefusalDetail(
        incoming.request_id,
        int(time.time()),
        refusal.reason,
        _printable(incoming.actor, 100),
        incoming.method,
        _printable(incoming.path, 200),
        refusal.detail,
    )
    runtime.store.tallies.note(detail)


def _printable(text: str, limit: int) -> str:
    """What strangers sent is kept short and escaped, so that no log reader is steered by it (T201)."""
    return text[:limit].encode("unicode_escape").decode("ascii")
