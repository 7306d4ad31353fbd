"""Which nodes serve this database: a row that each worker writes anew every second, without an event (laws, 3b).

It decides nothing about a credential. Times are the database's, so that no node's clock makes another one lost.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, extract, func, select
from sqlalchemy.dialects import postgresql, sqlite

from doorward.protocol import node
from doorward.protocol.moment import Position
from doorward.protocol.node import Node, NodeFacts, Sign
from doorward.store import rows
from doorward.store.journal import read_head
from doorward.store.tables import journal, nodes

# Seconds until the next time. A file has no nodes elsewhere, and may be on a disk that would like to sleep.
PAUSES: Mapping[str, float] = {"postgresql": 1.0, "sqlite": 3.0}
# More are not counted.
LAG_LIMIT = 10_000
DATABASE_TIME = select(extract("epoch", func.clock_timestamp()))


@dataclass(frozen=True, slots=True)
class Seen:
    """What a worker sees when it shows itself: `others` are the workers of other nodes that are not lost."""

    mine: Node
    others: tuple[Node, ...]
    pause: float


def beat(
    connection: Connection, sign: Sign, state: str, position: Position, verifiers: int, *, anew: bool = False
) -> Seen | None:
    """Shows the worker to all, for the first time or again; None when another process goes by its name since then."""
    now, skew = _clock(connection)
    known = rows.find(connection, nodes, Node, sign.id)
    if not node.may_bear(sign, known, now, anew=anew):
        return None
    created_at = known.created_at if known is not None and known.instance == sign.instance else now
    lag_events, lag_seconds = _lag(connection, position, now)
    mine = Node(
        sign.id, sign.name, sign.worker, sign.instance, sign.version, sign.schema_revision, sign.authority, state,
        created_at, now, position.epoch, position.seq, lag_events, lag_seconds, verifiers, skew,
    )  # fmt: skip
    _put(connection, mine)
    connection.execute(delete(nodes).where(nodes.c.seen_at <= now - node.GONE_AFTER))
    return Seen(mine, _others(connection, sign, now), PAUSES[connection.dialect.name])


def join(connection: Connection, sign: Sign) -> tuple[str, ...]:
    """A node that is about to start; or the names of those that it cannot be beside."""
    now, _ = _clock(connection)
    found = node.strangers(sign, _others(connection, sign, now))
    if not found:
        beat(connection, sign, node.STARTING, read_head(connection).position, 0, anew=True)
    return found


def leave(connection: Connection, sign: Sign) -> None:
    connection.execute(delete(nodes).where(nodes.c.id == sign.id, nodes.c.instance == sign.instance))


def by_id(connection: Connection, id_: str) -> NodeFacts | None:
    found = rows.find(connection, nodes, Node, id_)
    return None if found is None else NodeFacts(found, _clock(connection)[0])


def _clock(connection: Connection) -> tuple[int, int]:
    """The database's time, and how many milliseconds ours is ahead of it at least: the answer took its time."""
    if connection.dialect.name == "sqlite":
        return int(time.time()), 0
    before = time.time()
    theirs = float(connection.execute(DATABASE_TIME).scalar_one())
    after = time.time()
    if before <= theirs <= after:
        return int(theirs), 0
    return int(theirs), round(1000 * (before - theirs if theirs < before else after - theirs))


def _lag(connection: Connection, position: Position, now: int) -> tuple[int, int]:
    """How many changes were committed behind `position`, and how long ago the first of them was."""
    head = read_head(connection).position
    if head == position:
        return 0, 0
    since = position.seq if position.epoch == head.epoch else 0
    behind = select(journal.c.at).where(journal.c.change, journal.c.seq > since).order_by(journal.c.seq)
    missed = behind.limit(LAG_LIMIT).subquery()
    count, first_at = connection.execute(select(func.count(), func.min(missed.c.at)).select_from(missed)).one()
    return count, max(0, now - first_at) if count else 0


def _put(connection: Connection, mine: Node) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(nodes).values(rows.row(mine))
    connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=dict(new.excluded)))


def _others(connection: Connection, sign: Sign, now: int) -> tuple[Node, ...]:
    seen = select(nodes).where(nodes.c.name != sign.name, nodes.c.seen_at >= now - node.LOST_AFTER)
    return tuple(Node(**found._mapping) for found in connection.execute(seen))
