"""Whoever is away for a moment is asked again, where somebody waits for a command: a quarter of a minute.

502, 504       a node died with the answer, and nobody knows whether it was done
503            Retry-After: 1
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

# By then a database that starts again is back, and another node answers.
ATTEMPTS = 15
LONGEST_PAUSE = 5
AWAY = frozenset((502, 503, 504))


def pause(attempt: int, host: str, retry_after: str | None = None) -> int:
    """Seconds; where somebody looks, the first time says what is waited for."""
    if attempt == 1 and sys.stderr.isatty():
        from doorward.cli.output import note

        note(f"{host} is away for a moment: asking again ...")
    return min(int(retry_after), LONGEST_PAUSE) if retry_after and retry_after.isdigit() else 1


def patiently(ask: Callable[[], httpx2.Response]) -> httpx2.Response:
    """For what may be done twice. Raises TransportError where nobody listens, or the last attempt was cut off, too."""
    import httpx2

    for attempt in range(1, ATTEMPTS):
        try:
            answer = ask()
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError) as cut:
            time.sleep(pause(attempt, cut.request.url.host))
        else:
            if answer.status_code not in AWAY:
                return answer
            time.sleep(pause(attempt, answer.url.host, answer.headers.get("retry-after")))
    return ask()
