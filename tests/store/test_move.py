"""A database moves from SQLite to PostgreSQL: row by row, while others write, and killed wherever it may be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import Boolean, Engine, Integer, LargeBinary, MetaData, Table, delete, inspect, select, text, update
from tests.postgresql import PostgreSQL
from tests.protocol.given import an_account, an_api
from tests.store.committing import a_writer, an_append, commit, head, settled, until
from tests.store.conftest import CREATED_AT, FINGERPRINT, Database

from doorward.protocol import events as e
from doorward.store import move, move_changes, move_rows, partitions, schema, tables
from doorward.store.follower import Follower
from doorward.store.memory import Memory
from doorward.store.move import CannotMove, Ends, Mark, Moved, Why, both_ends, carry_out, look
from doorward.store.move_rows import TABLES, Digest, digest
from doorward.store.retention import JOURNAL, TOKEN_RECORDS
from doorward.store.tables import deployment, metadata
from doorward.store.writer import Unavailable

WHERE = "postgresql://db.example.com/doorward"
OURS = [FINGERPRINT]


@pytest.fixture
def ends(sqlite: Database, postgresql_url: str) -> Iterator[Ends]:
    with both_ends(sqlite.url, postgresql_url) as ends:
        yield ends


@dataclass
class Meanwhile:
    """What happens when a stage begins."""

    happens: dict[str, Callable[[], object]] = field(default_factory=dict)

    def stage(self, name: str, total: int) -> None:
        self.happens.get(name, lambda: None)()

    def advance(self, count: int) -> None: ...


def moved(ends: Ends, **happens: Callable[[], object]) -> Moved:
    return carry_out(look(ends, OURS), ends, WHERE, Meanwhile(happens))


def refusal(ends: Ends, **happens: Callable[[], object]) -> tuple[Why, str]:
    with pytest.raises(CannotMove) as refused:
        moved(ends, **happens)
    return refused.value.why, refused.value.detail


def digests(engine: Engine) -> dict[str, Any]:
    with engine.connect() as connection:
        return {name: digest(connection, table, lambda _: None) for name, table in TABLES.items()}


def mark(engine: Engine) -> Mark | None:
    with engine.connect() as connection:
        closed = connection.execute(select(deployment.c.closed)).scalar()
    return Mark.read(closed) if closed else None


def is_as_before(source: Engine) -> bool:
    """Nothing of the move is left in it, and it is served."""
    schema.prepare(source, FINGERPRINT, CREATED_AT)
    names = inspect(source).get_table_names()
    with source.connect() as connection:
        return move_changes.LOG not in names and not move_changes.is_watching(connection)


def filled_with_odd_rows(engine: Engine) -> None:
    """One row of every table, with what is easily damaged on the way."""
    with engine.execution_options(writing=True).begin() as connection:
        for table in TABLES.values():
            row = {column.name: _odd(column.type, column.name) for column in table.columns}
            columns = ", ".join(f'"{name}"' for name in row)
            places = ", ".join(f":{name}" for name in row)
            connection.execute(text(f'INSERT INTO "{table.name}" ({columns}) VALUES ({places})'), row)


def _odd(kind: Any, name: str) -> Any:
    if isinstance(kind, move_rows._KeptText):
        return '{"b":  1.50,"a" : ["\\u00e9", "é\\n\\t\\\\", null]}'
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, LargeBinary):
        return b"\x00\xff\\x\n\t"
    if isinstance(kind, Integer):
        return 7
    # Foreign keys find their parents by the same text.
    return "x" if name == "id" or name.endswith("_id") else "\\N é 🗝'\"\t\r\n\\. %s"


def test_every_column_of_every_table_arrives_as_it_was(ends: Ends) -> None:
    filled_with_odd_rows(ends.source)
    before = digests(ends.source)
    assert all(found.count == 1 for found in before.values())
    told = moved(ends)
    assert digests(ends.target) == {**before, "nodes": Digest()}
    assert (told.rows, told.tables) == (len(metadata.tables) - 1, len(metadata.tables))
    assert mark(ends.target) is None


def test_the_target_is_what_a_fresh_start_makes_with_rows_in_it(ends: Ends, prepared_on_postgresql: str) -> None:
    from tests.store.test_schema import definitions

    with both_ends("sqlite://", prepared_on_postgresql) as fresh:
        wanted = definitions(fresh.target)
    moved(ends)
    assert definitions(ends.target) == wanted


def test_the_parts_of_the_target_are_for_all_that_is_copied_and_more(ends: Ends) -> None:
    with ends.source.execution_options(writing=True).begin() as connection:
        connection.execute(tables.journal_head.update().values(seq=7_500_000, change_seq=7_500_000))
    settled(ends.source)
    moved(ends)
    with ends.target.connect() as connection:
        for ledger in (JOURNAL, TOKEN_RECORDS):
            (part,) = partitions.parts(connection, ledger)
            assert (part.begin, part.end) == (0, 9_000_000)
        assert connection.execute(text("SELECT count(*) FROM journal_rest")).scalar() == 0
        assert connection.execute(text("SELECT count(*) FROM journal_from_0")).scalar() > 0


def test_who_served_the_old_database_is_no_node_of_the_new_one(ends: Ends) -> None:
    """Whatever its certificate was, and whatever the clock of the target says of when it was seen."""
    filled_with_odd_rows(ends.source)
    moved(ends)
    with ends.target.connect() as connection:
        assert connection.execute(select(tables.nodes)).all() == []


def test_a_moved_database_goes_on_where_it_was(ends: Ends) -> None:
    settled(ends.source)
    where = head(ends.source)
    moved(ends)
    assert head(ends.target) == where
    schema.prepare(ends.target, FINGERPRINT, CREATED_AT)
    changed = e.AccountUpdated(an_account(state="suspended", version=2))
    assert commit(ends.target, changed, at=where.position) == ""
    assert head(ends.target).seq == where.seq + 1


def test_numbers_that_the_database_gives_are_not_given_twice(ends: Ends) -> None:
    """Of a table whose last row is gone, too."""
    table = tables.status_lists
    row = {"expires_at": 1, "epoch": 1, "key": b"k", "leased": 0, "created_at": 1}
    with ends.source.execution_options(writing=True).begin() as connection:
        for _ in range(3):
            connection.execute(table.insert(), row)
        connection.execute(table.delete().where(table.c.id == 3))
    moved(ends)
    with ends.target.begin() as connection:
        assert connection.execute(table.insert(), row).inserted_primary_key == (4,)


def test_what_is_written_meanwhile_is_moved_too(ends: Ends) -> None:
    """New, changed and removed rows, of parents and of children, at every stage."""
    settled(ends.source)
    account, api = an_account(id="late", name="Late"), an_api(id="api_late", identifier="https://late", name="Late")

    def while_comparing() -> None:
        assert commit(ends.source, e.AccountCreated(account), e.ApiCreated(api)) == ""
        with ends.source.execution_options(writing=True).begin() as connection:
            connection.execute(delete(tables.session_uses))
            connection.execute(delete(tables.api_keys))

    def while_closing() -> None:
        changed = replace(account, name="Later", version=2)
        assert commit(ends.source, e.AccountUpdated(changed), at=head(ends.source).position) == ""

    moved(ends, comparing=while_comparing, closing=while_closing)
    with ends.target.connect() as connection:
        names = dict(connection.execute(select(tables.accounts.c.id, tables.accounts.c.name)).all())
        assert names["late"] == "Later"
        assert connection.execute(select(tables.api_keys)).all() == []
    assert digests(ends.target) == digests(ends.source)


def test_names_that_pass_from_one_to_the_other_meanwhile_arrive(ends: Ends) -> None:
    first, second = an_api(id="a", identifier="https://a", name="A"), an_api(id="b", identifier="https://b", name="B")
    assert commit(ends.source, e.ApiCreated(first), e.ApiCreated(second)) == ""

    def pass_on() -> None:
        with ends.source.execution_options(writing=True).begin() as connection:
            for id_, name in (("a", "C"), ("b", "A")):
                connection.execute(update(tables.apis).where(tables.apis.c.id == id_).values(name=name))

    moved(ends, comparing=pass_on)
    assert digests(ends.target) == digests(ends.source)


def test_names_that_are_exchanged_meanwhile_are_refused_and_moved_by_the_next(ends: Ends) -> None:
    first, second = an_api(id="a", identifier="https://a", name="A"), an_api(id="b", identifier="https://b", name="B")
    assert commit(ends.source, e.ApiCreated(first), e.ApiCreated(second)) == ""

    def exchange() -> None:
        with ends.source.execution_options(writing=True).begin() as connection:
            for id_, name in (("a", "C"), ("b", "A"), ("a", "B")):
                connection.execute(update(tables.apis).where(tables.apis.c.id == id_).values(name=name))

    assert refusal(ends, comparing=exchange) == (Why.entangled, "")
    assert is_as_before(ends.source)
    moved(ends)
    assert digests(ends.target) == digests(ends.source)


def test_who_served_the_old_database_neither_reads_nor_writes_it_any_more(ends: Ends) -> None:
    settled(ends.source)
    memory = Memory(head(ends.source).position)
    writer, follower = a_writer(ends.source, memory), Follower(ends.source, memory)
    follower.start()
    until(lambda: follower.is_fresh)
    before = digests(ends.source)
    moved(ends)
    appends = [an_append(e.AccountCreated(an_account(id=id_)), at=memory.position) for id_ in ("one", "two")]
    problems = [problem for _, problem in writer.commit(appends)]
    until(lambda: not follower.is_fresh)
    follower.stop()
    assert [str(problem) for problem in problems] == ["Headless", "Headless"]
    assert all(isinstance(problem, Unavailable) for problem in problems)
    assert digests(ends.source) == before
    with pytest.raises(schema.Closed) as refused:
        schema.prepare(ends.source, FINGERPRINT, CREATED_AT)
    assert (refused.value.mark.state, refused.value.mark.where) == ("moved", WHERE)


def test_a_writer_that_waits_for_the_end_of_the_move_writes_nowhere(ends: Ends, monkeypatch: Any) -> None:
    settled(ends.source)
    position, outcome = head(ends.source).position, []
    writer = a_writer(ends.source)
    finish = move._finish

    def write() -> None:
        outcome.extend(writer.commit([an_append(e.AccountCreated(an_account(id="late")), at=position)]))

    waiting = threading.Thread(target=write)

    def while_standing_still(*given: Any) -> None:
        waiting.start()
        finish(*given)

    monkeypatch.setattr(move, "_finish", while_standing_still)
    moved(ends)
    waiting.join()
    assert [type(problem) for _, problem in outcome] == [Unavailable]
    for engine in ends:
        with engine.connect() as connection:
            assert "late" not in connection.execute(select(tables.accounts.c.id)).scalars().all()


class Killed(BaseException):
    """As if the process were no more; what `finally` does is undone where it matters."""


def killed(*_: object) -> None:
    raise Killed


@pytest.mark.parametrize("stage", ["copying", "comparing", "closing"])
def test_a_move_that_is_killed_harms_nobody_and_can_be_begun_again(ends: Ends, monkeypatch: Any, stage: str) -> None:
    settled(ends.source)
    # A process that is no more takes nothing back: its triggers stay.
    monkeypatch.setattr(move_changes, "forget", lambda connection: None)
    with pytest.raises(Killed):
        moved(ends, **{stage: killed})
    monkeypatch.undo()
    schema.prepare(ends.source, FINGERPRINT, CREATED_AT)
    found = head(ends.source).position
    assert commit(ends.source, e.AccountCreated(an_account(id="after")), at=found) == ""
    with pytest.raises(schema.Closed):
        schema.prepare(ends.target, FINGERPRINT, CREATED_AT)
    assert look(ends, OURS).starts_anew
    moved(ends)
    assert digests(ends.target) == digests(ends.source)


def test_between_the_two_ends_nobody_serves_either_and_the_next_move_opens_the_target(
    ends: Ends, monkeypatch: Any
) -> None:
    settled(ends.source)
    monkeypatch.setattr(move, "open_target", killed)
    with pytest.raises(Killed):
        moved(ends)
    monkeypatch.undo()
    for engine in ends:
        with pytest.raises(schema.Closed):
            schema.prepare(engine, FINGERPRINT, CREATED_AT)
    assert look(ends, OURS).opens
    moved(ends)
    schema.prepare(ends.target, FINGERPRINT, CREATED_AT)
    assert digests(ends.target) == digests(ends.source)


def test_a_target_that_fails_at_the_end_leaves_the_source_open(ends: Ends, monkeypatch: Any) -> None:
    settled(ends.source)
    monkeypatch.setattr(move, "_same_counts", killed)
    with pytest.raises(Killed):
        moved(ends)
    assert is_as_before(ends.source)
    found = mark(ends.target)
    assert found is not None
    assert found.state == "filling"


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE accounts SET name = 'Akme'",
        "UPDATE apis SET scopes = '{}'",
        "DELETE FROM journal WHERE seq = 1",
        "INSERT INTO schedules VALUES ('x', 1)",
    ],
)
def test_a_row_that_differs_is_found_before_anything_is_closed(ends: Ends, damage: str) -> None:
    settled(ends.source)

    def do_damage() -> None:
        with ends.target.begin() as connection:
            connection.execute(text(damage))

    assert refusal(ends, comparing=do_damage)[0] is Why.differs
    assert is_as_before(ends.source)


def test_rows_that_appear_after_the_comparison_are_found_by_counting(ends: Ends) -> None:
    def add() -> None:
        with ends.target.begin() as connection:
            connection.execute(text("INSERT INTO schedules VALUES ('x', 1)"))

    assert refusal(ends, closing=add) == (Why.differs, "schedules")
    assert is_as_before(ends.source)


def test_a_trigger_that_was_taken_away_is_noticed(ends: Ends) -> None:
    def take_away() -> None:
        with ends.source.execution_options(writing=True).begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER moving_accounts_update")

    assert refusal(ends, closing=take_away) == (Why.changed_meanwhile, "")
    assert is_as_before(ends.source)


def test_a_value_that_postgresql_cannot_keep_is_told(sqlite: Database, postgresql_url: str) -> None:
    assert commit(sqlite.engine(), e.AccountCreated(an_account(name="a\x00b"))) == ""
    with pytest.raises(CannotMove) as refused, both_ends(sqlite.url, postgresql_url) as ends:
        moved(ends)
    assert refused.value.why is Why.unfit


def other_revision(engine: Engine, to: str) -> None:
    with engine.execution_options(writing=True).begin() as connection:
        connection.execute(update(schema.versions).values(version_num=to))


def test_a_source_of_another_version_is_refused(ends: Ends) -> None:
    for revision, why in (("0001", Why.source_older), ("9999", Why.source_newer)):
        other_revision(ends.source, revision)
        assert refusal(ends) == (why, "")


def test_a_source_of_other_secrets_is_refused(ends: Ends) -> None:
    with pytest.raises(CannotMove) as refused:
        look(ends, ["others"])
    assert refused.value.why is Why.wrong_secrets


def test_a_target_that_holds_something_else_is_refused(ends: Ends) -> None:
    with ends.target.begin() as connection:
        Table("accounts_of_ours", MetaData()).create(connection)
    assert refusal(ends) == (Why.target_foreign, "accounts_of_ours")
    with ends.target.begin() as connection:
        connection.execute(text("ALTER TABLE accounts_of_ours RENAME TO accounts"))
    assert refusal(ends) == (Why.target_foreign, "accounts")


@pytest.mark.parametrize(("fingerprint", "why"), [(FINGERPRINT, Why.target_in_use), ("x", Why.target_of_others)])
def test_a_target_that_is_a_deployment_is_refused(ends: Ends, fingerprint: str, why: Why) -> None:
    schema.prepare(ends.target, fingerprint, CREATED_AT)
    assert refusal(ends) == (why, "")
    schema.prepare(ends.source, FINGERPRINT, CREATED_AT)


def test_what_anothers_move_left_is_not_removed(ends: Ends) -> None:
    schema.prepare(ends.target, "x", CREATED_AT)
    with ends.target.begin() as connection:
        connection.execute(update(deployment).values(closed="filling 17"))
    assert refusal(ends) == (Why.target_of_others, "")


def test_a_database_moves_once(ends: Ends, postgresql: PostgreSQL) -> None:
    moved(ends)
    assert refusal(ends) == (Why.source_moved, WHERE)
    elsewhere = postgresql.create()
    with both_ends(str(ends.source.url), elsewhere) as others:
        assert refusal(others) == (Why.source_moved, WHERE)
    postgresql.drop(elsewhere)


def test_a_look_changes_nothing(ends: Ends) -> None:
    settled(ends.source)
    plan = look(ends, OURS)
    assert plan.rows["accounts"] == 1
    assert plan.total == sum(found.count for found in digests(ends.source).values())
    assert (plan.opens, plan.starts_anew) == (None, False)
    assert inspect(ends.target).get_table_names() == []
    assert is_as_before(ends.source)


def test_ends_that_cannot_be_reached_are_unavailable(sqlite: Database) -> None:
    with pytest.raises(Unavailable), both_ends(sqlite.url, "postgresql://doorward@/x?host=/nonexistent") as ends:
        look(ends, OURS)
