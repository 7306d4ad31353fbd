"""`doorward migrate`: the schema of this version, whatever was there."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from tests.cli.test_backup import is_watched, watched

from doorward.data_directory import DataDirectory
from doorward.settings import load
from doorward.store import schema
from doorward.store.engine import open_engine
from doorward.web import application


def test_an_empty_place_gets_the_schema_and_a_current_one_is_left(at):
    ran = at("migrate", "--json")
    assert (ran.code, ran.json["before"]) == (0, None)
    again = at("migrate", "--json").json
    assert again["before"] == again["now"] == ran.json["now"]
    assert at("migrate").out == f"The database is at {again['now']} already.\n"


def a_start(at, data):
    settings = load({"data_dir": data})
    application.prepare(settings, DataDirectory.open(settings))


@pytest.mark.parametrize("tidying", [lambda at, data: at("migrate"), a_start], ids=["migrate", "start"])
def test_what_a_killed_move_left_is_taken_away(acme, tmp_path, tidying):
    data = tmp_path / "data"
    watched(data)
    with DataDirectory(data, None, False).moving():
        tidying(acme, data)
        assert is_watched(data), "it is under way"
    tidying(acme, data)
    assert not is_watched(data)


def test_a_server_elsewhere_is_not_migrated_from_here(run, monkeypatch):
    monkeypatch.setenv("DOORWARD_URL", "https://auth.example.com")
    monkeypatch.setenv("DOORWARD_ADMIN_KEY", "dwa_live_x")
    assert run("migrate").code == 2


def test_what_would_run_is_told_and_not_done(at):
    pending = at("migrate", "--dry-run", "--json").json["pending"]
    assert [one["revision"] for one in pending] == sorted(one["revision"] for one in pending)
    told = at("migrate", "--dry-run")
    assert told.out.endswith("These would run, in one transaction. Nothing was changed.\n")
    assert all(one["what"] in told.out for one in pending)
    made = at("migrate", "--json").json
    assert (made["before"], made["now"]) == (None, pending[-1]["revision"])
    assert at("migrate", "--dry-run").out == "Nothing would be done: the database suits this version.\n"
    assert at("migrate", "--dry-run", "--json").json == {"pending": []}


def test_a_database_of_a_newer_version_is_left_to_it(at, tmp_path):
    assert at("migrate").code == 0
    for compatible_from, code in ((schema.HEAD, 0), ("9999", 2)):
        as_of_a_newer_version(tmp_path / "data" / "doorward.db", compatible_from)
        assert (at("migrate", "--dry-run").code, at("migrate").code, at("accounts", "list").code) == (code, code, code)
    assert "a newer version of Doorward" in at("migrate", "--dry-run").err


def as_of_a_newer_version(file, compatible_from):
    engine = open_engine(f"sqlite:///{file}")
    with engine.execution_options(writing=True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("UPDATE deployment SET compatible_from = :it"), {"it": compatible_from})
    engine.dispose()
