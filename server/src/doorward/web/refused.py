"""Refusals on their way out: faults of the store and of bodies become refusals, and every one of them is noted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from doorward.protocol.refusal import InternalError, Refusal, TemporarilyUnavailable, Unprocessable
from doorward.store.store import Overloaded
from doorward.store.tallies import RefusalDetail
from doorward.store.writer import SetBack, Unavailable
from doorward.web.incoming import Incoming
from doorward.web.replies import Reply, oauth_error, problem

# What an endpoint answers as a refusal; everything else is a fault of ours, for the outermost layer.
REFUSED = (Refusal, Unavailable, ValidationError)
FIELDS_LIMIT = 50
# Longer than every id of ours, and of the letters that keys, tokens and setup links consist of.
_SECRET = re.compile(r"[0-9A-Za-z_.-]{30,}")


def as_refusal(fault: Exception) -> Refusal:
    if isinstance(fault, Refusal):
        return fault
    return _TRANSLATE.get(type(fault), _ours)(fault)


def refuse(fault: Exception, incoming: Incoming, render: Callable[[Refusal, Incoming], Reply] = problem) -> Reply:
    """The rendered refusal, counted by its reason, its private detail kept in a bounded ring (decision 23)."""
    refusal = as_refusal(fault)
    reply = render(refusal, incoming)
    runtime = incoming.runtime
    runtime.metrics.refused(refusal.reason)
    runtime.store.tallies.note(
        RefusalDetail(
            incoming.request_id, int(time.time()), refusal.reason, printable(incoming.actor, 100),
            incoming.method, printable(incoming.path, 200), refusal.detail,
        )
    )  # fmt: skip
    return reply


def refuse_as_oauth(fault: Exception, incoming: Incoming) -> Reply:
    return refuse(fault, incoming, oauth_error)


def unfit(invalid: Any, skipped: int = 0) -> Refusal:
    """pydantic's findings by field, without the first parts of their place; never the input itself (T202)."""
    found = [(".".join(map(str, error["loc"][skipped:])), error["msg"]) for error in invalid.errors()]
    fields = tuple((printable(name, 100) or "body", text[:1].lower() + text[1:]) for name, text in found)
    names = ", ".join(dict.fromkeys(name for name, _ in fields))
    return Unprocessable(f"not acceptable: {names[:200]}", fields=fields[:FIELDS_LIMIT])


def printable(text: str, limit: int) -> str:
    """What strangers sent is kept short and escaped, so that no reader of it is steered by it (T201).

    A secret that was sent in the wrong place, as an id in a path or as a member's name, is cut to its beginning.
    """
    return _SECRET.sub(_beginning, text)[:limit].encode("unicode_escape").decode("ascii")


def _beginning(found: re.Match[str]) -> str:
    return found[0][:12] + "..."


def _unavailable(fault: Exception) -> Refusal:
    return TemporarilyUnavailable("the server cannot confirm a commit now", detail=str(fault))


def _overloaded(fault: Exception) -> Refusal:
    return TemporarilyUnavailable("too many requests are waiting", reason="overloaded", detail=str(fault))


def _ours(fault: Exception) -> Refusal:
    return InternalError("the server failed", detail=type(fault).__name__)


_TRANSLATE: dict[type[Exception], Callable[[Any], Refusal]] = {
    Unavailable: _unavailable,
    SetBack: _unavailable,
    Overloaded: _overloaded,
    ValidationError: unfit,
}
