"""The audit log as JSON lines, page by page, to a file that a second run goes on with or to the standard output.

{"seq":1042,"at":1795559999,"type":"ApiKeyRevoked","entity":"api_key","entity_id":"key_8sK2...",...,"kind":"change","data":{}}
"""

from __future__ import annotations

import contextlib
import json as jsonlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO

from doorward.cli.admin_api import AdminApi, Object
from doorward.cli.failure import USAGE, Failure
from doorward.protocol import replay

PAGE = 1_000
TAIL = 1 << 16
# Of every line.
BEGINNING = b'{"seq":'
# What comes before `since` a backup may know; what comes after `until` it does not.
LEAVES_OUT = ("type", "entity", "until")
Advance = Callable[[int, int], None]


@contextlib.contextmanager
def opened(name: str, *, resume: bool) -> Iterator[tuple[BinaryIO, int]]:
    """The file, and the `seq` of the last entry that is in it already. It is durable when this ends well."""
    if name == "-":
        yield sys.stdout.buffer, 0
        sys.stdout.buffer.flush()
        return
    try:
        number = os.open(name, os.O_RDWR | os.O_CREAT | (0 if resume else os.O_EXCL), 0o600)
    except FileExistsError:
        raise Failure(
            f"{name} is there already", "go on with it: --resume", "name another file", exit_code=USAGE
        ) from None
    except OSError as problem:
        raise Failure(f"{name} cannot be written: {(problem.strerror or 'unknown').lower()}") from None
    with os.fdopen(number, "r+b") as file:
        yield file, _reached(file, name)
        file.flush()
        os.fsync(number)


def _reached(file: BinaryIO, name: str) -> int:
    """Cuts off a line that was written in part, and reads the last whole one."""
    size = file.seek(0, os.SEEK_END)
    tail = b""
    while size > 0 and tail.count(b"\n") < 2:
        step = min(TAIL, size)
        size = file.seek(size - step)
        tail = file.read(step) + tail
        if len(tail) > 64 * TAIL:
            raise Failure(f"{name} is no export of the audit log", exit_code=USAGE)
    whole, _, part = tail.rpartition(b"\n")
    try:
        last = int(jsonlib.loads(whole.rpartition(b"\n")[2])["seq"]) if whole else 0
    except (ValueError, KeyError, TypeError):
        last = -1
    if last < 0 or not part.startswith(BEGINNING[: len(part)]):
        raise Failure(f"{name} is no export of the audit log", exit_code=USAGE)
    file.truncate(file.seek(-len(part), os.SEEK_END))
    return last


async def export(api: AdminApi, file: BinaryIO, after: int, advance: Advance, **query: str | int | None) -> int:
    """Everything behind `after` that was there when this began; how many entries that were.

    What leaves something out says so in each line, wherever it is copied to: it is no journal to restore by.
    """
    more = {replay.EXCERPT: True} if any(query.get(name) is not None for name in LEAVES_OUT) else {}
    newest = await api.get("/audit", order="desc", limit=1, **query)
    last = newest["items"][0]["seq"] if newest["items"] else after
    count = 0
    while after < last:
        page = await api.get("/audit", after=after, limit=PAGE, **query)
        entries = [entry for entry in page["items"] if entry["seq"] <= last]
        if not entries:
            break
        file.write(b"".join(line(entry | more) for entry in entries))
        file.flush()
        after, count = entries[-1]["seq"], count + len(entries)
        advance(after, last)
    return count


def line(entry: Object) -> bytes:
    return f"{jsonlib.dumps(entry, separators=(',', ':'))}\n".encode()


@contextlib.contextmanager
def progress() -> Iterator[Advance]:
    """A bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("exporting", total=None)
        yield lambda reached, last: bar.update(task, completed=reached, total=last)
