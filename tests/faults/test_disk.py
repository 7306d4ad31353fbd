"""F9 and F10: a disk that is full, and a disk that fails. What was acknowledged is there afterwards, in both.

The full disk is a small tmpfs; what fails is fsync, by strace's injection into the running server.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from tests.deployment import Doorward, Json, Response, served
from tests.faults.workers import pids
from tests.left_out import left_out

MEGABYTES = 24
# Until the log of SQLite has to grow, writes find room in it.
ENOUGH = 3_000
DEADLINE = 60.0


@contextlib.contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """Whoever may not mount one leaves these tests out."""
    directory.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,mode=0700", "tmpfs", str(directory)]
    mounted = subprocess.run(argv, capture_output=True, text=True)
    if mounted.returncode:
        raise left_out(f"A disk of its own cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def fill(disk: Path) -> Path:
    """To the last byte."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    return filler


@dataclass
class Place:
    """What is asked over and over; `accounts` and `tokens` are those that were acknowledged."""

    doorward: Doorward
    client: Json
    verifier: Json
    key: str
    accounts: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    asked: int = 0

    @classmethod
    def of(cls, doorward: Doorward) -> Place:
        api = doorward.an_api(token_format="opaque")["identifier"]
        account = doorward.an_account()["id"]
        key = doorward.a_key(api=api, account=account)["key"]
        client = doorward.a_client(api=api, account=account)
        return cls(doorward, client, doorward.a_verifier(api=api), key)

    def write_account(self) -> Response:
        self.asked += 1
        name = f"account-{self.asked}"
        reply = self.doorward.v1("POST", "/accounts", {"id": name, "name": "n" * 80})
        if reply.status_code == 201:
            self.accounts.append(name)
        return reply

    def write_token(self) -> Response:
        reply = self.doorward.post("token", self.client, grant_type="client_credentials")
        if reply.status_code == 200:
            self.tokens.append(reply.json()["access_token"])
        return reply

    @property
    def writes(self) -> dict[str, Callable[[], Response]]:
        return {"an account": self.write_account, "a token": self.write_token}

    def reads(self) -> dict[str, int]:
        """What a service asks about its callers."""
        introspected = self.doorward.post("introspect", self.verifier, token=self.tokens[0])
        assert introspected.json() == introspected.json() | {"active": True}
        checked = self.doorward.post("introspect", self.verifier, token=self.key)
        assert checked.json() == checked.json() | {"active": True}
        return {
            "jwks": self.doorward.http.get("/.well-known/jwks.json").status_code,
            "life": self.doorward.http.get("/healthz").status_code,
            "key": self.doorward.v1("POST", "/keys/verify", {"key": self.key}).status_code,
        }

    def check(self) -> None:
        """Nothing acknowledged is lost."""
        for name in self.accounts:
            assert self.doorward.v1("GET", f"/accounts/{name}").status_code == 200, name
        for token in self.tokens:
            assert self.doorward.introspect(self.verifier, token)["active"] is True


def until(call: Callable[[], Response], *statuses: int) -> Response:
    """Every answer before it is a success or 503."""
    for _ in range(ENOUGH):
        reply = call()
        if reply.status_code in statuses:
            return reply
        assert reply.status_code in (200, 201, 503), reply.text
    raise AssertionError(f"it was never {statuses}")


def is_whole(data: Path) -> bool:
    """Of a server that has ended."""
    with contextlib.closing(sqlite3.connect(data / "doorward.db")) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.slow
def test_a_full_disk_refuses_what_is_written_and_checks_go_on(tmp_path, is_long):
    with small_disk(tmp_path / "disk") as disk:
        with served(disk) as doorward:
            place = Place.of(doorward)
            for _ in range(20 if is_long else 2):
                for write in place.writes.values():
                    assert write().status_code in (200, 201)
                filler = fill(disk)
                for name, write in place.writes.items():
                    refused = until(write, 503)
                    assert int(refused.headers["retry-after"]) >= 1, name
                assert set(place.reads().values()) == {200}
                filler.unlink()
                for write in place.writes.values():
                    until(write, 200, 201)
            assert doorward.program is not None
            assert not doorward.program.has_ended
            place.check()
            assert doorward.v1("GET", "/apis").status_code == 200
        assert is_whole(doorward.directory)


@contextlib.contextmanager
def failing_syncs(pid: int, log: Path, number: int) -> Iterator[None]:
    """From the `number`th on none succeeds in that process."""
    inject = f"inject=fsync,fdatasync:error=EIO:when={number}+"
    argv = ["strace", "-f", "-p", str(pid), "-o", str(log), "-e", "trace=fsync,fdatasync", "-e", inject]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        if "attached" not in said:
            raise left_out(f"strace cannot attach to a process here: {said.strip()}")
        try:
            yield
        finally:
            strace.terminate()


def write_until_it_ends(place: Place) -> None:
    """A server that has ended answers nobody."""
    deadline = time.monotonic() + DEADLINE
    assert place.doorward.program is not None
    while not place.doorward.program.has_ended:
        assert time.monotonic() < deadline, place.doorward.program.output
        for write in place.writes.values():
            with contextlib.suppress(httpx2.TransportError):
                assert write().status_code in (200, 201, 503)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_fails_ends_the_server_and_the_next_start_has_all_that_was_acknowledged(tmp_path, workers):
    with served(tmp_path, "--workers", workers) as doorward:
        place = Place.of(doorward)
        for write in place.writes.values():
            write()
        assert doorward.program is not None
        pid = doorward.program.pid if workers == 1 else pids(doorward)[0]
        # Each request may meet any worker.
        doorward.http.headers["connection"] = "close"
        with failing_syncs(pid, tmp_path / "strace", 4):
            write_until_it_ends(place)
        code = doorward.program.wait(DEADLINE)
        assert "the disk failed" in doorward.program.output
        assert code == (os.EX_IOERR if workers == 1 else 1)
    assert "(INJECTED)" in (tmp_path / "strace").read_text()
    with served(tmp_path) as again:
        again.admin_key = doorward.admin_key
        place.doorward = again
        assert len(place.accounts) + len(place.tokens) >= 2
        place.check()
        for write in place.writes.values():
            assert write().status_code in (200, 201)
    assert is_whole(again.directory)
