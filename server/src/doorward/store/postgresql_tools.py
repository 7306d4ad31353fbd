"""`pg_dump`, `pg_restore` and `psql`, driven: found on the PATH, new enough, and no password in their arguments.

pg_dump --format=custom --no-owner --no-privileges --snapshot=... --file=FILE --dbname="host=... dbname=..."
pg_restore --clean --if-exists --no-owner --no-privileges --file=- FILE | psql --set=ON_ERROR_STOP=1 --dbname=...
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import IO

from sqlalchemy import Connection, text

from doorward.store import schema
from doorward.store.engine import failures, open_engine
from doorward.store.tables import metadata
from doorward.store.writer import Unavailable

LOOK = 0.2
CHUNK = 1 << 16
OURS = ("--no-owner", "--no-privileges")


class ToolFailed(Exception):  # noqa: N818  an answer
    """The program is missing, too old, or ended with an error; the text says which, without what was secret."""


@dataclass(frozen=True, slots=True)
class Tool:
    """`words` name the database without its password, which is in the environment."""

    path: str
    words: tuple[str, ...]
    environment: Mapping[str, str]


def found(name: str, url: str, server_version: int) -> Tool:
    """`server_version` as PostgreSQL numbers it, such as 150014. Raises ToolFailed."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    path = shutil.which(name)
    if path is None:
        raise ToolFailed(f"{name} is not on the PATH: it comes with PostgreSQL's client programs")
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    version = re.search(r"(\d+)(\.\d+)*", told)
    if version is None or int(version[1]) < server_version // 10_000:
        shown = version[0] if version else "unknown"
        raise ToolFailed(f"{name} {shown} is older than the server, which is {server_version // 10_000}")
    given = {name: str(value) for name, value in conninfo_to_dict(_libpq(url)).items() if value is not None}
    if "sslpassword" in given:
        raise ToolFailed(f"{name} can be told sslpassword in its arguments alone: use a key file without a passphrase")
    secret = {"PGPASSWORD": given.pop("password")} if "password" in given else {}
    return Tool(path, ("--no-password", f"--dbname={make_conninfo(**given)}"), {**os.environ, **secret})


def _libpq(url: str) -> str:
    """As libpq reads it: without the name of SQLAlchemy's driver."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}"


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """For as long as this lasts, at one moment of the database."""
    engine = open_engine(url)
    try:
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            # Programs take their time.
            connection.execute(text("SET idle_in_transaction_session_timeout = 0"))
            yield connection
    except failures(engine) as problem:
        raise Unavailable(type(problem).__name__) from None
    finally:
        engine.dispose()


def snapshot(connection: Connection) -> str:
    """Its moment, by a name that others can be given."""
    return str(connection.execute(text("SELECT pg_export_snapshot()")).scalar_one())


def server_version(connection: Connection) -> int:
    return int(connection.execute(text("SELECT current_setting('server_version_num')")).scalar_one())


def is_alone(connection: Connection) -> bool:
    """Whether nobody else is connected to this database."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    return int(connection.execute(text(f"{others} AND backend_type = 'client backend'")).scalar_one()) == 0


def dump(tool: Tool, at: str, to: Path, progress: Callable[[int, int], None]) -> None:
    _run(tool, ("--format=custom", *OURS, f"--snapshot={at}", f"--file={to}"), lambda: progress(_size(to), 0))


def restore(reader: Tool, writer: Tool, dumped: Path, progress: Callable[[int, int], None]) -> None:
    """All or nothing: what was there before goes in the same transaction, which ends only behind a whole script.

    Our tables go by name: `--clean` stumbles over those in parts, and does not know what a newer version made.
    """
    reading = [reader.path, "--clean", "--if-exists", *OURS, "--file=-", str(dumped)]
    writing = [writer.path, *writer.words, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    with _started(reading, reader, stdout=PIPE) as script, _started(writing, writer, stdin=PIPE) as psql:
        assert script.process.stdout is not None
        assert psql.process.stdin is not None
        with suppress(BrokenPipeError), psql.process.stdin as to:
            to.write(f"BEGIN;\nSET client_min_messages = warning;\nDROP TABLE IF EXISTS {_TABLES};\n".encode())
            while chunk := script.process.stdout.read(CHUNK):
                to.write(chunk)
                progress(0, 0)
            if script.process.wait() == 0:
                to.write(b"COMMIT;\n")
        script.process.stdout.close()
        psql.refuse_failed()
        script.refuse_failed()


_TABLES = ", ".join((schema.versions.name, *metadata.tables))


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _run(tool: Tool, words: Sequence[str], look: Callable[[], None]) -> None:
    with _started([tool.path, *tool.words, *words], tool) as started:
        while started.process.poll() is None:
            look()
            time.sleep(LOOK)
        started.refuse_failed()


@dataclass(frozen=True, slots=True)
class Started:
    name: str
    process: subprocess.Popen[bytes]
    complaints: IO[bytes]

    def refuse_failed(self) -> None:
        if self.process.wait():
            self.complaints.seek(0)
            told = self.complaints.read().decode(errors="replace").strip()
            raise ToolFailed(f"{self.name} failed: {told.splitlines()[0] if told else self.process.returncode}")


@contextmanager
def _started(command: Sequence[str], tool: Tool, stdin: int = DEVNULL, stdout: int = DEVNULL) -> Iterator[Started]:
    """Ended when this ends, however that comes."""
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(  # noqa: S603
            command, env=dict(tool.environment), stdin=stdin, stdout=stdout, stderr=complaints
        ) as process,
    ):
        try:
            yield Started(Path(tool.path).name, process, complaints)
        except BaseException:
            process.kill()
            raise
