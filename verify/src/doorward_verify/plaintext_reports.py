"""What arrived in the clear and is still to be reported: kept until the server takes it, sent by a thread.

{"reports": [{"token_sha256": "..."}, {"token": "eyJ..."}]}
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import threading
from collections.abc import Callable, Iterable

from doorward_verify import jwt
from doorward_verify.errors import Unavailable

LIMIT = 1000
BATCH = 100
# The server takes 64 KiB, and a JWT may have 16.
BATCH_SIZE = 60_000
PAUSE = 1.0
# Whoever closes waits so long for the last ones.
FAREWELL = 1.0

log = logging.getLogger("doorward_verify")
Report = dict[str, str]


class PlaintextReports:
    """`send` raises Unavailable to be called again. The thread ends when there is nothing left."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._waiting: dict[str, Report] = {}
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self.dropped = 0

    def add(self, texts: Iterable[str]) -> None:
        with self._lock:
            for text in texts:
                self._keep(text)
            if self._waiting and self._thread is None and not self._closed.is_set():
                thread = threading.Thread(target=self._run, name="doorward-reports", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no thread can be started: the next one tries again
                    return
                self._thread = thread

    def close(self) -> None:
        self._closed.set()
        thread = self._thread
        if thread is not None:
            thread.join(FAREWELL)

    def _keep(self, text: str) -> None:
        digest = jwt.b64url_encode(hashlib.sha256(text.encode()).digest())
        if len(self._waiting) < LIMIT or digest in self._waiting:
            self._waiting[digest] = {"token": text} if "." in text else {"token_sha256": digest}
        else:
            self.dropped += 1

    def _run(self) -> None:
        while batch := self._next():
            try:
                self._send(json.dumps({"reports": [*batch.values()]}).encode())
            except Unavailable as problem:
                log.warning("what arrived in the clear could not be reported: %s", problem.description)
                if self._closed.wait(PAUSE):
                    return
                continue
            with self._lock:
                for name in batch:
                    self._waiting.pop(name, None)

    def _next(self) -> dict[str, Report]:
        """As many as the server takes at once: what it finds too large it drops as a whole."""
        with self._lock:
            batch: dict[str, Report] = {}
            size = 0
            for name, report in itertools.islice(self._waiting.items(), BATCH):
                size += len(json.dumps(report)) + 2
                if batch and size > BATCH_SIZE:
                    break
                batch[name] = report
            if not batch:
                self._thread = None
            return batch
