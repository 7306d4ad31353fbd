"""`doorward migrate --to`, as it is typed; what is moved and proved stands in `tests/store/test_move.py`."""

from __future__ import annotations

import sys

import pytest

from doorward.store import move


@pytest.fixture
def url(postgresql_url):
    return postgresql_url


def test_a_move_is_looked_at_done_and_refused_when_it_was_done(acme, url, monkeypatch):
    looked = acme("migrate", "--to", url, "--dry-run")
    assert (looked.code, looked.err) == (0, "")
    assert "Nothing was changed." in looked.out
    plan = acme("migrate", "--to", url, "--dry-run", "--json").json
    assert (plan["rows"]["accounts"], plan["opens"], plan["starts_anew"]) == (1, False, False)
    done = acme("migrate", "--to", url)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith(f'\ndatabase = "{url}"\n')
    again = acme("migrate", "--to", url)
    assert (again.code, again.out) == (1, "")
    assert f"moved to {url} already" in again.err
    # It is refused to whoever would write to the old one by mistake.
    old = acme("accounts", "create", "late", "--name", "Late")
    assert (old.code, old.out) == (2, "")
    assert f"the database moved to {url}" in old.err
    monkeypatch.setenv("DOORWARD__DATABASE", url)
    assert [one["id"] for one in acme("accounts", "list", "--json").json["items"]] == ["acme"]


def test_the_last_step_is_made_up_for(acme, url, monkeypatch):
    def unreachable(*_):
        raise move.Unavailable("OperationalError")

    monkeypatch.setattr(move, "open_target", unreachable)
    broken = acme("migrate", "--to", url)
    assert (broken.code, broken.out) == (1, "")
    monkeypatch.undo()
    assert "what is left is to open it" in acme("migrate", "--to", url, "--dry-run").out
    assert acme("migrate", "--to", url).out.endswith(f'\ndatabase = "{url}"\n')


def test_progress_is_shown_on_a_terminal_alone(acme, url, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    done = acme("migrate", "--to", url)
    assert done.code == 0
    assert all(stage in done.err for stage in ("copying", "comparing", "closing"))


def test_a_password_is_read_from_a_file_and_never_shown(acme, url, tmp_path):
    secret = url.replace("doorward@", "doorward:hunter2@")
    (tmp_path / "url").write_text(f"{secret}\n")
    done = acme("migrate", "--to", f"@{tmp_path / 'url'}")
    assert (done.code, done.err) == (0, "")
    assert "hunter2" not in done.out
    assert done.out.endswith(f'\ndatabase = "{url}"\n')
    for words in (("accounts", "list"), ("migrate", "--to", url)):
        assert "hunter2" not in acme(*words).err


def test_a_password_on_the_command_line_is_warned_of(acme):
    for to in ("postgresql://u:hunter2@db.example.com/x", "postgresql://u@db.example.com/x?password=hunter2"):
        ran = acme("migrate", "--to", to)
        assert ran.code == 2
        assert "shows in `ps`" in ran.err
        assert "hunter2" not in ran.err


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("postgresql://u@db.example.com/x", "sslmode=verify-full"),
        ("postgresql://u@db.example.com/x?sslmode=require", "sslmode=verify-full"),
        ("sqlite:///elsewhere.db", "postgresql://user@host/name"),
        ("mysql://u@localhost/x", "postgresql://user@host/name"),
        ("nonsense", "postgresql://user@host/name"),
        ("postgresql://[u@x/y", "postgresql://user@host/name"),
        ("postgresql://u@x:port/y", "postgresql://user@host/name"),
        ("postgresql://u@/x?host=/nonexistent", "the database cannot be used"),
    ],
)
def test_an_unfit_target_is_refused(acme, to, told):
    ran = acme("migrate", "--to", to)
    assert (ran.code, ran.out) == (1 if "nonexistent" in to else 2, "")
    assert told in ran.err
    assert acme("accounts", "list").code == 0


def test_two_do_not_move_at_once(acme, url, tmp_path):
    from doorward.data_directory import DataDirectory

    with DataDirectory(tmp_path / "data", None, False).moving() as first:
        assert first
        second = acme("migrate", "--to", url)
    assert (second.code, "another" in second.err) == (1, True)
    assert acme("migrate", "--to", url).code == 0


def test_only_sqlite_moves(at, url, monkeypatch):
    monkeypatch.setenv("DOORWARD__DATABASE", url)
    assert at("migrate").code == 0
    assert "only an SQLite database" in at("migrate", "--to", url).err


def test_what_a_killed_move_left_is_taken_away(acme, url, monkeypatch, tmp_path):
    from doorward.store import move_changes
    from doorward.store.engine import open_engine

    engine = open_engine(f"sqlite:///{tmp_path / 'data' / 'doorward.db'}")
    move_changes.watch(engine)
    assert acme("accounts", "create", "meanwhile", "--name", "Meanwhile").code == 0
    assert acme("migrate").code == 0
    with engine.connect() as connection:
        assert not connection.execute(move_changes.NAMES).all()
    engine.dispose()
