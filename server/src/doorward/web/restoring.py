"""A backup takes the place of the database, and nothing that was revoked or used after it comes back (decision 22a).

1. The backup proves to be whole, of these secrets, and no newer than this version; it is brought to this version.
2. The high-water mark is set to the epoch that begins: until the rest is done, no server starts from here.
3. One commit: the epoch begins, what cannot be told from what ended since is over, and every long-lived secret is held,
   or, where a journal tells what came after the backup, what that says.
4. SQLite: only now the file takes its place.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from doorward import backup_file, high_water
from doorward.backup_file import Manifest
from doorward.data_directory import DataDirectory, database_path, settle
from doorward.protocol import replay, resume
from doorward.protocol.moment import Moment, Position
from doorward.protocol.replay import NotThisJournal, Replay
from doorward.protocol.restore_events import DeploymentRestored
from doorward.settings import Settings
from doorward.store import copies, deployment, move_changes, postgresql_tools, restores, schema
from doorward.store.journal import Context, read_head
from doorward.store.memory import Reader
from doorward.store.rows import Stale
from doorward.store.store import Store
from doorward.web.opening import open_store

Progress = Callable[[int, int], None]
ATTEMPTS = 10
# Restored twice from one backup, and the machine lost in between: the epochs of both are still told apart.
MINUTE = 60


class CannotRestore(Exception):  # noqa: N818  an answer
    """Nothing was changed; the text says why, and `ways_out` what helps."""

    def __init__(self, sentence: str, *ways_out: str) -> None:
        super().__init__(sentence)
        self.ways_out = ways_out


@dataclass(frozen=True, slots=True)
class Restored:
    """`backup` is the last change that the database knew; `held` counts by kind."""

    backup: Position
    epoch: int
    replay: Replay | None
    held: dict[str, int]


def from_file(
    settings: Settings, data: DataDirectory, file: Path, journal: Path | None, force: bool, progress: Progress
) -> Restored:
    """The deployment that was backed up, in place of whatever is there."""
    manifest = backup_file.read_manifest(file)
    _refuse_other(settings, data, manifest)
    with _nobody_serves(data):
        if database_path(settings.database) is None:
            return _onto_postgresql(settings, data, file, manifest, journal, force, progress)
        return _onto_sqlite(settings, data, file, journal, force, progress)


def here(settings: Settings, data: DataDirectory, journal: Path | None) -> Restored:
    """The database as it lies: it came by `cp`, lacks its last commits, or is a replica that took over without them."""
    with _nobody_serves(data):
        if database_path(settings.database) is None:
            _refuse_company(settings)
        return _begin(settings, data, journal)


def _refuse_other(settings: Settings, data: DataDirectory, manifest: Manifest) -> None:
    engine = "sqlite" if database_path(settings.database) else "postgresql"
    if manifest.engine != engine:
        raise CannotRestore(f"the backup is of {manifest.engine}, and the settings name a database of {engine}")
    if manifest.schema not in schema.known():
        raise CannotRestore("a newer version of Doorward made the backup", "restore it with that version")
    if manifest.fingerprint not in data.secrets(settings).fingerprints():
        raise CannotRestore(
            "the backup was made with another master key or pepper: nothing of it could be read",
            "give their export: --keys FILE (doorward config export-secrets)",
            "name them with DOORWARD__MASTER_KEY_FILE and DOORWARD__PEPPER_FILE",
        )


@contextmanager
def _nobody_serves(data: DataDirectory) -> Iterator[None]:
    with data.unserved() as alone, data.moving() as unmoved:
        if not alone:
            raise CannotRestore("a server runs on this data directory", "stop it first")
        if not unmoved:
            raise CannotRestore("`doorward migrate --to` is moving the database", "wait until it is done")
        yield


def _onto_sqlite(
    settings: Settings, data: DataDirectory, file: Path, journal: Path | None, force: bool, progress: Progress
) -> Restored:
    place = database_path(settings.database)
    assert place is not None, "it is of SQLite"
    if not force and place.exists() and place.stat().st_size:
        raise CannotRestore(f"there is a database: {place}", "say --force: what is there now is lost")
    beside = place.with_name(f".{place.name}.restored")
    try:
        _remove(beside)
        backup_file.unpack(file, beside, progress)
        copies.look_over(beside, float("inf"))
        restored = _begin(settings.model_copy(update={"database": f"sqlite:///{beside}"}), data, journal)
        copies.close(beside)
        # The log of what was there before is not the log of what comes now.
        _remove(*_logs(place))
        beside.replace(place)
        settle(place.parent)
        return restored
    finally:
        _remove(beside, *_logs(beside))


def _logs(file: Path) -> tuple[Path, ...]:
    return tuple(file.with_name(f"{file.name}{end}") for end in ("-wal", "-shm", "-journal"))


def _remove(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _onto_postgresql(
    settings: Settings, data: DataDirectory, file: Path, manifest: Manifest, journal: Path | None, force: bool,
    progress: Progress,
) -> Restored:  # fmt: skip
    tools = _restoring_tools(settings, force)
    dumped = data.path / ".restored"
    try:
        backup_file.unpack(file, dumped, progress)
        if journal is not None:
            _replay_of(journal, {"seq": manifest.seq} if manifest.seq else None, data, manifest.made_at)
        before = high_water.marked(data.path, manifest.made_at)
        high_water.reach(data.path, manifest.made_at, Position(_next_epoch(data, manifest.epoch), 0))
        try:
            postgresql_tools.restore(*tools, dumped, progress)
        except postgresql_tools.ToolFailed:
            high_water.put_back(data.path, manifest.made_at, before)
            raise
    finally:
        _remove(dumped)
    return _begin(settings, data, journal)


def _refuse_company(settings: Settings) -> None:
    """Servers of other nodes have no lock here."""
    with postgresql_tools.connected(settings.database) as connection:
        if not postgresql_tools.is_alone(connection):
            raise CannotRestore("somebody is connected to the database", "stop every server that uses it")


def _restoring_tools(settings: Settings, force: bool) -> tuple[postgresql_tools.Tool, postgresql_tools.Tool]:
    _refuse_company(settings)
    with postgresql_tools.connected(settings.database) as connection:
        if not force and schema.revision(connection) is not None:
            raise CannotRestore("the database is not empty", "say --force: what is there now is lost")
        version = postgresql_tools.server_version(connection)
    found = partial(postgresql_tools.found, url=settings.database, server_version=version)
    return found("pg_restore"), found("psql")


def _begin(settings: Settings, data: DataDirectory, journal: Path | None) -> Restored:
    """The new epoch, in one commit."""
    store = open_store(settings, data, older=True).store
    try:
        # What was backed up while it moved would go on writing down what changes.
        move_changes.tidy(settings.database)
        made_at, head = store.read_now(deployment.made_at), store.read_now(read_head)
        known = store.read_now(restores.last_change)
        found = None if journal is None else _replay_of(journal, known, data, made_at)
        epoch = _next_epoch(data, head.epoch)
        gathered = store.gather_now(lambda read, request: None, None)  # noqa: ARG005
        event = DeploymentRestored(epoch, head.position, found)
        store.commit_now((event,), gathered, Context(f"local:{os.getuid()}"), store.now())
        after = store.read_now(read_head)
        high_water.reach(data.path, made_at, after.position)
        return Restored(head.position, epoch, found, store.read_now(restores.count_held))
    finally:
        store.dispose()


def _next_epoch(data: DataDirectory, epoch: int) -> int:
    return max(epoch + 1, int(time.time()) // MINUTE, *(one + 1 for one in high_water.epochs(data.path)))


def _replay_of(file: Path, known: replay.Entry | None, data: DataDirectory, made_at: int) -> Replay:
    """Of the whole journal: one that ends early would let come back what was revoked later."""
    try:
        with file.open(encoding="utf-8") as lines:
            found = replay.read(_entries(lines), known)
    except (ValueError, NotThisJournal) as problem:
        raise CannotRestore(f"{file} is not the journal that goes on from the backup: {problem}", *_JOURNAL) from None
    marked = high_water.marked(data.path, made_at)
    if marked is not None and found.until < marked.seq:
        raise CannotRestore(f"{file} ends at {found.until}, and the database had come to {marked.seq}", *_JOURNAL)
    return found


_JOURNAL = (
    "export it anew, from the database that was lost, if it can still be read: doorward audit export",
    "leave --journal out: every long-lived secret is held then, until you resume it",
)


def _entries(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        entry = json.loads(line)
        if not isinstance(entry, dict):
            raise NotThisJournal("a line is no object")
        yield entry


def held(settings: Settings, data: DataDirectory, limit: int) -> tuple[dict[str, int], list[tuple[str, str, str]]]:
    """How many of each kind, and some of them by kind, id and name."""
    store = open_store(settings, data).store
    try:
        return store.read_now(restores.count_held), store.read_now(partial(restores.list_held, limit=limit))
    finally:
        store.dispose()


def resume_held(settings: Settings, data: DataDirectory, named: Iterable[str]) -> int:
    """Beside running servers; how many were resumed. Without names, all."""
    store, wanted, resumed = open_store(settings, data).store, frozenset(named), 0
    try:
        while number := _resume_some(store, wanted):
            resumed += number
        return resumed
    finally:
        store.dispose()


def _resume_some(store: Store, wanted: frozenset[str]) -> int:
    def facts(read: Reader, _: None) -> tuple[resume.Held, ...]:
        return restores.held(read, wanted)

    for _ in range(ATTEMPTS):
        gathered = store.gather_now(facts, None)
        moment = Moment(store.now(), os.urandom, gathered.position)
        events = resume.resume(gathered.facts, moment).events
        try:
            if events:
                store.commit_now(events, gathered, Context(f"local:{os.getuid()}"), moment.now)
        except Stale:
            continue
        return len(events)
    raise Stale
