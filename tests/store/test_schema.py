"""The schema: migrations make what `tables.py` says, once, by one node; foreign and newer databases are left alone."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, Table, insert, inspect, select, text, update
from tests.protocol.given import a_signing_key, an_account
from tests.store.committing import commit, settled
from tests.store.conftest import CREATED_AT, FINGERPRINT, Database

from doorward.protocol.events import AccountUpdated
from doorward.protocol.moment import Position
from doorward.store import audit, journal, notices, partitions, schema, signing_keys
from doorward.store.engine import open_engine
from doorward.store.retention import JOURNAL
from doorward.store.rows import row
from doorward.store.schema import SchemaTooNew, WrongSecrets
from doorward.store.tables import deployment, journal_head, metadata
from doorward.store.writer import Unavailable

# Columns of signing keys that the first version did not have.
LATER = {"purpose", "retired_at", "removed_at"}
# Of a ledger on PostgreSQL.
PART = re.compile(r"\b(journal|token_records)_(from_\d+|rest)\b")
CLAIM = select(deployment.c.id, deployment.c.fingerprint, deployment.c.created_at)
PREPARE = """
import sys
from doorward.store import schema
from doorward.store.engine import open_engine
schema.prepare(open_engine(sys.argv[1]), sys.argv[2], 1)
print("alembic" in sys.modules)
"""


def prepare_elsewhere(url: str, fingerprint: str = FINGERPRINT) -> subprocess.Popen[str]:
    """The same in a process of its own; it prints whether Alembic was imported."""
    command = [sys.executable, "-c", PREPARE, url, fingerprint]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def definitions(engine: Engine) -> set[Any]:
    """The schema as the database itself describes it."""
    if engine.dialect.name == "sqlite":
        query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
    else:
        query = (
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL"
            " SELECT concat_ws(' ', table_name, column_name, data_type, character_maximum_length, is_nullable,"
            " column_default) FROM information_schema.columns WHERE table_schema = 'public' UNION ALL"
            " SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace"
        )
    with engine.connect() as connection:
        found = {" ".join(row[0].split()) for row in connection.execute(text(query))}
    ours = (line for line in found if "alembic_version" not in line and not PART.search(line))
    return {part for line in ours for part in parts(line)}


def parts(line: str) -> list[str]:
    """A table's columns and constraints one by one: SQLite writes a column that was added behind the constraints."""
    if not line.startswith("CREATE TABLE"):
        return [line]
    # A table that was written anew has its name in quotes.
    name, _, body = line.replace('"', "").partition(" (")
    return [f"{name}: {part}" for part in re.split(r",(?![^(]*\)) ?", body.removesuffix(")").strip())]


def test_migrations_make_what_the_tables_say(engine: Engine) -> None:
    with engine.connect() as connection, warnings.catch_warnings():
        # SQLite's indexes on expressions cannot be read back; the next test compares their text.
        warnings.filterwarnings("ignore", message=".*expression-based index")
        # Defaults are compared by their text in the next test too: PostgreSQL cannot compare those of JSON.
        options = {"compare_type": True, "include_name": lambda name, *_: not PART.search(name or "")}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_migrations_make_the_same_definitions_as_the_tables(empty_database: Database) -> None:
    engine = empty_database.engine()
    metadata.create_all(engine)
    wanted = definitions(engine)
    metadata.drop_all(engine)
    schema.prepare(engine, FINGERPRINT, CREATED_AT)
    assert definitions(engine) == wanted
    assert len(wanted) > len(metadata.tables)


def test_the_constant_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", schema.MIGRATIONS)
    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


def test_a_first_start_makes_the_schema_and_claims_the_database(empty_database: Database) -> None:
    engine = empty_database.engine()
    schema.prepare(engine, "ours", 7)
    with engine.connect() as connection:
        assert schema.revision(connection) == schema.HEAD
        assert connection.execute(CLAIM).one() == (1, "ours", 7)
        assert journal.read_head(connection).position == Position(1, 0)


def test_an_empty_database_has_no_revision(empty_database: Database) -> None:
    with empty_database.engine().connect() as connection:
        assert schema.revision(connection) is None


def test_a_later_start_changes_nothing(engine: Engine) -> None:
    schema.prepare(engine, FINGERPRINT, CREATED_AT + 1)
    with engine.connect() as connection:
        assert connection.execute(CLAIM).one() == (1, FINGERPRINT, CREATED_AT)


def test_a_usual_start_does_without_alembic(database: Database) -> None:
    out, errors = prepare_elsewhere(database.url).communicate(timeout=60)
    assert (out, errors) == ("False\n", "")


def test_other_secrets_are_refused_and_nothing_is_changed(engine: Engine) -> None:
    with pytest.raises(WrongSecrets):
        schema.prepare(engine, "others", CREATED_AT + 1)
    with engine.connect() as connection:
        assert connection.execute(CLAIM).one() == (1, FINGERPRINT, CREATED_AT)


def test_other_secrets_are_refused_when_an_upgrade_is_due_too(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "HEAD", "the next one")
    with pytest.raises(WrongSecrets):
        schema.prepare(engine, "others", CREATED_AT)


def an_old_one(engine: Engine, at: str) -> None:
    """Claimed by an older version."""
    with engine.execution_options(writing=True).begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", schema.MIGRATIONS)
        command.upgrade(config, at)
        claim = {"id": 1, "fingerprint": FINGERPRINT, "created_at": CREATED_AT}
        connection.execute(insert(deployment), claim)


def test_an_upgrade_keeps_what_is_there(empty_database: Database) -> None:
    """Signing keys of the first version sign tokens."""
    engine = empty_database.engine()
    an_old_one(engine, "0001")
    with engine.execution_options(writing=True).begin() as connection:
        kept = {name: value for name, value in row(a_signing_key()).items() if name not in LATER}
        before = Table("signing_keys", MetaData(), autoload_with=connection)
        connection.execute(insert(before), kept)
    schema.prepare(engine, FINGERPRINT, CREATED_AT + 1)
    with engine.connect() as connection:
        assert schema.revision(connection) == schema.HEAD
        assert signing_keys.published(connection).keys == (a_signing_key(),)


def test_a_letter_that_waits_through_an_upgrade_is_still_to_be_sent(empty_database: Database) -> None:
    """And one that was sent is not sent again; webhooks hear of what comes after."""
    engine = empty_database.engine()
    an_old_one(engine, "0009")
    with engine.execution_options(writing=True).begin() as connection:
        before = Table("notices", MetaData(), autoload_with=connection)
        for id_, due_at in (("leak_1", CREATED_AT), ("leak_2", None)):
            kept = {"id": id_, "kind": "leak", "due_at": due_at, "tries": 1, "expires_at": CREATED_AT + 7 * 86_400}
            connection.execute(insert(before), kept)
    schema.prepare(engine, FINGERPRINT, CREATED_AT + 1)
    with engine.connect() as connection:
        waiting = notices.due(connection, CREATED_AT + 1)
    assert waiting == (notices.Notice("leak_1", notices.LETTER, "leak", CREATED_AT, 1),)


def test_records_of_tokens_leave_the_journal_and_all_numbers_stay(empty_database: Database) -> None:
    """On PostgreSQL what there was becomes the first part, as it is."""
    engine = empty_database.engine()
    kinds = ("AccountCreated", "AccessTokenIssued", "CredentialRefused", "RefreshTokenIssued")
    with engine.execution_options(writing=True).begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", schema.MIGRATIONS)
        command.upgrade(config, "0015")
        connection.execute(insert(deployment), {"id": 1, "fingerprint": FINGERPRINT, "created_at": CREATED_AT})
        told = {"at": 1, "entity": "any", "entity_id": "1", "actor": "server", "request_id": "", "data": "{}"}
        for seq, kind in enumerate(kinds, 1_999_999):
            change = kind == "AccountCreated"
            connection.execute(insert(journal.journal), {**told, "seq": seq, "type": kind, "change": change})
        connection.execute(update(journal_head).values(seq=2_000_002, change_seq=1_999_999))
    schema.prepare(engine, FINGERPRINT, CREATED_AT + 1)
    with engine.connect() as connection:
        shown = audit.page(connection, audit.Query(None, 10))
        lasting = connection.execute(select(journal.journal.c.type)).scalars().all()
        parts = partitions.parts(connection, JOURNAL)
    assert [(found["seq"], found["type"]) for found in shown] == [*enumerate(kinds, 1_999_999)]
    assert sorted(lasting) == ["AccountCreated", "CredentialRefused"]
    assert [(part.begin, part.end) for part in parts] == ([] if empty_database.is_sqlite else [(0, 4_000_000)])


def of_a_newer_version(engine: Engine, compatible_from: str | None) -> None:
    """As the next release would leave it: it only added, a table and a column that may be empty."""
    schema.prepare(engine, FINGERPRINT, CREATED_AT)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE trophies (id VARCHAR(200) PRIMARY KEY)"))
        connection.execute(text("ALTER TABLE accounts ADD COLUMN motto TEXT"))
        connection.execute(update(schema.versions).values(version_num="9999"))
        connection.execute(update(deployment).values(compatible_from=compatible_from))


@pytest.mark.parametrize("compatible_from", ["9999", None])
def test_a_newer_schema_that_takes_something_away_is_refused(
    empty_database: Database, compatible_from: str | None
) -> None:
    engine = empty_database.engine()
    of_a_newer_version(engine, compatible_from)
    with pytest.raises(SchemaTooNew):
        schema.prepare(engine, FINGERPRINT, CREATED_AT)
    with engine.connect() as connection:
        assert schema.revision(connection) == "9999"


def test_a_newer_schema_that_only_added_is_worked_on_and_left_as_it_is(empty_database: Database) -> None:
    engine = empty_database.engine()
    of_a_newer_version(engine, schema.HEAD)
    schema.prepare(engine, FINGERPRINT, CREATED_AT)
    settled(engine)
    assert commit(engine, AccountUpdated(an_account(state="suspended", version=2))) == ""
    with engine.connect() as connection:
        assert schema.pending(connection) == ()
        assert schema.revision(connection) == "9999"
        assert connection.execute(select(deployment.c.compatible_from)).scalar() == schema.HEAD


def test_a_database_that_was_closed_is_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(update(deployment).values(closed="moved 17 postgresql://db/doorward"))
    with pytest.raises(schema.Closed) as refused:
        schema.prepare(engine, FINGERPRINT, CREATED_AT)
    assert refused.value.mark == schema.Mark("moved", "17", "postgresql://db/doorward")
    with engine.begin() as connection:
        connection.execute(update(deployment).values(closed=None))


def test_what_an_upgrade_would_do_is_told_and_not_done(empty_database: Database) -> None:
    engine = empty_database.engine()
    an_old_one(engine, "0014")
    with engine.connect() as connection:
        names = [name for name, _ in schema.pending(connection)]
        assert (names[0], names[-1]) == ("0015", schema.HEAD)
        assert all(what for _, what in schema.pending(connection))
        assert schema.revision(connection) == "0014"
        assert len(schema.pending(None)) > len(names)


def test_a_schema_that_nobody_claimed_is_claimed(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(deployment.delete())
    schema.prepare(engine, "ours", 7)
    with engine.connect() as connection:
        assert connection.execute(select(deployment.c.fingerprint)).scalar() == "ours"


def test_an_upgrade_that_fails_leaves_nothing_behind(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("killed")

    monkeypatch.setattr(schema, "_claim", fail)
    engine = empty_database.engine()
    with pytest.raises(OSError, match="killed"):
        schema.prepare(engine, FINGERPRINT, CREATED_AT)
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    monkeypatch.undo()
    schema.prepare(engine, FINGERPRINT, CREATED_AT)


def test_first_starts_at_once_make_one_schema_with_one_owner(empty_database: Database) -> None:
    names = ["one", "one", "another"]
    starts = [prepare_elsewhere(empty_database.url, name) for name in names]
    errors = [start.communicate(timeout=60)[1].strip().rpartition("\n")[2] for start in starts]
    with empty_database.engine().connect() as connection:
        (owner,) = connection.execute(select(deployment.c.fingerprint)).scalars()
    refused = "doorward.store.schema.WrongSecrets"
    assert errors == ["" if name == owner else refused for name in names]


def test_nodes_that_start_at_once_upgrade_an_old_database_once(empty_database: Database) -> None:
    an_old_one(empty_database.engine(), "0014")
    starts = [prepare_elsewhere(empty_database.url) for _ in range(3)]
    assert [start.communicate(timeout=60)[1] for start in starts] == ["", "", ""]
    engine = empty_database.engine()
    with engine.connect() as connection:
        assert connection.execute(select(schema.versions)).scalars().all() == [schema.HEAD]
        assert connection.execute(CLAIM).all() == [(1, FINGERPRINT, CREATED_AT)]


def test_a_database_that_cannot_be_reached_is_unavailable() -> None:
    for url in ("postgresql://doorward@/test?host=/nonexistent", "sqlite:////nonexistent/doorward.db"):
        with pytest.raises(Unavailable):
            schema.prepare(open_engine(url), FINGERPRINT, CREATED_AT)
