"""Logs on stderr, one line an event: coloured for a person at a terminal, JSON for everything else.

What strangers send is escaped by both, so that no log line can be forged (T201). Secrets are not logged, and should
one come this far all the same, it is masked.
"""

from __future__ import annotations

import logging
import sys

import structlog

from doorward_verify.redact import RedactingFilter, redact_event

TIME = structlog.processors.TimeStamper(fmt="iso", utc=True)
SHARED = (structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, TIME, structlog.stdlib.ExtraAdder())


def configure() -> None:
    """Once a process, before anything is logged; libraries' own loggers are heard from WARNING on."""
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact_event, _escape, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(RedactingFilter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _escape(
    logger: structlog.typing.WrappedLogger,  # noqa: ARG001  structlog's signature
    method: str,  # noqa: ARG001
    event: structlog.typing.EventDict,
) -> structlog.typing.EventDict:
    """A line break is ours only between the lines of a trace."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in value)
    return event
