"""How far long work has come: one line on a terminal (stderr), nothing where nobody looks."""

from __future__ import annotations

import sys
import time

PAUSE = 0.2


class Progress:
    """Called with what is done and what there is, 0 where that is not known."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._shown_at = 0.0
        self._is_seen = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._is_seen or now - self._shown_at < PAUSE:
            return
        self._shown_at = now
        share = f"{done * 100 // total} %" if total else f"{done // 1024:,} KiB" if done else "..."
        sys.stderr.write(f"\r\x1b[K{self._verb} {share}")
        sys.stderr.flush()

    def end(self) -> None:
        if self._shown_at:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
