"""The data directory: database, master key, pepper, local CA and certificate; 0700, its files 0600.

Secrets are made for an empty database only: a fresh key beside an old database could read nothing of it.
"""

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from doorward import held_secrets
from doorward.held_secrets import HeldSecrets, Versions
from doorward.refusals import exposed_directory, tracked_directory, unverified_database
from doorward.settings import (
    REMEMBERED,
    SERVED_FILE,
    Refusal,
    Settings,
    StartRefused,
    decode_secret,
)

MASTER_KEY_FILE = "master.key"
PEPPER_FILE = "pepper"
CA_FILE = "ca.pem"
CA_KEY_FILE = "ca.key"
CERTIFICATE_FILE = "server.pem"
SETUP_LINK_FILE = "setup-link"
MOVING_FILE = "moving.lock"
SERVING_FILE = "serving.lock"
_CA_KEY_PURPOSE = b"doorward local CA key, version 1"


@dataclass(frozen=True, slots=True)
class DataDirectory:
    path: Path
    ca_file: Path | None
    created: bool

    @classmethod
    def open(cls, settings: Settings) -> "DataDirectory":
        """Opens it, and makes what is missing where nothing can be lost by that."""
        path = settings.data_dir.absolute()
        _refuse_unsafe(settings)
        make_private(path)
        with _alone_in(path):
            created = not (path / MASTER_KEY_FILE).exists() and settings.secret("master_key") is None
            _write_once(path / ".gitignore", "*\n")
            empty = _is_empty(settings.database)
            held = HeldSecrets(_master_keys(path, settings, empty), _peppers(path, settings, empty))
            ca_file = _authority(path, settings, held.master_keys) if settings.local_ca() else None
            _make_database(settings.database)
        return cls(path, ca_file, created)

    def secrets(self, settings: Settings) -> HeldSecrets:
        """As they are now: others may have rotated them since this process began."""
        return HeldSecrets(_master_keys(self.path, settings, False), _peppers(self.path, settings, False))

    def keep(self, held: HeldSecrets) -> None:
        """Writes them in place of those that were there, each file at once."""
        write_private(self.path / MASTER_KEY_FILE, held_secrets.text(held.master_keys).encode())
        write_private(self.path / PEPPER_FILE, held_secrets.text(held.peppers).encode())

    def reseal(self, held: HeldSecrets) -> None:
        """Puts the key of the local CA under the newest master key; any that is held opens it."""
        file = self.path / CA_KEY_FILE
        if file.exists():
            key = _unseal(held.master_keys, file.read_text("ascii"))
            write_private(file, _seal(held.master_keys[held.newest.master_key], key).encode())

    def alone(self) -> AbstractContextManager[None]:
        """Whoever changes several files here is the only one."""
        return _alone_in(self.path)

    @contextmanager
    def moving(self) -> Iterator[bool]:
        """True for the one process that may move the database, while servers go on in this directory."""
        descriptor = os.open(self.path / MOVING_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(descriptor)

    def serving(self) -> int:
        """From now until the end of this process and of its workers; its descriptor. Raises StartRefused."""
        descriptor = os.open(self.path / SERVING_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            ways = ("wait until it is done", "name another directory with --data-dir", "see who runs doorward restore")
            raise StartRefused(Refusal("a backup is being restored to this data directory", ways)) from None
        return descriptor

    @contextmanager
    def unserved(self) -> Iterator[bool]:
        """Whether no server runs from here; none starts meanwhile."""
        descriptor = os.open(self.path / SERVING_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            yield _taken(descriptor)
        finally:
            os.close(descriptor)

    def certificate(self, settings: Settings) -> Path:
        """Key and certificate of the server in one file, renewed when less than 30 days are left."""
        from doorward import local_ca

        path, now, names = self.path / CERTIFICATE_FILE, datetime.now(UTC), settings.names()
        with _alone_in(self.path):
            authority = (self.path / CA_FILE).read_bytes()
            if not path.exists() or not local_ca.still_good(path.read_bytes(), authority, names, now):
                held = self.secrets(settings)
                key = _unseal(held.master_keys, (self.path / CA_KEY_FILE).read_text("ascii"))
                write_private(path, local_ca.issue(authority, key, names, now))
        return path

    def remember(self, settings: Settings) -> None:
        """What `serve` was told, so that the command line beside it names the same issuer and database."""
        given = settings.model_dump(mode="json", include=set(REMEMBERED) & settings.model_fields_set)
        for name in ("tls_cert", "tls_key"):
            if given.get(name):
                given[name] = str(Path(given[name]).absolute())
        write_private(self.path / SERVED_FILE, json.dumps(given, indent=2).encode() + b"\n")

    def write_setup_link(self, link: str) -> Path:
        write_private(self.path / SETUP_LINK_FILE, f"{link}\n".encode())
        return self.path / SETUP_LINK_FILE

    def remove_setup_link(self) -> None:
        (self.path / SETUP_LINK_FILE).unlink(missing_ok=True)


def database_path(url: str) -> Path | None:
    """The file of an SQLite URL (three slashes: relative, four: absolute); None for any other database."""
    parts = urlsplit(url)
    if parts.scheme.partition("+")[0] != "sqlite" or parts.path in ("", "/", "/:memory:"):
        return None
    return Path(unquote(parts.path[1:])).absolute()


def write_private(path: Path, content: bytes) -> None:
    """All or nothing, on the disk before it counts, and never readable by others for a moment."""
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A private file that has its name once it is whole and on the disk."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    settle(path.parent)


def settle(directory: Path) -> None:
    """What was renamed in it stays so."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        write_private(path, text.encode())


def _refuse_unsafe(settings: Settings) -> None:
    looks = (exposed_directory, tracked_directory, unverified_database)
    refusals = [found for look in looks if (found := look(settings))]
    if refusals:
        raise StartRefused(*refusals)


def make_private(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Another first start may make it meanwhile.
            path.mkdir(mode=0o700, exist_ok=True)
            path.chmod(0o700)
    except OSError as error:
        ways = (
            "name another with --data-dir",
            "let this user write there",
            "make it yourself, with mode 700",
        )
        raise StartRefused(Refusal(f"the data directory {path} cannot be made: {error.strerror}", ways)) from None


@contextmanager
def _alone_in(path: Path) -> Iterator[None]:
    """Two first starts at once must not make two master keys."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_empty(url: str) -> bool:
    # Of a database on a server nothing is known here: its fingerprint is compared once it is open.
    file = database_path(url)
    return file is None or not file.exists() or file.stat().st_size == 0


def _lost(what: str, path: Path) -> StartRefused:
    ways = (
        f"put {path.name} back from its export or a backup",
        "name it with DOORWARD__MASTER_KEY_FILE and DOORWARD__PEPPER_FILE",
        "start with another --data-dir, which makes new keys and an empty database",
    )
    return StartRefused(Refusal(f"there is a database but no usable {what} ({path}): it could read nothing", ways))


def _make_database(url: str) -> None:
    """An empty file of our mode: SQLite would make it readable by others, and its log takes the mode from it."""
    file = database_path(url)
    if file is not None and not file.exists() and file.parent.is_dir():
        write_private(file, b"")


def _master_keys(path: Path, settings: Settings, empty: bool) -> Versions:
    file = path / MASTER_KEY_FILE
    text = settings.secret("master_key")
    if text is None and not file.exists():
        if not empty or (path / CA_KEY_FILE).exists():
            raise _lost("master key", file)
        write_private(file, held_secrets.encode(secrets.token_bytes(32)).encode() + b"\n")
    return _usable("master key", text, file)


def _peppers(path: Path, settings: Settings, empty: bool) -> Versions:
    file = path / PEPPER_FILE
    text = settings.secret("pepper")
    if text is None and not file.exists():
        if not empty:
            raise _lost("pepper", file)
        write_private(file, held_secrets.text({1: secrets.token_bytes(32)}).encode())
    return _usable("pepper", text, file)


def _usable(what: str, text: str | None, file: Path) -> Versions:
    found = held_secrets.read(text if text is not None else file.read_text("utf-8"))
    if found is None:
        raise _lost(what, file)
    return found


def _authority(path: Path, settings: Settings, master_keys: Versions) -> Path:
    from doorward import local_ca

    file, key_file, names = path / CA_FILE, path / CA_KEY_FILE, settings.names()
    if not file.exists() or not key_file.exists():
        certificate, key = local_ca.new_authority(names, datetime.now(UTC))
        write_private(key_file, _seal(master_keys[max(master_keys)], key).encode())
        write_private(file, certificate)
    elif not local_ca.permits(file.read_bytes(), names):
        raise StartRefused(_outside_authority(file, key_file, names))
    return file


def _outside_authority(file: Path, key_file: Path, names: tuple[str, ...]) -> Refusal:
    return Refusal(
        f"the local CA may not sign for all of {', '.join(names)}: its names were fixed when it was made",
        (
            "start with the issuer and the --host-name of the first start",
            "bring a certificate: --tls-cert FILE --tls-key FILE",
            f"make a new CA, which everybody must trust anew: rm {file} {key_file}",
        ),
    )


def _purpose_key(master_key: bytes) -> bytes:
    # One step of HKDF-Expand (RFC 5869 §2.3): the master key is uniform already.
    return hmac.new(master_key, _CA_KEY_PURPOSE + b"\x01", hashlib.sha256).digest()


def _seal(master_key: bytes, content: bytes) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(12)
    return held_secrets.encode(nonce + AESGCM(_purpose_key(master_key)).encrypt(nonce, content, _CA_KEY_PURPOSE)) + "\n"


def _unseal(master_keys: Versions, text: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sealed = decode_secret(text.strip()) or b""
    for version in sorted(master_keys, reverse=True):
        with suppress(InvalidTag, ValueError):
            return AESGCM(_purpose_key(master_keys[version])).decrypt(sealed[:12], sealed[12:], _CA_KEY_PURPOSE)
    ways = (
        "give the master key that made it",
        "bring a certificate: --tls-cert FILE --tls-key FILE",
        f"make a new CA, which everybody must trust anew: remove {CA_FILE} and {CA_KEY_FILE}",
    )
    raise StartRefused(Refusal("the key of the local CA does not open with this master key", ways))
