"""A backup beside running servers: the database as it is at one moment, and what that was."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection

from doorward import __version__, backup_file
from doorward.backup_file import FORMAT, Manifest
from doorward.data_directory import DataDirectory, database_path, write_private
from doorward.settings import Settings
from doorward.store import copies, deployment, journal, postgresql_tools, schema
from doorward.web.opening import open_store

Progress = Callable[[int, int], None]


def make(settings: Settings, data: DataDirectory, to: Path, progress: Progress) -> Manifest:
    """Writes the database there, private to this user. Raises Damaged, ToolFailed, and what an opening raises."""
    open_store(settings, data).store.dispose()
    write_private(to, b"")
    file = database_path(settings.database)
    if file is None:
        return _dumped(settings, to, progress)
    copies.copy(file, to, progress)
    with copies.read(to) as connection:
        known = _known(connection)
    return _manifest(settings, "sqlite", known, to)


def _dumped(settings: Settings, to: Path, progress: Progress) -> Manifest:
    with postgresql_tools.connected(settings.database) as connection:
        known, version = _known(connection), postgresql_tools.server_version(connection)
        tool = postgresql_tools.found("pg_dump", settings.database, version)
        postgresql_tools.dump(tool, postgresql_tools.snapshot(connection), to, progress)
    return _manifest(settings, "postgresql", known, to)


Known = tuple[str, str, int, int, int]


def _known(connection: Connection) -> Known:
    head = journal.read_head(connection)
    fingerprint, found = schema.current_fingerprint(connection), schema.revision(connection)
    return found or "", fingerprint or "", deployment.made_at(connection), head.epoch, head.change_seq


def _manifest(settings: Settings, engine: str, known: Known, file: Path) -> Manifest:
    found, fingerprint, made_at, epoch, seq = known
    return Manifest(
        FORMAT, __version__, engine, found, settings.issuer, fingerprint, made_at, epoch, seq, int(time.time()),
        backup_file.digest(file), file.stat().st_size,
    )  # fmt: skip
