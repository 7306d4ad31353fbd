"""What there is to scan: files, folders, archives, the history of a git repository, standard input; as named streams.

Nothing is kept in memory but the chunk at hand, and nothing is unpacked onto the disk.
"""

from __future__ import annotations

import fnmatch
import gzip
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from doorward.cli.scan_text import CHUNK

IGNORE_FILE = ".doorwardignore"
DEEPEST_ARCHIVE = 3
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
    """A file, or all files of a folder but those that git or a `.doorwardignore` ignores."""
    if not path.is_dir():
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
    words = ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    try:
        done = subprocess.run(words, capture_output=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return [folder / os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def ignored(folder: Path) -> list[str]:
    """Lines of `.doorwardignore`: a path or pattern each; a secret is ignored by its public beginning."""
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
        with path.open("rb") as file:
            beginning = file.read(8)
            file.seek(0)
            if _is_packed(name, beginning):
                yield from _unpacked(name, file, beginning, skipped, 1)
            else:
                yield Source(name, read_on(file), lambda: path.open("rb"))
    except OSError as fault:
        skipped.add(name, fault)


def _is_packed(name: str, beginning: bytes) -> bool:
    return beginning.startswith((ZIP, GZIP)) or name.endswith(TAR_NAMES)


PACKED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError, RuntimeError, NotImplementedError, OSError)


def _unpacked(name: str, file: IO[bytes], beginning: bytes, skipped: Skipped, depth: int) -> Iterator[Source]:
    try:
        if name.endswith(TAR_NAMES):
            yield from _of_tar(name, file, skipped, depth)
        elif beginning.startswith(ZIP):
            yield from _of_zip(name, file, skipped, depth)
        else:
            yield Source(name, read_on(gzip.GzipFile(fileobj=file)))
    except PACKED as fault:
        skipped.add(name, fault)


def _of_zip(name: str, file: IO[bytes], skipped: Skipped, depth: int) -> Iterator[Source]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            inner = f"{name}!{member.filename}"
            if member.flag_bits & 1:
                skipped.add(inner, "it is encrypted")
            elif not member.is_dir():
                with archive.open(member) as opened:
                    yield from _member(inner, opened, skipped, depth)


def _of_tar(name: str, file: IO[bytes], skipped: Skipped, depth: int) -> Iterator[Source]:
    with tarfile.open(fileobj=file, mode="r|*") as archive:
        for member in archive:
            opened = archive.extractfile(member) if member.isfile() else None
            if opened is not None:
                yield from _member(f"{name}!{member.name}", opened, skipped, depth)


def _member(name: str, opened: Any, skipped: Skipped, depth: int) -> Iterator[Source]:
    """An archive in an archive must be held as a whole to be read, so only small ones are looked into."""
    beginning = opened.read(CHUNK)
    if _is_packed(name, beginning) and depth < DEEPEST_ARCHIVE:
        whole = beginning + opened.read(256 * CHUNK)
        yield from _unpacked(name, io.BytesIO(whole), beginning, skipped, depth + 1)
        return
    yield Source(name, _followed_by(beginning, opened))


def _followed_by(beginning: bytes, opened: Any) -> Iterator[bytes]:
    yield beginning
    yield from read_on(opened)
