"""The archive: what is pruned, as files of JSON lines that are durable before a row goes.

audit/journal-0000000001-000000000000001-000000000084211.jsonl     one line each, as `doorward audit export` writes them
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

MODE = 0o700


def write(directory: Path, name: str, lines: Iterable[bytes]) -> str:
    """Durable under its name when this returns: the SHA-256 of its text. Raises OSError, and leaves nothing then.

    A file of that name is of somebody who did the same, and died before he could say so.
    """
    directory.mkdir(MODE, parents=True, exist_ok=True)
    number, part = tempfile.mkstemp(prefix=f"{name}.", suffix=".part", dir=directory)
    try:
        with os.fdopen(number, "wb") as file:
            digest = _filled(file, lines)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(directory / name)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    _settle(directory)
    return digest


def _filled(file: BinaryIO, lines: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
        file.write(line)
    return digest.hexdigest()


def _settle(directory: Path) -> None:
    """The directory's own entry is durable too."""
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
