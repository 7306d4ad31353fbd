"""The history of a git repository as streams: every version of every file, and every message, each once.

What was amended or reset away is looked at too, for as long as git has it: whoever fetched it has it as well.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

from doorward.cli.failure import FAILED, Failure
from doorward.cli.scan_sources import Source, git, git_environment
from doorward.cli.scan_text import CHUNK


def of_repository(folder: Path) -> Iterator[Source]:
    """Raises Failure where git is not there or knows no repository."""
    paths = _objects(folder)
    words, pipe = git(folder, "cat-file", "--batch"), subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, env=git_environment()) as running:  # noqa: S603
        assert running.stdin is not None
        assert running.stdout is not None
        # The names are written beside the reading: one pipe would wait for the other.
        threading.Thread(target=_ask, args=(running.stdin, list(paths)), daemon=True).start()
        while header := running.stdout.readline():
            id_, kind, *size = header.decode("ascii", "replace").split()
            if not size:
                continue  # a shallow clone misses some
            body = _Body(running.stdout, int(size[0]))
            if kind in ("blob", "commit", "tag"):
                name = f"{folder}:{paths.get(id_) or kind}@{id_[:12]}"
                yield Source(name, body.chunks(), detail=partial(_commit_of, folder, id_, kind))
            body.pass_over()


class _Body:
    """One object of the batch: exactly so many bytes, and a line break."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._left = stream, size

    def chunks(self) -> Iterator[bytes]:
        while self._left > 0:
            chunk = self._stream.read(min(CHUNK, self._left))
            if not chunk:
                return
            self._left -= len(chunk)
            yield chunk

    def pass_over(self) -> None:
        for _ in self.chunks():
            pass
        self._stream.read(1)


def _ask(stdin: IO[bytes], ids: list[str]) -> None:
    try:
        for id_ in ids:
            stdin.write(f"{id_}\n".encode())
        stdin.close()
    except OSError:
        pass  # git has ended, and whoever reads its answers hears of it


def _objects(folder: Path) -> dict[str, str]:
    """Every object that a branch, tag or reflog leads to, with a path that it had."""
    try:
        listed = subprocess.run(  # noqa: S603
            git(folder, "rev-list", "--objects", "--all", "--reflog"),
            capture_output=True, check=True, env=git_environment(),
        )  # fmt: skip
    except FileNotFoundError:
        raise Failure("git is not installed, and the history cannot be read without it", exit_code=FAILED) from None
    except subprocess.CalledProcessError:
        raise Failure(f"{folder} is no git repository", exit_code=FAILED) from None
    lines = listed.stdout.decode("utf-8", "surrogateescape").splitlines()
    return {id_: path for id_, _, path in (line.partition(" ") for line in lines)}


def _commit_of(folder: Path, id_: str, kind: str) -> dict[str, str]:
    """The commit that brought an object."""
    if kind != "blob":
        return {"commit": id_}
    words = git(folder, "log", "--all", "--reflog", "--format=%H", f"--find-object={id_}")
    done = subprocess.run(words, capture_output=True, check=False, env=git_environment())  # noqa: S603
    commits = done.stdout.decode("ascii", "replace").split()
    return {"commit": commits[-1]} if commits else {}
