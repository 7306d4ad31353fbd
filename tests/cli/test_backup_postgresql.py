"""A backup of PostgreSQL and back, over what is there: with parts that were made since, and from an older version."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import insert, text
from tests.cli.test_backup import rewritten

from doorward.backup_file import digest
from doorward.store import partitions, postgresql_tools, schema
from doorward.store.engine import open_engine
from doorward.store.retention import JOURNAL
from doorward.store.tables import deployment


@pytest.fixture
def url(postgresql_url, monkeypatch):
    """Of the database that every command here works on."""
    monkeypatch.setenv("DOORWARD__DATABASE", postgresql_url)
    return postgresql_url


@pytest.fixture
def backup(at, url, tmp_path) -> Path:
    """With one account in it; since then there is another one."""
    file = tmp_path / "night.backup"
    assert at("accounts", "create", "acme", "--name", "Acme").code == 0
    assert at("backup", str(file)).code == 0
    assert at("accounts", "create", "late", "--name", "Late").code == 0
    return file


def accounts(at) -> list[str]:
    return [one["id"] for one in at("accounts", "list", "--json").json["items"]]


def test_it_takes_the_place_of_a_database_with_more_parts(at, backup, url):
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE journal_head SET seq = 1500000, change_seq = 1500000"))
        assert partitions.make_ahead(JOURNAL, 1, connection, 1) == 1
    engine.dispose()
    assert at("restore", str(backup)).code == 1
    assert accounts(at) == ["acme", "late"]
    restored = at("restore", str(backup), "--force", "--json")
    assert restored.code == 0, restored.err
    assert accounts(at) == ["acme"]
    assert schema.looked(url, lambda connection: len(partitions.parts(connection, JOURNAL))) == 1


def test_a_script_that_ends_early_changes_nothing(at, backup, tmp_path, monkeypatch):
    program = tmp_path / "bin" / "pg_restore"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        "case $* in *--version*) echo 'pg_restore (PostgreSQL) 99.0'; exit;; esac\n"
        "echo 'CREATE TABLE public.accounts (id integer);'; echo 'unexpected end of file' >&2; exit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    restored = at("restore", str(backup), "--force")
    assert (restored.code, "pg_restore failed: unexpected end of file" in restored.err) == (1, True), restored.err
    assert accounts(at) == ["acme", "late"]


def test_a_backup_of_an_older_version_takes_the_place_of_a_newer_database(at, backup, url, postgresql, tmp_path):
    with tarfile.open(backup) as tar:
        manifest = json.loads(tar.extractfile("manifest.json").read())
    older = postgresql.create()
    engine = open_engine(older)
    with engine.begin() as connection:
        command.upgrade(schema._config(connection), "0016")
        row = {"id": 1, "fingerprint": manifest["fingerprint"], "created_at": manifest["made_at"]}
        connection.execute(insert(deployment), row)
    engine.dispose()
    dumped = tmp_path / "dumped"
    with postgresql_tools.connected(older) as connection:
        tool = postgresql_tools.found("pg_dump", older, postgresql_tools.server_version(connection))
        postgresql_tools.dump(tool, postgresql_tools.snapshot(connection), dumped, lambda done, total: None)
    changed = {"schema": "0016", "sha256": digest(dumped), "size": dumped.stat().st_size, "seq": 0}
    file = rewritten(backup, tmp_path / "older.backup", database=dumped.read_bytes(), **changed)
    restored = at("restore", str(file), "--force", "--json")
    assert restored.code == 0, restored.err
    assert schema.looked(url, schema.revision) == schema.HEAD
    assert accounts(at) == []
