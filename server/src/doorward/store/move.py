"""A database moves from SQLite to PostgreSQL while it is served, but for the last moment.

    look:  what lies there, and whether it may move
    copy   of one snapshot, while triggers write down what changes after it (`move_changes.py`)
    bring  what changed, again and again while it is much
    prove  that both sides are the same, row by row: of a snapshot once more, still served
    close: writers wait; the last changes are brought, everything is counted, then
           target "filled" -> source "moved", for good -> target open

Each arrow is one commit, and no two databases are open at any moment between them. Whoever dies before the second
leaves a target that nobody can serve and that the next move empties; after it, the next move opens the target.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from secrets import token_hex
from typing import NamedTuple, Protocol

import psycopg
from sqlalchemy import Connection, Engine, Table, delete, func, insert, inspect, select, text, update
from sqlalchemy.exc import OperationalError

from doorward.store import move_changes, move_rows, partitions, schema
from doorward.store.engine import failures, open_engine
from doorward.store.journal import read_head
from doorward.store.move_rows import TABLES, Differs, Entangled, digest
from doorward.store.retention import JOURNAL, TOKEN_RECORDS
from doorward.store.schema import Mark
from doorward.store.tables import deployment, metadata, nodes
from doorward.store.writer import Unavailable

ROUNDS = 20
FEW = 200
CLOSING_SECONDS = 30
ATTEMPTS_TO_CLOSE = 6
STATES = select(deployment.c.fingerprint, deployment.c.closed)


class Why(Enum):
    source_older = "the database is of an older version"
    source_newer = "the database is of a newer version"
    source_moved = "the database moved before"
    wrong_secrets = "the database has other secrets"
    target_in_use = "the target is a database of these secrets already"
    target_of_others = "the target belongs to other secrets"
    target_foreign = "the target holds something else"
    changed_meanwhile = "somebody changed the schema meanwhile"
    too_busy = "the database never stood still"
    differs = "what was written is not what was read"
    entangled = "unique values went round in a circle"
    unfit = "PostgreSQL cannot keep a value that SQLite keeps"
    may_not = "the target does not let us make tables"


class CannotMove(Exception):  # noqa: N818
    """Nothing changed but the target, which nobody can serve."""

    def __init__(self, why: Why, detail: str = "") -> None:
        super().__init__(why.value)
        self.why = why
        self.detail = detail


class Progress(Protocol):
    """Told how far each stage has come."""

    def stage(self, name: str, total: int) -> None: ...
    def advance(self, count: int) -> None: ...


class Ends(NamedTuple):
    source: Engine
    target: Engine


@contextmanager
def both_ends(source: str, target: str) -> Iterator[Ends]:
    """By their URLs; a database that fails is Unavailable, one that refuses is CannotMove."""
    ends = Ends(open_engine(source), open_engine(target))
    failed = failures(ends.source) + failures(ends.target)
    try:
        yield ends
    except failed as problem:
        cause = getattr(problem, "orig", problem)
        if isinstance(cause, psycopg.errors.InsufficientPrivilege):
            raise CannotMove(Why.may_not) from None
        if isinstance(cause, psycopg.DataError):
            raise CannotMove(Why.unfit) from None
        raise Unavailable(type(cause).__name__) from None
    finally:
        for engine in ends:
            engine.dispose()


@dataclass(frozen=True, slots=True)
class Plan:
    """`opens`: everything was moved before, and only the last step is missing. `starts_anew`: a killed move is."""

    rows: dict[str, int]
    opens: str | None = None
    starts_anew: bool = False

    @property
    def total(self) -> int:
        return sum(self.rows.values())


def look(ends: Ends, ours: Collection[str]) -> Plan:
    """Changes nothing; raises CannotMove."""
    with ends.source.connect() as connection:
        mark = _source_mark(connection, ours)
        rows = {} if mark else {name: _count(connection, table) for name, table in TABLES.items()}
    with ends.target.connect() as connection:
        left = _target_mark(connection, ours, moved_here=mark)
    return Plan(rows, mark.move if mark else None, left is not None)


def _source_mark(connection: Connection, ours: Collection[str]) -> Mark | None:
    found = schema.revision(connection)
    if found != schema.HEAD:
        raise CannotMove(Why.source_newer if found is not None and found > schema.HEAD else Why.source_older)
    claimed = connection.execute(STATES).first()
    if claimed is None or claimed.fingerprint not in ours:
        raise CannotMove(Why.wrong_secrets)
    return Mark.read(claimed.closed) if claimed.closed else None


def _target_mark(connection: Connection, ours: Collection[str], moved_here: Mark | None) -> Mark | None:
    """None of an empty target. Only what a killed move left there may be there, and what `moved_here` left must be."""
    names = set(inspect(connection).get_table_names()) - partitions.names(connection)
    if foreign := sorted(names - {*metadata.tables, schema.versions.name}):
        raise CannotMove(Why.target_foreign, foreign[0])
    claimed = connection.execute(STATES).first() if _has_marks(connection, names) else None
    mark = Mark.read(claimed.closed) if claimed and claimed.closed else None
    if moved_here is not None and mark != Mark("filled", moved_here.move):
        raise CannotMove(Why.source_moved, moved_here.where)
    if claimed is None and names - {schema.versions.name}:
        raise CannotMove(Why.target_foreign, min(names))
    if claimed is not None and claimed.fingerprint not in ours:
        raise CannotMove(Why.target_of_others)
    if claimed is not None and (mark is None or mark.state == "moved"):
        raise CannotMove(Why.target_in_use)
    return mark


def _has_marks(connection: Connection, names: Collection[str]) -> bool:
    columns = inspect(connection).get_columns(deployment.name) if deployment.name in names else []
    return deployment.c.closed.name in {column["name"] for column in columns}


def carry_out(plan: Plan, ends: Ends, where: str, progress: Progress) -> Moved:
    """`where` is the target's address as the source shall name it, without a password."""
    if plan.opens is not None:
        open_target(ends.target, plan.opens)
        return Moved(0, 0, 0.0)
    move = _Move(*ends, Mark("moved", token_hex(8), where), progress)
    try:
        return move.carry_out(plan)
    except Differs as problem:
        raise CannotMove(Why.differs, problem.table) from None
    except Entangled:
        raise CannotMove(Why.entangled) from None
    finally:
        with ends.source.execution_options(writing=True).begin() as connection:
            move_changes.forget(connection)


def open_target(target: Engine, move: str) -> None:
    """The last step: from here on it may be served."""
    filled = deployment.c.closed == str(Mark("filled", move))
    with _patient(target) as connection:
        connection.execute(update(deployment).where(filled).values(closed=None))


@dataclass(frozen=True, slots=True)
class Moved:
    """`still` is for how many seconds nothing could be written."""

    rows: int
    tables: int
    still: float


@dataclass(slots=True)
class _Move:
    source: Engine
    target: Engine
    mark: Mark
    progress: Progress
    heard: int = field(default=0, init=False)

    def carry_out(self, plan: Plan) -> Moved:
        self._begin()
        move_changes.watch(self.source)
        self._copy(plan)
        self._catch_up()
        self._prove(plan)
        self._catch_up()
        moved = self._close()
        open_target(self.target, self.mark.move)
        return moved

    def _begin(self) -> None:
        """An empty schema that nobody can serve, in one transaction; what a killed move left is dropped."""
        with self.source.connect() as connection:
            claimed, head = connection.execute(select(deployment)).one(), read_head(connection)
        with schema.alone(self.target) as connection:
            metadata.drop_all(connection)
            schema.versions.drop(connection, checkfirst=True)
            schema.upgrade(connection)
            for ledger in (JOURNAL, TOKEN_RECORDS):
                partitions.cover(ledger, head.seq, connection)
            for name in move_rows.LAST:
                connection.execute(delete(metadata.tables[name]))
            row = {**claimed._mapping, "closed": str(Mark("filling", self.mark.move))}
            connection.execute(insert(deployment), row)

    def _copy(self, plan: Plan) -> None:
        self.progress.stage("copying", plan.total)
        with self.source.connect() as snapshot:
            self.heard = move_changes.end(snapshot)
            for table in TABLES.values():
                for chunk in move_rows.chunks(snapshot, table):
                    with _patient(self.target) as connection:
                        move_rows.copy(connection, table, chunk)
                    self.progress.advance(len(chunk))

    def _catch_up(self) -> None:
        """Until few changes are left: each round is shorter than the one before, unless more is written than read."""
        for _ in range(ROUNDS):
            with self.source.connect() as snapshot:
                count = self._bring(snapshot)
            if count <= FEW:
                return

    def _bring(self, snapshot: Connection) -> int:
        with _patient(self.target) as connection:
            return self._bring_to(snapshot, connection)

    def _bring_to(self, snapshot: Connection, connection: Connection) -> int:
        until = move_changes.end(snapshot)
        changed = move_changes.since(snapshot, self.heard, until)
        move_rows.bring(snapshot, connection, changed)
        self.heard = until
        return sum(map(len, changed.values()))

    def _prove(self, plan: Plan) -> None:
        """Every row of both sides, as they are at one moment; what changes after it is compared when it is brought."""
        self.progress.stage("comparing", 2 * plan.total)
        with self.source.connect() as snapshot:
            self._bring(snapshot)
            with _patient(self.target) as connection:
                for table in TABLES.values():
                    here = digest(snapshot, table, self.progress.advance)
                    if here != digest(connection, table, self.progress.advance):
                        raise Differs(table.name)

    def _close(self) -> Moved:
        self.progress.stage("closing", 0)
        with _standing_still(self.source) as last:
            begun = time.monotonic()
            if not move_changes.is_watching(last) or schema.revision(last) != schema.HEAD:
                raise CannotMove(Why.changed_meanwhile)
            # Whoever served it serves it no more, and is nobody that a node of the target has to suit.
            last.execute(delete(nodes))
            with _patient(self.target, CLOSING_SECONDS) as connection:
                self._bring_to(last, connection)
                rows = _same_counts(last, connection)
                _finish(last, connection, self.mark)
            last.execute(delete(metadata.tables[move_rows.HEAD.name]))
            last.execute(update(deployment).values(closed=str(self.mark)))
        return Moved(rows, len(TABLES) + len(move_rows.LAST), time.monotonic() - begun)


def _finish(last: Connection, connection: Connection, mark: Mark) -> None:
    """What the rows of a table cannot tell: the journal's end, the secrets as they are now, and numbers to come."""
    head = last.execute(select(move_rows.HEAD)).one()
    connection.execute(insert(move_rows.HEAD), dict(head._mapping))
    fingerprint, _ = last.execute(STATES).one()
    filled = {"fingerprint": fingerprint, "closed": str(Mark("filled", mark.move))}
    connection.execute(update(deployment).values(filled))
    for table in metadata.sorted_tables:
        if table.autoincrement_column is not None:
            _go_on_counting(last, connection, table)


def _go_on_counting(last: Connection, connection: Connection, table: Table) -> None:
    query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
    if (seq := last.execute(query, {"name": table.name}).scalar()) is not None:
        assert table.autoincrement_column is not None
        names = {"table": table.name, "column": table.autoincrement_column.name, "seq": max(seq, 1)}
        connection.execute(text("SELECT setval(pg_get_serial_sequence(:table, :column), :seq)"), names)


def _same_counts(last: Connection, connection: Connection) -> int:
    rows = 0
    for table in TABLES.values():
        here = _count(last, table)
        if here != _count(connection, table):
            raise Differs(table.name)
        rows += here
    return rows + len(move_rows.LAST)


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


@contextmanager
def _patient(engine: Engine, seconds: int = 0) -> Iterator[Connection]:
    with engine.begin() as connection:
        schema.be_patient(connection, seconds)
        yield connection


@contextmanager
def _standing_still(source: Engine) -> Iterator[Connection]:
    """The write lock: from here on whoever wants to write waits, and soon hears 503."""
    connection = _locked(source)
    try:
        yield connection
        connection.commit()
    finally:
        connection.close()


def _locked(source: Engine) -> Connection:
    for _ in range(ATTEMPTS_TO_CLOSE):
        connection = source.execution_options(writing=True).connect()
        try:
            connection.begin()
            return connection
        except OperationalError:
            connection.close()
    raise CannotMove(Why.too_busy)
