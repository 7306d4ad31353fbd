"""Work that one of all workers does at a time: a row says until when it is somebody's, and when it is due again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, Update, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from doorward.store.tables import schedules

# So long a worker that died keeps the others from it.
HELD = 300
Read = Callable[[Callable[[Connection], Any]], Any]
Write = Callable[[Callable[[Connection], int]], int]


class Lease:
    """Guarded by the time that its holder wrote: who slept through it notices that it is another's."""

    def __init__(self, name: str, read: Read, write: Write) -> None:
        self._name, self._read, self._write = name, read, write
        self._until = 0

    def claim(self, now: int) -> bool:
        """Whether it is due, and this worker's from here on: of several one is first."""
        reached = self._read(lambda connection: connection.execute(self._known()).scalar())
        held = (reached is None or not now < reached <= now + HELD) and self._write(partial(self._claim, now)) == 1
        if held:
            self._until = now + HELD
        return held

    def renew(self, now: int) -> bool:
        """Whether it is still this worker's; asked often, it writes only when half of the time is over."""
        return now < self._until - HELD // 2 or self._move(now + HELD)

    def release(self, now: int, again: int) -> None:
        self._move(now + again)

    def _move(self, until: int) -> bool:
        mine = (schedules.c.name == self._name) & (schedules.c.reached == self._until)
        moved = self._write(lambda connection: _written(connection, update(schedules).where(mine), until)) == 1
        self._until = until if moved else 0
        return moved

    def _known(self) -> Select[tuple[int]]:
        return select(schedules.c.reached).where(schedules.c.name == self._name)

    def _claim(self, now: int, connection: Connection) -> int:
        first = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(schedules)
        connection.execute(first.on_conflict_do_nothing(), {"name": self._name, "reached": 0})
        # Nobody holds it for longer: whoever wrote that had a clock that was wrong.
        due = or_(schedules.c.reached <= now, schedules.c.reached > now + HELD)
        mine = update(schedules).where(schedules.c.name == self._name, due)
        return _written(connection, mine, now + HELD)


def _written(connection: Connection, moving: Update, until: int) -> int:
    return connection.execute(moving.values(reached=until)).rowcount
