"""F11 and F8: a database that is damaged, cut off or set back never makes good again what was revoked.

A SQLite file with a byte that fell over, a write-ahead log without its end, and PostgreSQL as a replica leaves it that
took over without the last commits.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.deployment import Doorward, Json, command, deployed, free_port, served
from tests.verify.waiting import until

SEED = 1611
COPIES, COPIES_LONG = 50, 500
PAGE = 4096
FILES = ("doorward.db", "doorward.db-wal", "doorward.db-shm")


class Judged:
    """Keys and a client that were ended, and ones that were not, asked about in a server on a copy."""

    def __init__(self, doorward: Doorward) -> None:
        api, account = doorward.an_api()["identifier"], doorward.an_account()["id"]
        self.good, self.revoked = (doorward.a_key(api=api, account=account) for _ in range(2))
        self.client = doorward.a_client(api=api, account=account)
        self.token = doorward.token(self.client)
        self.admin_key = doorward.admin_key
        doorward.v1("POST", f"/keys/{self.revoked['id']}/revoke")
        doorward.v1("POST", "/revocations", {"client": self.client["client_id"]})

    def checked(self, doorward: Doorward, key: Json) -> str:
        reply = doorward.v1("POST", "/keys/verify", {"key": key["key"]})
        return f"active {reply.json()['active']}" if reply.status_code == 200 else f"status {reply.status_code}"

    def accepted(self, doorward: Doorward) -> list[str]:
        """What ended, and is good all the same."""
        doorward.admin_key = self.admin_key
        found = [] if self.checked(doorward, self.revoked) != "active True" else ["revoked key"]
        wrong = {"key": self.good["key"][:-7] + "0000000"}
        found += [] if self.checked(doorward, wrong) != "active True" else ["wrong key"]
        asked = doorward.post("token", self.client, grant_type="client_credentials")
        return found + (["disabled client"] if asked.status_code == 200 else [])


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Judged]:
    """A data directory whose server ended in peace, and what it knows."""
    directory = tmp_path_factory.mktemp("whole")
    with deployed(directory) as doorward:
        found = Judged(doorward)
    return directory / "data", found


def damaged(data: Path, to: Path, chance: random.Random) -> Path:
    """One byte of the database has another value, or its end is missing."""
    shutil.copytree(data, to / "data", ignore=shutil.ignore_patterns("metrics*"))
    file = to / "data" / "doorward.db"
    content = bytearray(file.read_bytes())
    if chance.random() < 0.1:
        del content[chance.randrange(len(content)) :]
    else:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
    return to


def started(directory: Path, judged: Judged) -> str:
    """What became of a server on it: refused at start, or what it answered."""
    from doorward.settings import StartRefused
    from doorward.store.writer import Unavailable

    try:
        with deployed(directory, set_up=False) as doorward:
            accepted = judged.accepted(doorward)
            assert accepted == [], f"{accepted} in {directory}"
            return f"served, a good key: {judged.checked(doorward, judged.good)}"
    except StartRefused as refused:
        return f"refused: {refused.refusals[0].sentence[:40]}"
    except (Unavailable, ValueError, KeyError, TypeError) as problem:
        return f"ended: {type(problem).__name__}"


@pytest.mark.slow
def test_no_damaged_database_accepts_what_was_revoked(judged, tmp_path, is_long, figure, capsys):
    data, known = judged
    chance, outcomes = random.Random(SEED), Counter[str]()
    for number in range(COPIES_LONG if is_long else COPIES):
        directory = damaged(data, tmp_path / str(number), chance)
        outcomes[started(directory, known)] += 1
        shutil.rmtree(directory)
    with capsys.disabled():
        print(f"\nseed {SEED}: {dict(outcomes)}")
    refused = sum(number for outcome, number in outcomes.items() if outcome.startswith("refused"))
    assert refused, "no damage was noticed"
    figure("damaged databases that accepted what was revoked", "", [0], most=0)


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 5 * PAGE, -PAGE], ids=["header", "early-page", "last-page"])
def test_a_page_that_is_no_page_is_refused_with_the_command_that_helps(judged, tmp_path, place):
    data, _ = judged
    shutil.copytree(data, tmp_path / "data", ignore=shutil.ignore_patterns("metrics*"))
    file = tmp_path / "data" / "doorward.db"
    content = bytearray(file.read_bytes())
    place = place % len(content)
    content[place : place + PAGE] = b"\xa5" * PAGE
    file.write_bytes(content)
    words = command("--data-dir", tmp_path / "data", "serve", "--port", free_port())
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "the database is damaged" in done.stderr
    assert "doorward restore FILE --force" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cut", "garbled"])
def test_a_log_without_its_end_is_refused_where_it_was_marked_and_else_loses_the_last_commits_alone(tmp_path, how):
    """As a disk leaves it that said too early that it had written."""
    with served(tmp_path) as doorward:
        account, api = doorward.an_account()["id"], doorward.an_api()["identifier"]
        first = doorward.a_key(api=api, account=account)
        admin_key = doorward.admin_key
        doorward.v1("POST", f"/keys/{first['id']}/revoke")
        size = (doorward.directory / "doorward.db-wal").stat().st_size
        last = doorward.a_key(api=api, account=account)
        _until_marked(doorward)
        shutil.copytree(doorward.directory, tmp_path / "copy" / "data")
    log = tmp_path / "copy" / "data" / "doorward.db-wal"
    content = log.read_bytes()
    assert len(content) > size > 0
    log.write_bytes(content[:size] if how == "cut" else content[:size] + b"\x5a" * (len(content) - size))
    words = command("--data-dir", tmp_path / "copy" / "data", "serve", "--port", free_port())
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "older than what was served" in done.stderr) == (2, True), done.stderr
    (tmp_path / "copy" / "data" / "high-water.json").unlink()
    with served(tmp_path / "copy") as again:
        again.admin_key = admin_key
        reasons = [again.v1("POST", "/keys/verify", {"key": key["key"]}).json()["reason"] for key in (first, last)]
        assert reasons == ["credential_revoked", "credential_unknown"]


def _until_marked(doorward: Doorward) -> None:
    """The mark is written within a second or so of the last commit."""
    head = doorward.v1("GET", "/audit?order=desc&limit=1").json()["items"][0]["seq"]
    mark = doorward.directory / "high-water.json"
    until(lambda: mark.exists() and f':{head}"' in mark.read_text())


@contextlib.contextmanager
def set_back(url: str, commits: int) -> Iterator[None]:
    """As a replica is that took over without the last commits: the head and its rows are those of before."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        row: Any = connection.execute("SELECT change_seq FROM journal_head FOR UPDATE").fetchone()
        before = row[0] - commits
        connection.execute("DELETE FROM journal WHERE seq > %s", (before,))
        connection.execute("UPDATE journal_head SET seq = %s, change_seq = %s", (before, before))
        connection.execute("UPDATE api_keys SET state = 'active', revoked_at = NULL")
    yield


@pytest.mark.slow
def test_a_replica_that_took_over_without_the_last_commits_is_noticed_and_revives_nothing(tmp_path, postgresql_url):
    with served(tmp_path, "--database", postgresql_url) as doorward:
        account, api = doorward.an_account()["id"], doorward.an_api()["identifier"]
        doomed = doorward.a_key(api=api, account=account)
        admin_key = doorward.admin_key
        assert doorward.v1("POST", f"/keys/{doomed['id']}/revoke").status_code == 200
        _until_marked(doorward)
        with set_back(postgresql_url, 1):
            # The answer that a memory of before gives is right; the database is asked no more.
            until(lambda: doorward.v1("GET", "/keys").status_code == 503)
        told = doorward.v1("POST", "/keys/verify", {"key": doomed["key"]})
        assert told.status_code == 503 or told.json()["active"] is False
        assert doorward.v1("POST", "/accounts", {"id": "late", "name": "Late"}).status_code == 503
        assert doorward.program is not None
        assert "the journal is at" in doorward.program.output
        doorward.program._process.send_signal(signal.SIGKILL)
    words = ("--data-dir", tmp_path / "data", "--config", tmp_path / "doorward.toml")
    (tmp_path / "doorward.toml").write_text(f"database = '{postgresql_url}'\n")
    done = subprocess.run(command(*words, "serve", "--port", free_port()), capture_output=True, text=True, timeout=60)
    assert (done.returncode, "older than what was served" in done.stderr) == (2, True), done.stderr
    done = subprocess.run(command(*words, "restore", "--here"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    with deployed(tmp_path, database=postgresql_url, set_up=False) as again:
        again.admin_key = admin_key
        assert again.v1("GET", "/keys").status_code == 401, "every long-lived secret is held"
