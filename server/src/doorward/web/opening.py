"""The store, opened with the secrets that are current in it, and kept with them when they rotate (decision 22)."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from doorward import high_water
from doorward.data_directory import DataDirectory, database_path
from doorward.held_secrets import Current, HeldSecrets
from doorward.protocol.policy import DAY
from doorward.protocol.secret import Pepper
from doorward.settings import Refusal as StartProblem
from doorward.settings import Settings, StartRefused
from doorward.sign import Keyring
from doorward.store import copies, deployment, move_changes, schema
from doorward.store.engine import open_engine
from doorward.store.retention import HOUR, Retention
from doorward.store.store import Store
from doorward.store.writer import Unavailable
from doorward.web.runtime import policy

log = logging.getLogger("doorward")
SECRETS = "deployment/secrets"
LOOK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Opened:
    """`current` says which of the secrets that are held the database was made with."""

    store: Store
    keyring: Keyring
    held: HeldSecrets
    current: Current


def open_store(settings: Settings, data: DataDirectory, *, older: bool = False) -> Opened:
    """Reads the secrets anew: they may have been rotated since `data` was opened.

    `older`: the database may be older than what was served from here; whoever says so begins another epoch.
    """
    engine, held = open_engine(settings.database), data.secrets(settings)
    known = held.fingerprints()
    try:
        found = schema.prepare(engine, held.fingerprint(held.newest), int(time.time()), known)
        current = known[found]
        store = Store(engine, policy(settings, held.peppers, current.pepper), kept(settings))
        if not older:
            high_water.refuse_older(data.path, store.read_now(deployment.made_at), store.reached)
    except schema.WrongSecrets:
        raise StartRefused(_WRONG_SECRETS) from None
    except schema.SchemaTooNew:
        raise StartRefused(_TOO_NEW) from None
    except schema.Closed as closed:
        raise StartRefused(_closed(closed.mark)) from None
    except Unavailable:
        raise StartRefused(UNREACHABLE) from None
    keyring = Keyring(held.master_keys, current.master_key)
    store.memory.heeded[SECRETS] = Turning(settings, data, store, keyring)
    return Opened(store, keyring, held, current)


def kept(settings: Settings) -> Retention:
    audit = settings.audit
    return Retention(audit.retention * DAY or None, audit.token_records * HOUR, audit.archive)


def refuse_damaged(settings: Settings) -> None:
    """At the start of a server, as far as a look of some seconds goes; PostgreSQL looks after its own pages."""
    file = database_path(settings.database)
    if file is None or not file.exists() or file.stat().st_size == 0:
        return
    try:
        copies.look_over(file, LOOK_SECONDS)
    except copies.Damaged:
        raise StartRefused(_DAMAGED) from None


def tidy(settings: Settings, data: DataDirectory) -> None:
    """What a move left that was killed, unless one is under way: it would go on writing down what changes."""
    with data.moving() as alone:
        if alone:
            move_changes.tidy(settings.database)


@dataclass(slots=True)
class Turning:
    """What a worker does when the secrets rotated, before it reads anything that was made with the new ones."""

    settings: Settings
    data: DataDirectory
    store: Store
    keyring: Keyring
    alarmed: bool = False

    def __call__(self, connection: Connection) -> None:
        """Raises Unavailable until the new ones are at hand: with the old ones it would refuse what is good."""
        held = self._held()
        current = held.fingerprints().get(schema.current_fingerprint(connection) or "") if held else None
        if held is None or current is None:
            if not self.alarmed:
                log.error("the master key or pepper was rotated, and this process cannot read the new ones")
            self.alarmed = True
            raise Unavailable("the secrets were rotated")
        self.alarmed = False
        self.keyring.become(held.master_keys, current.master_key)
        pepper = Pepper(held.peppers, current.pepper)
        self.store.policy = replace(self.store.policy, pepper=pepper)

    def _held(self) -> HeldSecrets | None:
        try:
            return self.data.secrets(self.settings)
        except (OSError, StartRefused):
            return None


def _closed(mark: schema.Mark) -> StartProblem:
    if mark.state != "moved":
        return _FILLING
    return StartProblem(
        f"the database moved to {mark.where}: what is written here would be lost",
        (
            f'serve that one: database = "{mark.where}", with its password if it has one',
            "if it moved just now and is not open yet, end the move: the same `doorward migrate --to` again",
            "start with another --data-dir or --database",
        ),
    )


UNREACHABLE = StartProblem(
    "the database does not answer",
    (
        "start it, or see that this user may connect and write",
        "correct the URL: --database, DOORWARD__DATABASE or database in doorward.toml",
        "leave --database out: SQLite in the data directory",
    ),
)
_WRONG_SECRETS = StartProblem(
    "the database was made with another master key or pepper: it could read nothing of it",
    (
        "put back the master.key and pepper files that belong to it",
        "name them with DOORWARD__MASTER_KEY_FILE and DOORWARD__PEPPER_FILE",
        "start with another --data-dir or --database",
    ),
)
_FILLING = StartProblem(
    "the database is being filled by `doorward migrate --to`, or a move to it was broken off",
    (
        "wait for the end of the move",
        "begin it again, with the same command: it starts anew or ends what is missing",
        "serve the database that it is moved from",
    ),
)
_DAMAGED = StartProblem(
    "the database is damaged: pages of it are not what was written",
    (
        "restore the last backup: doorward restore FILE --force",
        "put back a copy of the file that is whole, with its -wal beside it",
        "start with another --data-dir or --database",
    ),
)
_TOO_NEW = StartProblem(
    "the database was written by a newer version of Doorward",
    (
        "start that version",
        "restore a backup that this version made",
        "start with another --data-dir or --database",
    ),
)
