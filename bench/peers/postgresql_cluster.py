"""A PostgreSQL of the bench's own on the server's core, durable as it comes: fsync and synchronous_commit are on."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
from processes import Child, pinned

from peers.running import Peer

PATIENCE = 30
USER = "bench"


@dataclass(frozen=True)
class Cluster:
    """`folder` has its socket."""

    programs: Path
    folder: Path
    child: Child

    def create(self, database: str) -> None:
        words: list[str | Path] = [self.programs / "createdb", "--host", self.folder, "--username", USER, database]
        subprocess.run(words, check=True, capture_output=True)


def programs() -> Path | None:
    """Debian keeps them out of the PATH; the newest version is taken."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).parent if named else None


@contextlib.contextmanager
def running() -> Generator[Cluster | None]:
    """None, said loudly, where it is not installed."""
    binaries = programs()
    if binaries is None:
        print("\nPOSTGRESQL IS LEFT OUT: it is not installed. On Debian: apt-get install postgresql", file=sys.stderr)
        yield None
        return
    with machine.directory() as name:
        folder = Path(name)
        user = _unprivileged(folder)
        words = ["--pgdata", str(folder / "data"), "--username", USER, "--auth", "trust", "--locale", "C"]
        as_user = {**user, "cwd": folder}
        subprocess.run([binaries / "initdb", *words], check=True, capture_output=True, **as_user)
        settings = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "shared_buffers=128MB"]
        command = pinned(machine.SERVER_CORE, [binaries / "postgres", "-D", folder / "data", *settings])
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, text=True, **as_user)
        try:
            _wait_for(folder)
            yield Cluster(binaries, folder, Peer(process))
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Who it runs as, since it refuses root; the folder is then theirs."""
    if os.getuid() != 0:
        return {}
    names = [entry.pw_name for entry in pwd.getpwall()]
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _wait_for(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(folder / ".s.PGSQL.5432"))
            return
        time.sleep(0.05)
    raise SystemExit(f"PostgreSQL did not start: {(folder / 'log').read_text()[-2000:]}")
