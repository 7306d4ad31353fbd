"""A backup: one tar file of the database and a manifest that says what it is. The secrets are not in it (decision 22).

manifest.json    {"format": 1, "doorward": "1.0.0", "engine": "sqlite", "schema": "0015", "issuer": "https://...",
                  "fingerprint": "...", "made_at": 1795467600, "epoch": 1, "seq": 1042, "created_at": 1795559999,
                  "sha256": "...", "size": 4096}
database         SQLite's file, or what `pg_dump --format=custom` wrote
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, BinaryIO

from doorward.data_directory import replacing
from doorward.protocol.moment import Position

FORMAT = 1
MANIFEST, DATABASE = "manifest.json", "database"
MANIFEST_LIMIT = 64 * 1024
CHUNK = 1 << 20

Progress = Callable[[int, int], None]


class NotABackup(Exception):  # noqa: N818  an answer
    """The file is none, is damaged, or is of a newer version; the text says which."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`made_at` is when the database was made, `seq` the last change in it; `size` and `sha256` are the member's."""

    format: int
    doorward: str
    engine: str
    schema: str
    issuer: str
    fingerprint: str
    made_at: int
    epoch: int
    seq: int
    created_at: int
    sha256: str
    size: int

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.seq)


def digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def pack(manifest: Manifest, database: Path, out: BinaryIO) -> None:
    """To a file or a pipe."""
    text = json.dumps(asdict(manifest), indent=1).encode()
    with tarfile.open(fileobj=out, mode="w|") as tar, database.open("rb") as content:
        tar.addfile(_member(MANIFEST, len(text), manifest), io.BytesIO(text))
        tar.addfile(_member(DATABASE, manifest.size, manifest), content)


def _member(name: str, size: int, manifest: Manifest) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, manifest.created_at, 0o600
    return member


def unpack(file: Path, database: Path, progress: Progress) -> Manifest:
    """Writes the database of the backup there, once it proved to be what was backed up. Raises NotABackup."""
    try:
        with tarfile.open(file, mode="r|") as tar:
            members = iter(tar)
            manifest = _manifest(tar, next(members, None))
            _copy(tar, next(members, None), manifest, database, progress)
    except (tarfile.TarError, EOFError):
        raise NotABackup("it is no backup, or was cut off") from None
    return manifest


def read_manifest(file: Path) -> Manifest:
    """Raises NotABackup."""
    try:
        with tarfile.open(file, mode="r|") as tar:
            return _manifest(tar, next(iter(tar), None))
    except (tarfile.TarError, EOFError):
        raise NotABackup("it is no backup, or was cut off") from None


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo | None, name: str) -> IO[bytes]:
    found = tar.extractfile(member) if member is not None and member.name == name and member.isfile() else None
    if found is None:
        raise NotABackup("it is no backup of Doorward")
    return found


def _manifest(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> Manifest:
    try:
        found = json.loads(_content(tar, member, MANIFEST).read(MANIFEST_LIMIT))
        if found.get("format") != FORMAT:
            raise NotABackup("a newer version of Doorward made it")
        manifest = Manifest(**{one.name: found[one.name] for one in fields(Manifest)})
    except (ValueError, KeyError, AttributeError):
        raise NotABackup("its manifest is damaged") from None
    kinds = {"str": str, "int": int}
    if any(type(getattr(manifest, one.name)) is not kinds[str(one.type)] for one in fields(Manifest)):
        raise NotABackup("its manifest is damaged")
    return manifest


def _copy(
    tar: tarfile.TarFile, member: tarfile.TarInfo | None, manifest: Manifest, to: Path, progress: Progress
) -> None:
    content, hashed, size = _content(tar, member, DATABASE), hashlib.sha256(), 0
    with replacing(to) as out:
        while chunk := content.read(CHUNK):
            hashed.update(chunk)
            out.write(chunk)
            size += len(chunk)
            progress(size, manifest.size)
        if (hashed.hexdigest(), size) != (manifest.sha256, manifest.size):
            raise NotABackup("its database is not the one that was backed up: the file was damaged or changed")
