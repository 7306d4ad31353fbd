"""Secrets masked in logs: a filter for `logging`, a processor for structlog, and what both are made of.

for handler in logging.getLogger().handlers:
    handler.addFilter(RedactingFilter())                    on handlers: the filter of a logger misses its children
structlog.configure(processors=[..., redact_event, JSONRenderer()])            right before what renders
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any

from doorward_verify.mask import redact

# What a record consists of; everything else was added by `extra`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_PLAIN = (bool, int, float, type(None))
_DEEPEST = 8


def redacted(value: Any, depth: int = 0) -> Any:
    """The same for whatever may be logged. What holds no secret stays what it is."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, _PLAIN):
        return value
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {redacted(name, depth + 1): redacted(member, depth + 1) for name, member in value.items()}
    if depth < _DEEPEST and type(value) in (list, tuple, set, frozenset):
        return type(value)(redacted(member, depth + 1) for member in value)
    return _by_its_text(value)


def _by_its_text(value: Any) -> Any:
    """Whoever renders it shows its `repr`, or its `str`."""
    try:
        shown, said = repr(value), str(value)
    except Exception:
        return f"<{type(value).__name__}>"
    clean = (redact(shown), redact(said))
    return value if clean == (shown, said) else clean[0] if clean[0] != shown else clean[1]


class RedactingFilter(logging.Filter):
    """Lets every record pass, without secrets in its message, arguments, exception, stack and `extra`."""

    def filter(self, record: logging.LogRecord) -> bool:
        _clean_message(record)
        _clean_exception(record)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        for name, value in list(vars(record).items()):
            if name not in _OWN:
                setattr(record, name, redacted(value))
        return True


def _clean_message(record: logging.LogRecord) -> None:
    """The template stays where it can: tools group messages by it."""
    try:
        said = record.getMessage()
    except Exception:
        # `logging` would print template and arguments as they are.
        said = f"{record.msg} {redacted(record.args)!r} (the arguments do not fit)"
        record.msg, record.args = redact(said), ()
        return
    clean = redact(said)
    if clean != said:
        record.msg, record.args = clean, ()


def _clean_exception(record: logging.LogRecord) -> None:
    """An exception that tells a secret is kept as its text alone."""
    if record.exc_info and record.exc_info[0] is not None:
        said = record.exc_text or _text_of(record.exc_info)
        clean = redact(said)
        if clean != said:
            record.exc_text, record.exc_info = clean, None
    elif record.exc_text:
        record.exc_text = redact(record.exc_text)


def _text_of(exc_info: Any) -> str:
    return "".join(traceback.format_exception(*exc_info)).rstrip("\n")


def redact_event(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ARG001
    """A processor of structlog; one that formats exceptions may stand before or behind it."""
    raised = sys.exc_info() if event.get("exc_info") is True else event.get("exc_info")
    if isinstance(raised, BaseException):
        raised = (type(raised), raised, raised.__traceback__)
    if isinstance(raised, tuple) and len(raised) == 3 and raised[0] is not None:
        said = _text_of(raised)
        if redact(said) != said:
            del event["exc_info"]
            event["exception"] = said
    for name, value in list(event.items()):
        if name != "exc_info" and not name.startswith("_"):
            event[name] = redacted(value)
    return event
