"""Follows the journal: this worker's memory is true within 100 ms of any other's commit (decision 2)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy import Connection, Engine, text

from doorward.protocol.moment import Position
from doorward.store import journal
from doorward.store.memory import Memory
from doorward.store.writer import SetBack, not_set_back

SQLITE_INTERVAL = 0.04
POSTGRESQL_INTERVAL = 0.08
DATA_VERSION = text("PRAGMA data_version")

log = logging.getLogger("doorward.store")


class Follower:
    """A thread that polls; `is_fresh` says whether memory may be believed.

    `heard` is called in it, with the position that memory knows by then, before that counts as heard.
    """

    def __init__(
        self, engine: Engine, memory: Memory, heard: Callable[[Connection, Position], None] = lambda *_: None
    ) -> None:
        self._engine = engine
        self._memory = memory
        self._heard = heard
        self._sqlite = engine.dialect.name == "sqlite"
        self._stopping = threading.Event()
        self._heard_at = time.monotonic()
        self._data_version = -1
        self._alarmed = False
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def is_fresh(self) -> bool:
        """Promise: no worker answers from a memory that heard nothing for half a second."""
        return time.monotonic() - self._heard_at < 0.5

    def _run(self) -> None:
        interval = SQLITE_INTERVAL if self._sqlite else POSTGRESQL_INTERVAL
        while not self._stopping.is_set():
            try:
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    self._data_version = -1
                    while not self._stopping.wait(interval):
                        self.poll(connection)
            except SetBack as found:
                self._alarm(found)
                self._stopping.wait(interval)
            except Exception:
                # Whatever it was: memory is not believed until the journal is heard again.
                self._stopping.wait(interval)

    def _alarm(self, found: SetBack) -> None:
        if not self._alarmed:
            log.error("%s: this process answers nothing from it; restart it, and it says what to do", found)
        self._alarmed = True

    def poll(self, connection: Connection) -> None:
        asked_at = time.monotonic()
        if not self._sqlite or self._moved(connection):
            self._heard(connection, catch_up(connection, self._memory))
        self._heard_at = asked_at

    def _moved(self, connection: Connection) -> bool:
        version = connection.execute(DATA_VERSION).scalar_one()
        moved = version != self._data_version
        self._data_version = version
        return bool(moved)


def catch_up(connection: Connection, memory: Memory) -> Position:
    """Tells the memory what it has not heard yet, and returns the position that it then knows.

    Raises SetBack. The head comes first: changes read after it are at least up to it, and hearing more is harmless.
    """
    known = memory.position
    position = journal.read_head(connection).position
    not_set_back(position, known)
    if position != known:
        is_known = position.epoch == known.epoch
        changes = [ref for _, ref in journal.changed_since(connection, known.seq)] if is_known else []
        # Who slept for longer than the journal is kept begins anew. Asked last: rows go behind their checkpoint.
        is_known = is_known and known.seq >= journal.pruned_to(connection)
        for ref, heed in memory.heeded.items():
            if ref in changes or not is_known:
                heed(connection)
        memory.hear(changes, position, whole=is_known)
    return position
