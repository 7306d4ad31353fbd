"""`doorward backup`, `restore` and `config export-secrets`: what they say, what they refuse, and that a refusal changes
nothing."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import stat
import sys
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from doorward.data_directory import DataDirectory
from doorward.store import copies, move_changes, schema
from doorward.store.engine import open_engine

PASSPHRASE = "five words make a good one"
SECRETS = ("master.key", "pepper")


def good(acme, text):
    return acme("keys", "verify", "-", "--cost", "1", stdin=text).code == 0


@pytest.fixture
def data(tmp_path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def backup(acme, key, tmp_path) -> Path:
    """With one key in it."""
    file = tmp_path / "night.backup"
    assert acme("backup", str(file)).code == 0
    return file


@pytest.fixture
def export(acme, tmp_path) -> Path:
    file = tmp_path / "secrets.json"
    assert acme("config", "export-secrets", str(file), "--passphrase", "-", stdin=PASSPHRASE).code == 0
    return file


def watched(data: Path) -> None:
    """As a move leaves it that was killed."""
    engine = open_engine(f"sqlite:///{data / 'doorward.db'}")
    move_changes.watch(engine)
    engine.dispose()


def is_watched(data: Path) -> bool:
    return bool(schema.looked(f"sqlite:///{data / 'doorward.db'}", move_changes.is_watching))


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir() if file.is_file() and "lock" not in file.name}


def rewritten(backup: Path, to: Path, **changed: Any) -> Path:
    """The same backup with another manifest, or another database."""
    with tarfile.open(backup) as tar:
        manifest = json.loads(tar.extractfile("manifest.json").read())
        database = changed.pop("database", tar.extractfile("database").read())
    text = json.dumps({**manifest, **changed}).encode()
    with tarfile.open(to, "w") as tar:
        for name, content in (("manifest.json", text), ("database", database)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return to


class TestBackup:
    def test_a_backup_is_one_private_file_that_is_never_overwritten_unasked(self, acme, backup):
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600
        before = backup.read_bytes()
        ran = acme("backup", str(backup))
        assert (ran.code, "is there already" in ran.err) == (1, True)
        assert backup.read_bytes() == before
        assert acme("backup", str(backup), "--force").code == 0
        assert [file.name for file in backup.parent.iterdir() if file.name.startswith(".")] == []

    def test_it_says_what_it_is_and_holds_a_whole_database(self, acme, backup, tmp_path):
        manifest = acme("backup", str(tmp_path / "another"), "--json").json
        assert (manifest["engine"], manifest["issuer"]) == ("sqlite", "https://localhost:8443")
        with tarfile.open(tmp_path / "another") as tar:
            assert tar.getnames() == ["manifest.json", "database"]
            tar.extract("database", tmp_path, filter="data")
        with closing(sqlite3.connect(tmp_path / "database")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            head = connection.execute("SELECT epoch, change_seq FROM journal_head").fetchone()
        assert head == (manifest["epoch"], manifest["seq"])

    def test_no_secret_is_in_it(self, acme, backup, data, key):
        content = backup.read_bytes()
        for name in SECRETS:
            for value in json.loads((data / name).read_text()).values() if name == "pepper" else ():
                assert value.encode() not in content
        assert (data / "master.key").read_text().strip().encode() not in content
        assert key["key"].encode() not in content

    def test_it_reminds_of_the_secrets_until_they_were_exported(self, acme, backup, export, tmp_path):
        (tmp_path / "data" / "exported.json").unlink()
        assert "config export-secrets" in acme("backup", str(tmp_path / "b")).err
        acme("config", "export-secrets", str(export), "--force", "--passphrase", "-", stdin=PASSPHRASE)
        assert "export-secrets" not in acme("backup", str(tmp_path / "c")).err
        assert acme("config", "rotate-master-key").code == 0
        assert "config export-secrets" in acme("backup", str(tmp_path / "d")).err

    def test_standard_output_gets_nothing_but_the_backup(self, acme, backup, tmp_path, monkeypatch):
        piped = io.TextIOWrapper(io.BytesIO())
        monkeypatch.setattr(sys, "stdout", piped)
        code = acme("backup", "-").code
        written = piped.buffer.getvalue()
        monkeypatch.undo()
        assert code == 0
        with tarfile.open(fileobj=io.BytesIO(written)) as tar:
            assert tar.getnames() == ["manifest.json", "database"]
        assert not (tmp_path / "data" / ".backup").exists()

    @pytest.mark.parametrize("change", ["DELETE FROM journal_head", "DROP TABLE journal_head"])
    def test_a_database_that_moves_away_meanwhile_is_no_backup(self, acme, tmp_path, monkeypatch, change):
        def copy(database: Path, to: Path, progress: Any) -> None:
            copied(database, to, progress)
            with closing(sqlite3.connect(to, isolation_level=None)) as connection:
                connection.execute(change)

        copied = copies.copy
        monkeypatch.setattr(copies, "copy", copy)
        ran = acme("backup", str(tmp_path / "b"))
        assert (ran.code, "the database cannot be used" in ran.err) == (1, True), ran.err
        assert not (tmp_path / "b").exists()

    def test_a_server_elsewhere_is_not_backed_up_from_here(self, run, monkeypatch):
        monkeypatch.setenv("DOORWARD_URL", "https://auth.example.com")
        monkeypatch.setenv("DOORWARD_ADMIN_KEY", "dwa_live_x")
        assert run("backup", "b").code == 2
        assert run("restore", "b").code == 2


class TestRestore:
    def test_a_lost_machine_comes_back_from_backup_and_export_and_everything_waits(
        self, run, backup, export, key, tmp_path
    ):
        new = ("--data-dir", str(tmp_path / "new"))
        ran = run(*new, "restore", str(backup))
        assert (ran.code, "--keys FILE" in ran.err) == (1, True)
        assert not (tmp_path / "new").exists()
        ran = run(*new, "restore", str(backup), "--keys", str(export), "--passphrase", "-", stdin=PASSPHRASE)
        assert ran.code == 0, ran.err
        assert "Held until you resume them: 1 api keys" in ran.out
        at = lambda *words, **more: run(*new, *words, **more)  # noqa: E731
        assert not good(at, key["key"])
        assert at("keys", "show", key["id"], "--json").json["state"] == "held"
        assert [item["id"] for item in at("restore", "--held", "--json").json["items"]] == [key["id"]]
        assert at("restore", "--resume", "client", "--json").json == {"resumed": 0, "held": {"api_key": 1}}
        assert at("restore", "--resume", key["id"], "--json").json == {"resumed": 1, "held": {}}
        assert good(at, key["key"])
        assert "Nothing is held" in at("restore", "--held").out

    def test_a_key_that_is_held_says_so_and_is_resumed_as_any_other_that_rests(self, acme, backup, key):
        assert acme("restore", str(backup), "--force").code == 0
        checked = acme("keys", "verify", "-", "--json", stdin=key["key"])
        assert (checked.code, checked.json["reason"]) == (1, "credential_held")
        assert acme("keys", "activate", key["id"]).code == 0
        assert good(acme, key["key"])

    def test_twice_from_one_backup_are_two_epochs(self, acme, backup):
        first = acme("restore", str(backup), "--force", "--json").json
        second = acme("restore", str(backup), "--force", "--json").json
        assert second["epoch"] > first["epoch"] > 1
        assert second["backup"] == first["backup"]

    def test_what_is_there_is_not_replaced_unasked(self, acme, backup, data):
        before = contents(data)
        ran = acme("restore", str(backup))
        assert (ran.code, "--force" in ran.err) == (1, True)
        assert contents(data) == before

    def test_nothing_is_restored_under_a_server(self, acme, backup, data):
        serving = DataDirectory(data, None, False).serving()
        before = contents(data)
        try:
            ran = acme("restore", str(backup), "--force")
        finally:
            os.close(serving)
        assert (ran.code, "a server runs" in ran.err) == (1, True)
        assert contents(data) == before

    def test_nothing_is_restored_under_a_move(self, acme, backup, data):
        with DataDirectory(data, None, False).moving():
            ran = acme("restore", str(backup), "--force")
        assert (ran.code, "is moving the database" in ran.err) == (1, True)

    def test_what_was_backed_up_while_it_moved_writes_no_changes_down(self, acme, key, data, tmp_path):
        watched(data)
        assert acme("backup", str(tmp_path / "b")).code == 0
        assert acme("restore", str(tmp_path / "b"), "--force").code == 0
        assert not is_watched(data)

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"sha256": "0" * 64}, "not the one that was backed up"),
            ({"database": b"SQLite format 3\0" + bytes(4096)}, "not the one that was backed up"),
            ({"format": 2}, "newer version"),
            ({"schema": "9999"}, "newer version"),
            ({"engine": "postgresql"}, "is of postgresql"),
            ({"fingerprint": "f" * 64}, "another master key"),
            ({"seq": "7"}, "damaged"),
        ],
        ids=["digest", "database", "format", "schema", "engine", "secrets", "manifest"],
    )
    def test_what_is_no_good_backup_changes_nothing(self, acme, backup, data, tmp_path, changed, said):
        before = contents(data)
        ran = acme("restore", str(rewritten(backup, tmp_path / "changed", **changed)), "--force")
        assert (ran.code, said in ran.err) == (1, True), ran.err
        assert contents(data) == before

    @pytest.mark.parametrize("content", [b"", b"no tar at all", b"\0" * 20_000])
    def test_what_is_no_backup_at_all_is_said_to_be_none(self, acme, key, data, tmp_path, content):
        (tmp_path / "x").write_bytes(content)
        before = contents(data)
        ran = acme("restore", str(tmp_path / "x"), "--force")
        assert (ran.code, "cannot be restored" in ran.err) == (1, True), ran.err
        assert contents(data) == before

    def test_every_shorter_piece_of_a_backup_is_refused(self, acme, backup, data, tmp_path):
        whole, before = backup.read_bytes(), contents(data)
        for length in (100, 512, 1500, len(whole) // 2, len(whole) - 11_000):
            (tmp_path / "cut").write_bytes(whole[:length])
            assert acme("restore", str(tmp_path / "cut"), "--force").code == 1, length
        assert contents(data) == before

    def test_another_journal_changes_nothing(self, acme, backup, data, tmp_path):
        before = contents(data)
        for text in ("", "no json", '{"seq": 1, "type": "ApiCreated", "data": {}, "at": 1, "entity_id": "x"}'):
            (tmp_path / "journal").write_text(text)
            ran = acme("restore", str(backup), "--force", "--journal", str(tmp_path / "journal"))
            assert (ran.code, "is not the journal" in ran.err) == (1, True), ran.err
        assert contents(data) == before

    @pytest.mark.parametrize(
        "words",
        [(), ("a", "b"), ("a", "--here"), ("--resume", "--held"), ("--held", "--force"), ("--resume", "--here")],
    )
    def test_what_makes_no_sense_is_refused(self, acme, words):
        assert acme("restore", *words).code == 2


class TestSecrets:
    def test_the_export_holds_no_secret_in_the_clear(self, acme, export, data):
        assert stat.S_IMODE(export.stat().st_mode) == 0o600
        text = export.read_text()
        for name in (*SECRETS, "ca.key"):
            assert (data / name).read_text().strip() not in text

    def test_only_the_passphrase_opens_it(self, run, backup, export, tmp_path):
        new = ("--data-dir", str(tmp_path / "new"))
        words = ("restore", str(backup), "--keys", str(export), "--passphrase", "-")
        assert "does not open" in run(*new, *words, stdin="another passphrase").err
        told = json.loads(export.read_text())
        for name, value in (("issuer", "https://other.example"), ("nonce", "AAAAAAAAAAAAAAAA"), ("sealed", "AAAA")):
            export.write_text(json.dumps({**told, name: value}))
            assert run(*new, *words, stdin=PASSPHRASE).code == 1, name
        assert not (tmp_path / "new").exists()

    def test_a_short_passphrase_and_one_on_the_command_line_are_refused(self, acme, tmp_path):
        file = str(tmp_path / "secrets.json")
        assert acme("config", "export-secrets", file, "--passphrase", "-", stdin="short").code == 2
        assert acme("config", "export-secrets", file, "--passphrase", PASSPHRASE).code == 2
        assert acme("config", "export-secrets", file).code == 2
        assert not (tmp_path / "secrets.json").exists()

    def test_other_secrets_are_not_replaced_unasked(self, run, acme, backup, export, tmp_path):
        new = ("--data-dir", str(tmp_path / "new"))
        assert run(*new, "migrate").code == 0
        before = contents(tmp_path / "new")
        words = ("restore", str(backup), "--keys", str(export), "--passphrase", "-")
        assert run(*new, *words, stdin=PASSPHRASE).code == 1
        assert contents(tmp_path / "new") == before
        assert run(*new, *words, "--force", stdin=PASSPHRASE).code == 0


class TestOlderDatabase:
    """What comes by `cp` instead of `restore` (decision 22a)."""

    @pytest.fixture
    def set_back(self, acme, key, data, tmp_path):
        shutil.copytree(data, tmp_path / "yesterday")
        assert acme("keys", "revoke", key["id"]).code == 0
        for name in ("doorward.db", "doorward.db-wal", "doorward.db-shm"):
            (data / name).unlink(missing_ok=True)
            if (tmp_path / "yesterday" / name).exists():
                shutil.copy(tmp_path / "yesterday" / name, data / name)
        return data

    def test_it_is_refused_with_three_ways_out(self, acme, set_back, key):
        for words in (("keys", "list"), ("backup", "b"), ("migrate",)):
            ran = acme(*words)
            assert ran.code == 2
            assert "older than what was served from here" in ran.err
            assert "doorward restore FILE" in ran.err
            assert "doorward restore --here" in ran.err

    def test_the_key_would_be_good_if_nobody_looked(self, acme, set_back, key):
        (set_back / "high-water.json").unlink()
        assert good(acme, key["key"])

    def test_it_can_be_taken_for_a_backup(self, acme, set_back, key):
        ran = acme("restore", "--here")
        assert (ran.code, "1 api keys" in ran.out) == (0, True), ran.err
        assert not good(acme, key["key"])

    def test_the_newer_one_may_come_back(self, acme, key, data, tmp_path):
        shutil.copytree(data, tmp_path / "same")
        shutil.rmtree(data)
        shutil.copytree(tmp_path / "same", data)
        assert good(acme, key["key"])

    def test_a_mark_that_cannot_be_read_is_no_mark_that_holds(self, acme, key, data):
        (data / "high-water.json").write_text("{")
        ran = acme("keys", "list")
        assert (ran.code, "high-water.json cannot be read" in ran.err) == (2, True)

    def test_another_database_has_a_mark_of_its_own(self, run, acme, key, data, tmp_path, monkeypatch):
        monkeypatch.setenv("DOORWARD__DATABASE", f"sqlite:///{tmp_path / 'second.db'}")
        with closing(sqlite3.connect(tmp_path / "second.db")):
            pass
        monkeypatch.setattr("time.time", lambda: 1_900_000_000.0)
        assert acme("migrate").code == 0
        assert acme("keys", "list", "--json").json["items"] == []
