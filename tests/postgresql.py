"""A private PostgreSQL for tests: Debian's binaries, an unprivileged user, a Unix socket, a database for each test.

Run as a program it is the guard that ends the server and removes its files when the test run is gone.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

MISSING = "PostgreSQL's initdb and pg_ctl are missing: `apt-get install postgresql`, or set SKIP_POSTGRESQL=1"
# fsync stays on: what is tested is durability too.
SETTINGS = ("listen_addresses=", "max_connections=200", "shared_buffers=32MB", "log_min_messages=fatal")


def binaries() -> Path | None:
    """Debian keeps them out of the PATH; the newest version is taken."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).parent if named else None


def _user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    names = [entry.pw_name for entry in pwd.getpwall()]
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@dataclass
class PostgreSQL:
    """A cluster in a directory of its own; `url` names a database of it."""

    programs: Path
    directory: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def url(self, database: str) -> str:
        return f"postgresql://doorward@/{database}?host={quote(str(self.directory), safe='')}"

    def initialise(self) -> None:
        self._run(
            "initdb", "--pgdata", str(self.directory / "data"), "--username", "doorward", "--auth", "trust",
            "--encoding", "UTF8", "--locale", "C", "--no-sync",
        )  # fmt: skip

    def copy(self, primary: PostgreSQL) -> None:
        """As a standby of the primary, which is running: it follows from its start on, as soon as it can."""
        self._run(
            "pg_basebackup", "--pgdata", str(self.directory / "data"), "--host", str(primary.directory),
            "--username", "doorward", "--write-recovery-conf", "--checkpoint", "fast", "--no-sync",
        )  # fmt: skip

    def promote(self) -> None:
        """Returns when what was a standby takes writes."""
        self._control("promote", "--wait")

    def start(self) -> None:
        """Returns when connections are accepted."""
        settings = " ".join(f"-c {setting}" for setting in (*SETTINGS, f"unix_socket_directories={self.directory}"))
        self._control("start", "--wait", "--log", str(self.directory / "log"), "--options", settings)

    def stop(self) -> None:
        """As a crash: no connection is asked, nothing is written down."""
        self._control("stop", "--mode", "immediate")

    def create(self, template: str = "template1") -> str:
        """The URL of a fresh database."""
        name = f"test_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        self.sql(f"DROP DATABASE {self.name(url)} WITH (FORCE)")

    @staticmethod
    def name(url: str) -> str:
        return url.partition("@/")[2].partition("?")[0]

    def sql(self, statement: str) -> list[Any]:
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    def _control(self, verb: str, *options: str) -> None:
        self._run("pg_ctl", verb, "--silent", "--pgdata", str(self.directory / "data"), *options)

    def _run(self, program: str, *arguments: str) -> None:
        # The server outlives pg_ctl and would keep a pipe open: its output goes to a file.
        with (self.directory / "output").open("ab") as output:
            done = subprocess.run(
                [self.programs / program, *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.directory, **_user(),
            )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program}: {(self.directory / 'output').read_text()}")


@contextlib.contextmanager
def private(primary: PostgreSQL | None = None, place: Path | None = None) -> Iterator[PostgreSQL]:
    """A running cluster, gone at the end, and also when this process dies without an end; a standby of the primary.

    Its directory is in `place`, or where temporary files are.
    """
    programs = binaries()
    if programs is None:
        raise RuntimeError(MISSING)
    with guarded("doorward-pg-", place) as directory:
        user = _user()
        if user:
            os.chown(directory, user["user"], user["group"])
        cluster = PostgreSQL(programs, directory)
        if primary is None:
            cluster.initialise()
        else:
            cluster.copy(primary)
        cluster.start()
        yield cluster


@contextlib.contextmanager
def guarded(prefix: str, place: Path | None = None) -> Iterator[Path]:
    """A directory that is gone at the end, with the PostgreSQL that runs in it, also when this process is killed."""
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    guard = subprocess.Popen([sys.executable, __file__, str(directory)], stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield directory
    finally:
        guard.communicate()


def _guard(directory: Path) -> None:
    """Waits for the end of the one who holds the other end of standard input."""
    sys.stdin.read()
    data = directory / "data"
    with contextlib.suppress(OSError, ValueError):
        postmaster = int((data / "postmaster.pid").read_text().split("\n")[0])
        process = os.pidfd_open(postmaster)
        # A number can belong to someone else by now; who works in this directory is ours.
        if Path(f"/proc/{postmaster}/cwd").resolve() == data.resolve():
            signal.pidfd_send_signal(process, signal.SIGQUIT)
            select.select([process], [], [], 10)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    if os.environ.get("SKIP_POSTGRESQL") == "1":
        pytest.skip("SKIP_POSTGRESQL=1")
    with private() as cluster:
        yield cluster


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine", choices=("sqlite", "postgresql"),
        help="put every deployment on this one; without it most are on SQLite, and some tests run on both",
    )  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With an engine chosen, what is for the other one is left out: a half of what runs on both, and marked tests."""
    if (chosen := config.getoption("--engine")) is None:
        return
    other = "sqlite" if chosen == "postgresql" else "postgresql"
    left = [item for item in items if _is_for(other, item)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if not _is_for(other, item)]


def _is_for(engine: str, item: pytest.Item) -> bool:
    values = getattr(item, "callspec").params.values() if hasattr(item, "callspec") else ()  # noqa: B009
    named = {value.removeprefix("empty_").removeprefix("on_") for value in values if isinstance(value, str)}
    return engine in named or item.get_closest_marker(engine) is not None


@pytest.fixture(scope="session", autouse=True)
def _placed(request: pytest.FixtureRequest) -> Iterator[None]:
    """A deployment that is started again in its directory finds what it left."""
    from tests import deployment

    if request.config.getoption("--engine") == "postgresql":
        cluster: PostgreSQL = request.getfixturevalue("postgresql")
        deployment.database_for = cache(lambda directory: cluster.create())
    yield
    deployment.database_for = None


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """An empty database of its own."""
    url = postgresql.create()
    yield url
    postgresql.drop(url)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
