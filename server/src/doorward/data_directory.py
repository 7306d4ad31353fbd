"""The data directory: database, master key, pepper, local CA and certificate; 0700, its files 0600.

Secrets are made for an empty database only: a fresh key beside an old database could read nothing of it.
"""

import base64
import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from doorward.refusals import exposed_directory, tracked_directory
from doorward.settings import (
    REMEMBERED,
    SERVED_FILE,
    Refusal,
    Settings,
    StartRefused,
    decode_secret,
    pepper_texts,
)

MASTER_KEY_FILE = "master.key"
PEPPER_FILE = "pepper"
CA_FILE = "ca.pem"
CA_KEY_FILE = "ca.key"
CERTIFICATE_FILE = "server.pem"
SETUP_LINK_FILE = "setup-link"
_CA_KEY_PURPOSE = b"doorward local CA key, version 1"


@dataclass(frozen=True, slots=True)
class DataDirectory:
    path: Path
    master_key: bytes = field(repr=False)
    peppers: Mapping[int, bytes] = field(repr=False)
    pepper_version: int
    ca_file: Path | None
    created: bool

    @classmethod
    def open(cls, settings: Settings) -> "DataDirectory":
        """Opens it, and makes what is missing where nothing can be lost by that."""
        path = settings.data_dir.absolute()
        _refuse_unsafe(settings)
        _make_private(path)
        with _alone_in(path):
            created = not (path / MASTER_KEY_FILE).exists() and settings.secret("master_key") is None
            _write_once(path / ".gitignore", "*\n")
            empty = _is_empty(settings.database)
            master_key = _master_key(path, settings, empty)
            peppers = _peppers(path, settings, empty)
            ca_file = _authority(path, settings, master_key) if settings.local_ca() else None
            _make_database(settings.database)
        return cls(path, master_key, MappingProxyType(peppers), max(peppers), ca_file, created)

    @property
    def fingerprint(self) -> str:
        """Tells whether a database belongs to these secrets, and nothing about them."""
        secrets_together = b"".join(self.peppers[version] for version in sorted(self.peppers))
        return hmac.new(self.master_key, b"doorward fingerprint" + secrets_together, hashlib.sha256).hexdigest()

    def certificate(self, settings: Settings) -> Path:
        """Key and certificate of the server in one file, renewed when less than 30 days are left."""
        from doorward import local_ca

        path, now, names = self.path / CERTIFICATE_FILE, datetime.now(UTC), settings.names()
        with _alone_in(self.path):
            authority = (self.path / CA_FILE).read_bytes()
            if not path.exists() or not local_ca.still_good(path.read_bytes(), authority, names, now):
                key = _unseal(self.master_key, (self.path / CA_KEY_FILE).read_text("ascii"))
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
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        write_private(path, text.encode())


def _refuse_unsafe(settings: Settings) -> None:
    refusals = [found for look in (exposed_directory, tracked_directory) if (found := look(settings))]
    if refusals:
        raise StartRefused(*refusals)


def _make_private(path: Path) -> None:
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


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _master_key(path: Path, settings: Settings, empty: bool) -> bytes:
    file = path / MASTER_KEY_FILE
    text = settings.secret("master_key")
    if text is None and not file.exists():
        if not empty or (path / CA_KEY_FILE).exists():
            raise _lost("master key", file)
        write_private(file, _encode(secrets.token_bytes(32)).encode() + b"\n")
    value = decode_secret(text if text is not None else file.read_text("utf-8").strip())
    if value is None or len(value) != 32:
        raise _lost("master key", file)
    return value


def _peppers(path: Path, settings: Settings, empty: bool) -> dict[int, bytes]:
    file = path / PEPPER_FILE
    text = settings.secret("pepper")
    if text is None and not file.exists():
        if not empty:
            raise _lost("pepper", file)
        write_private(file, json.dumps({"1": _encode(secrets.token_bytes(32))}).encode() + b"\n")
    found = pepper_texts(text if text is not None else file.read_text("utf-8").strip())
    peppers = {int(v): decode_secret(value or "") for v, value in found.items() if v.isascii() and v.isdigit()}
    good = {version: value for version, value in peppers.items() if value is not None and len(value) == 32}
    if not good or len(good) != len(found):
        raise _lost("pepper", file)
    return good


def _authority(path: Path, settings: Settings, master_key: bytes) -> Path:
    from doorward import local_ca

    file, key_file, names = path / CA_FILE, path / CA_KEY_FILE, settings.names()
    if not file.exists() or not key_file.exists():
        certificate, key = local_ca.new_authority(names, datetime.now(UTC))
        write_private(key_file, _seal(master_key, key).encode())
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
    return _encode(nonce + AESGCM(_purpose_key(master_key)).encrypt(nonce, content, _CA_KEY_PURPOSE)) + "\n"


def _unseal(master_key: bytes, text: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sealed = decode_secret(text.strip()) or b""
    try:
        return AESGCM(_purpose_key(master_key)).decrypt(sealed[:12], sealed[12:], _CA_KEY_PURPOSE)
    except (InvalidTag, ValueError):
        ways = (
            "give the master key that made it",
            "bring a certificate: --tls-cert FILE --tls-key FILE",
            f"make a new CA, which everybody must trust anew: remove {CA_FILE} and {CA_KEY_FILE}",
        )
        raise StartRefused(Refusal("the key of the local CA does not open with this master key", ways)) from None
