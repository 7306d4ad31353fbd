"""What there is to scan: files, folders, archives, the history of a git repository, standard input; as named streams.

Nothing is kept in memory but the chunk at hand, and nothing is unpacked onto the disk.
"""

from __future__ import annotations

import errno
import fnmatch
import gzip
import io
import lzma
import os
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any

from doorward.cli.scan_text import CHUNK

IGNORE_FILE = ".doorwardignore"
DEEPEST_ARCHIVE = 3
UNPACKED_LIMIT = 8 << 30
ZIP, GZIP = b"PK\x03\x04", b"\x1f\x8b"
TAR_NAMES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


@dataclass(frozen=True, slots=True)
class Source:
    """`name` says where it is; `again` opens it once more where that is possible, so that lines can be counted."""

    name: str
    chunks: Iterable[bytes]
    again: Callable[[], IO[bytes]] | None = None
    detail: Callable[[], dict[str, str]] = dict


@dataclass(slots=True)
class Skipped:
    """What could not be read, and why."""

    told: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, fault: BaseException | str) -> None:
        why = fault if isinstance(fault, str) else getattr(fault, "strerror", None) or type(fault).__name__
        self.told.append((name, str(why).lower()))


def read_on(stream: Any) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk


def of_path(path: Path, skipped: Skipped, *, ignoring: bool = True) -> Iterator[Source]:
    """A file, or all files of a folder but those that git or a `.doorwardignore` ignores.

    Of files that are named themselves, as hooks name them, those are left out that the working directory's ignores.
    """
    if not path.is_dir():
        patterns = ignored(path) if ignoring else []
        if path.is_symlink():
            skipped.add(str(path), "it is a symbolic link")
        elif not any(_matches(path.as_posix(), pattern) for pattern in patterns):
            yield from of_file(path, skipped)
        return
    for file in _files(path, skipped, ignoring):
        yield from of_file(file, skipped)


def _files(folder: Path, skipped: Skipped, ignoring: bool) -> Iterator[Path]:
    patterns = ignored(folder) if ignoring else []
    listed = _known_to_git(folder) if ignoring else None
    for file in _walk(folder, skipped) if listed is None else listed:
        relative = file.relative_to(folder).as_posix()
        if not any(_matches(relative, pattern) for pattern in patterns):
            yield file


def _walk(folder: Path, skipped: Skipped) -> Iterator[Path]:
    for place, folders, files in os.walk(folder, onerror=lambda fault: skipped.add(str(fault.filename), fault)):
        folders[:] = sorted(name for name in folders if name != ".git")
        yield from (Path(place, name) for name in sorted(files))


def _known_to_git(folder: Path) -> list[Path] | None:
    """What is tracked, or could be: git knows best what its ignore files mean. None where there is no git."""
    words = git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
    try:
        done = subprocess.run(words, capture_output=True, check=True, env=git_environment())  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return [folder / os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def git(folder: Path, *words: str) -> list[str]:
    """Whoever made the repository does not have a program of his started by our looking at it."""
    return ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "-c", "log.showSignature=false", *words]


def git_environment() -> dict[str, str]:
    """Nor anything fetched: what is not there cannot be looked at."""
    return {**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}


def ignored(path: Path) -> list[str]:
    """Lines of a folder's `.doorwardignore`, of a file the working directory's: a path or pattern each; a secret is
    ignored by its public beginning.
    """
    folder = path if path.is_dir() else Path()
    try:
        lines = (folder / IGNORE_FILE).read_text("utf-8").splitlines()
    except OSError:
        return []
    return [line.strip().removeprefix("./") for line in lines if line.strip() and not line.startswith("#")]


def _matches(path: str, pattern: str) -> bool:
    if fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path.rpartition("/")[2], pattern):
        return True
    return path.startswith(pattern.rstrip("/") + "/")


def of_file(path: Path, skipped: Skipped) -> Iterator[Source]:
    """The file as it is, and what is packed in it."""
    name = str(path)
    try:
        if path.is_symlink() or not path.is_file():
            return
        # Most files are one chunk: they are read once, without a buffer between.
        with path.open("rb", buffering=0) as file:
            beginning = file.read(CHUNK)
            if _is_packed(name, beginning):
                file.seek(0)
                with io.BufferedReader(file) as packed:
                    yield from _unpacked(name, packed, beginning, _Unpacking(skipped), 1)
            else:
                yield Source(name, chain((beginning,), read_on(file)), lambda: path.open("rb"))
    except OSError as fault:
        skipped.add(name, fault)


def _is_packed(name: str, beginning: bytes) -> bool:
    return beginning.startswith((ZIP, GZIP)) or name.endswith(TAR_NAMES)


# What reading may end with; of a packed file also while its contents are looked at.
UNREADABLE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError,
    ValueError, OSError,
)  # fmt: skip


@dataclass(slots=True)
class _Unpacking:
    """One file with all that is packed in it: who packed it to keep us busy is left before long."""

    skipped: Skipped
    left: int = field(default_factory=lambda: UNPACKED_LIMIT)

    def take(self, chunk: bytes) -> bytes:
        self.left -= len(chunk)
        if self.left < 0:
            raise OSError(errno.EFBIG, "it unpacks to too much")
        return chunk

    def read_on(self, stream: Any) -> Iterator[bytes]:
        return map(self.take, read_on(stream))


def _unpacked(name: str, file: IO[bytes], beginning: bytes, within: _Unpacking, depth: int) -> Iterator[Source]:
    try:
        if name.endswith(TAR_NAMES):
            yield from _of_tar(name, file, within, depth)
        elif beginning.startswith(ZIP):
            yield from _of_zip(name, file, within, depth)
        else:
            yield Source(name, within.read_on(gzip.GzipFile(fileobj=file)))
    except UNREADABLE as fault:
        within.skipped.add(name, fault)


def _of_zip(name: str, file: IO[bytes], within: _Unpacking, depth: int) -> Iterator[Source]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            inner = f"{name}!{member.filename}"
            if member.flag_bits & 1:
                within.skipped.add(inner, "it is encrypted")
            elif not member.is_dir():
                with archive.open(member) as opened:
                    yield from _member(inner, opened, within, depth)


def _of_tar(name: str, file: IO[bytes], within: _Unpacking, depth: int) -> Iterator[Source]:
    with tarfile.open(fileobj=file, mode="r|*") as archive:
        for member in archive:
            opened = archive.extractfile(member) if member.isfile() else None
            if opened is not None:
                yield from _member(f"{name}!{member.name}", opened, within, depth)


def _member(name: str, opened: Any, within: _Unpacking, depth: int) -> Iterator[Source]:
    """An archive in an archive must be held as a whole to be read, so only small ones are looked into."""
    beginning = within.take(opened.read(CHUNK))
    if _is_packed(name, beginning) and depth < DEEPEST_ARCHIVE:
        whole = beginning + within.take(opened.read(256 * CHUNK))
        yield from _unpacked(name, io.BytesIO(whole), beginning, within, depth + 1)
        return
    yield Source(name, chain((beginning,), within.read_on(opened)))
