"""Master key, pepper and local CA in one file that a passphrase opens, to be kept apart from the backups (decision 22).

{"doorward": "secrets", "format": 1, "kdf": {"name": "scrypt", "n": 131072, "r": 8, "p": 1, "salt": "..."},
 "nonce": "...", "created_at": 1795559999, "issuer": "https://...", "sealed": "AES-256-GCM of the rest"}

All but `sealed` is authenticated with it, and names nothing secret.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doorward import held_secrets
from doorward.data_directory import (
    CA_FILE,
    CA_KEY_FILE,
    MASTER_KEY_FILE,
    PEPPER_FILE,
    DataDirectory,
    make_private,
    write_private,
)
from doorward.held_secrets import HeldSecrets
from doorward.settings import Settings, decode_secret

FORMAT = 1
SHORTEST = 12
COST = {"name": "scrypt", "n": 1 << 17, "r": 8, "p": 1}
# What somebody else's file may cost: 1 GiB.
DEAREST = 1 << 20
LIMIT = 1 << 20
# In the data directory: which secrets the last export holds.
MARK_FILE = "exported.json"
CA_FILES = (CA_FILE, CA_KEY_FILE)


class NotOpened(Exception):  # noqa: N818  an answer
    """The passphrase is another one, or the file is no export; nobody can tell which."""


@dataclass(frozen=True, slots=True)
class Export:
    """`files` are those of the local CA, its key as it is sealed under the master key."""

    held: HeldSecrets = field(repr=False)
    files: Mapping[str, str] = field(repr=False)


def collect(directory: Path, held: HeldSecrets) -> Export:
    files = {name: (directory / name).read_text("ascii") for name in CA_FILES if (directory / name).exists()}
    return Export(held, files)


def seal(export: Export, passphrase: str, issuer: str, now: int) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = os.urandom(16), os.urandom(12)
    head = {
        "doorward": "secrets", "format": FORMAT, "kdf": {**COST, "salt": held_secrets.encode(salt)},
        "nonce": held_secrets.encode(nonce), "created_at": now, "issuer": issuer,
    }  # fmt: skip
    content = {
        "master_key": held_secrets.text(export.held.master_keys), "pepper": held_secrets.text(export.held.peppers),
        "files": dict(export.files),
    }  # fmt: skip
    sealed = AESGCM(_key(passphrase, head["kdf"])).encrypt(nonce, json.dumps(content).encode(), _bound(head))
    return json.dumps({**head, "sealed": held_secrets.encode(sealed)}, indent=1).encode() + b"\n"


def unseal(text: bytes, passphrase: str) -> Export:
    """Raises NotOpened."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        head: dict[str, Any] = json.loads(text)
        sealed, nonce = _bytes(head.pop("sealed")), _bytes(head["nonce"])
        opened = json.loads(AESGCM(_key(passphrase, head["kdf"])).decrypt(nonce, sealed, _bound(head)))
        master_keys, peppers = (held_secrets.read(opened[name]) for name in ("master_key", "pepper"))
        if head["format"] != FORMAT or master_keys is None or peppers is None:
            raise NotOpened
        return Export(HeldSecrets(master_keys, peppers), {name: opened["files"][name] for name in opened["files"]})
    except (InvalidTag, ValueError, KeyError, TypeError, AttributeError):
        raise NotOpened from None


def _key(passphrase: str, kdf: Any) -> bytes:
    """Dear enough that a passphrase which somebody could remember is not tried out."""
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    if kdf["name"] != "scrypt" or kdf["n"] * kdf["r"] * kdf["p"] > DEAREST * 8 or kdf["n"] < COST["n"]:
        raise ValueError("not a cost of ours")
    return Scrypt(salt=_bytes(kdf["salt"]), length=32, n=kdf["n"], r=kdf["r"], p=kdf["p"]).derive(passphrase.encode())


def _bound(head: Mapping[str, Any]) -> bytes:
    return json.dumps(head, sort_keys=True, separators=(",", ":")).encode()


def _bytes(text: str) -> bytes:
    found = decode_secret(text)
    if found is None:
        raise ValueError("not base64url")
    return found


def mark(directory: Path, held: HeldSecrets, now: int) -> None:
    """From now on nobody is asked to export them."""
    told = {"fingerprint": held.fingerprint(held.newest), "exported_at": now}
    write_private(directory / MARK_FILE, json.dumps(told).encode() + b"\n")


def is_exported(directory: Path, held: HeldSecrets) -> bool:
    """Whether these very secrets were, and not those of before a rotation."""
    try:
        told = json.loads((directory / MARK_FILE).read_text("utf-8"))
        return bool(told["fingerprint"] == held.fingerprint(held.newest))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def is_nagged(data: DataDirectory, settings: Settings) -> bool:
    """Whether its owner must still be told to export them; who keeps them elsewhere has done so."""
    if None not in (settings.secret("master_key"), settings.secret("pepper")):
        return False
    return not is_exported(data.path, data.secrets(settings))


def are_missing(settings: Settings) -> bool:
    kept = ((settings.secret("master_key"), MASTER_KEY_FILE), (settings.secret("pepper"), PEPPER_FILE))
    return any(text is None and not (settings.data_dir / file).exists() for text, file in kept)


def bring(export: Export, settings: Settings, *, replace: bool) -> bool:
    """Puts them into the data directory; False, and nothing is changed, where others are that may not be replaced."""
    directory = settings.data_dir.absolute()
    texts = {
        MASTER_KEY_FILE: held_secrets.text(export.held.master_keys),
        PEPPER_FILE: held_secrets.text(export.held.peppers),
        **{name: text for name, text in export.files.items() if name in CA_FILES},
    }
    there = {name for name in texts if (directory / name).exists()}
    if not replace and any(not _is_same(directory / name, texts[name]) for name in there):
        return False
    make_private(directory)
    for name, text in texts.items():
        if name not in there or replace:
            write_private(directory / name, text.encode())
    return True


def _is_same(file: Path, text: str) -> bool:
    """Versions may be written in another way, and a CA's key is sealed anew now and then."""
    if file.name not in (MASTER_KEY_FILE, PEPPER_FILE):
        return True
    return held_secrets.read(file.read_text("utf-8")) == held_secrets.read(text)
