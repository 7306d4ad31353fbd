"""The rotation of master key and pepper, beside running servers; after each of its steps the directory opens.

1. The next ones are written beside the current ones: everybody who opens the directory holds both, and uses the old.
2. The key of the local CA is sealed under the next master key: whoever holds both opens it.
3. One commit: signing keys under the next master key, and the next ones are current. Every worker hears of it before it
   reads anything that was made with them.
4. Later, and only if asked for: what nothing needs any more is forgotten.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from doorward import held_secrets
from doorward.data_directory import MASTER_KEY_FILE, PEPPER_FILE, DataDirectory, write_private
from doorward.held_secrets import Current, HeldSecrets
from doorward.protocol.entities import SigningKey
from doorward.protocol.signing_key_events import SecretsRotated, SigningKeyResealed
from doorward.settings import Settings
from doorward.sign import Keyring, Signer
from doorward.store import deployment, signing_keys
from doorward.store.journal import Context
from doorward.store.rows import Stale
from doorward.store.store import Store
from doorward.web.opening import Opened, open_store

ATTEMPTS = 10


class NotOurs(Exception):  # noqa: N818  an answer
    """The secrets are not files of the data directory: whoever put them where they are has to put the next ones."""


class StillNeeded(Exception):  # noqa: N818  an answer
    """A kept reply can be opened with an old master key only, until then."""

    def __init__(self, until: int) -> None:
        super().__init__(until)
        self.until = until


@dataclass(frozen=True, slots=True)
class Rotated:
    """`peppers_in_use` are older versions of the pepper, with the number of secrets that only they can check."""

    current: Current
    held: HeldSecrets
    peppers_in_use: dict[int, int]


def write_next(settings: Settings, data: DataDirectory, directory: Path) -> None:
    """What is held and the next of each, for whoever keeps them elsewhere."""
    opened = open_store(settings, data)
    opened.store.dispose()
    held = opened.held.with_next(opened.current)
    directory.mkdir(mode=0o700, exist_ok=True)
    write_private(directory / MASTER_KEY_FILE, held_secrets.text(held.master_keys).encode())
    write_private(directory / PEPPER_FILE, held_secrets.text(held.peppers).encode())


def rotate(settings: Settings, data: DataDirectory) -> Rotated:
    """Goes on where one before it was cut off. Raises NotOurs."""
    with data.alone():
        opened = open_store(settings, data)
        try:
            held = opened.held.with_next(opened.current)
            if held != opened.held:
                _ours(settings)
                data.keep(held)
            data.reseal(held)
            current = held.newest._replace(oldest_pepper=opened.current.oldest_pepper)
            _commit(opened.store, opened, held, current)
            return Rotated(current, held, _older_peppers(opened.store, current))
        finally:
            opened.store.dispose()


def drop_old(settings: Settings, data: DataDirectory) -> Rotated:
    """Forgets master keys before the current one, and peppers that no secret needs. Raises NotOurs and StillNeeded."""
    _ours(settings)
    with data.alone():
        opened = open_store(settings, data)
        try:
            until = opened.store.read_now(_kept_until)
            if until is not None and len(opened.held.master_keys) > 1:
                raise StillNeeded(until)
            older = _older_peppers(opened.store, opened.current)
            unused = [version for version in opened.held.peppers if version < opened.current.pepper]
            unused = [version for version in unused if version < min(older, default=opened.current.pepper)]
            gone = [version for version in opened.held.master_keys if version < opened.current.master_key]
            held = opened.held.without(gone, unused)
            current = opened.current._replace(oldest_pepper=max(min(held.peppers), opened.current.oldest_pepper))
            data.reseal(opened.held)
            _commit(opened.store, opened, held, current)
            data.keep(held)
            return Rotated(current, held, older)
        finally:
            opened.store.dispose()


def _ours(settings: Settings) -> None:
    if settings.secret("master_key") is not None or settings.secret("pepper") is not None:
        raise NotOurs


def _commit(store: Store, opened: Opened, held: HeldSecrets, current: Current) -> None:
    """In one transaction; another worker may turn a signing key in between."""
    before, after = opened.held.fingerprint(opened.current), held.fingerprint(current)
    if before == after:
        return
    signer = Signer(Keyring({**opened.held.master_keys, **held.master_keys}, current.master_key))
    turned = SecretsRotated(after, before, current.master_key, current.pepper)
    for _ in range(ATTEMPTS):
        gathered = store.gather_now(signing_keys.standing, None)
        resealed = (SigningKeyResealed(signer.resealed(key)) for key in _sealed(gathered.facts))
        try:
            store.commit_now((*resealed, turned), gathered, Context(f"local:{os.getuid()}"), store.now())
        except Stale:
            continue
        return
    raise Stale


def _sealed(keys: Iterable[SigningKey]) -> list[SigningKey]:
    return [key for key in keys if key.state in ("active", "pending")]


def _older_peppers(store: Store, current: Current) -> dict[int, int]:
    found = store.read_now(deployment.peppers_in_use)
    return {version: number for version, number in found.items() if version != current.pepper}


def _kept_until(connection: Connection) -> int | None:
    return deployment.replies_kept_until(connection, int(time.time()))
