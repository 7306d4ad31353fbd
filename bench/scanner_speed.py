"""How fast leaks are looked for: a stream without hits, a long one, and a tree of source text beside detect-secrets."""

from __future__ import annotations

import logging
import os
import resource
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from figures import Figure

from doorward.cli.scan import Counted, look_through
from doorward.cli.scan_sources import of_path
from doorward.cli.scan_text import CHUNK, scan
from doorward_verify.redact import RedactingFilter, redact_event

REQUIRED = 500.0
RUNS = 5
CHUNKS, MEGABYTES = 1024, 1024 * CHUNK / 1e6
LONG_STREAM = 10_000_000_000 // CHUNK
# Any tree of Python does; this one is installed for the tests, and small enough for slower scanners.
TREE = Path(sysconfig.get_paths()["purelib"]) / "django" / "core"
LINE = b"static int read_one(struct file *self) { return self->size && !latest_of(self); } /* as tested before */\n"


def run(_place: Path, _progress: Generator[None, str]) -> list[Figure]:
    """Seconds of this process's own time: what others do on the machine is not the scanner's."""
    text = (LINE * (CHUNK // len(LINE) + 1))[:CHUNK]
    stream = [MEGABYTES / spent(lambda: list(scan(_repeated(text, CHUNKS), count_lines=False))) for _ in range(RUNS)]
    return [
        Figure("leaks scan: text without hits, one core", "MB/s", stream, more_is_better=True, required=REQUIRED),
        _long(text),
        *_beside_detect_secrets(),
        *_redaction(),
    ]


def _repeated(text: bytes, times: int) -> Iterator[bytes]:
    for _ in range(times):
        yield text


def spent(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _long(text: bytes) -> Figure:
    before = _resident_megabytes()
    list(scan(_repeated(text, LONG_STREAM), count_lines=False))
    return Figure(
        "leaks scan: memory that a stream of 10 GB takes", "MB", [_resident_megabytes() - before], required=16
    )


def _resident_megabytes() -> float:
    """The most that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _redaction() -> list[Figure]:
    """What the filter of `logging` adds to a line, and what the one of structlog adds to an event."""
    arguments = ("req_1xXOpM1q01v3fv0bWAe8aI", "203.0.113.7", 200, 1.7)
    plain, text = "%s %s answered %d in %.1f ms", f"key dw_live_{'a' * 50} was refused"
    lines = {
        "a log line of four arguments": lambda: RedactingFilter().filter(_record(plain, arguments)),
        "a log line that holds a key": lambda: RedactingFilter().filter(_record(text, ())),
        "an event of structlog": lambda: redact_event(
            None, "info", {"event": "answered", "status": 200, "id": arguments[0]}
        ),
    }
    return [Figure(f"redaction: {name}", "us", [_microseconds(work)]) for name, work in lines.items()]


def _record(text: str, arguments: tuple[object, ...]) -> logging.LogRecord:
    return logging.LogRecord("doorward", logging.INFO, __file__, 1, text, arguments, None)


def _microseconds(work: Callable[[], object]) -> float:
    times = 20_000
    return spent(lambda: [work() for _ in range(times)]) / times * 1e6


def _beside_detect_secrets() -> list[Figure]:
    size = sum(file.stat().st_size for file in TREE.rglob("*") if file.is_file()) / 1e6
    ours = [size / spent(_look) for _ in range(RUNS)]
    theirs = size / spent(_detect)
    return [
        Figure("leaks scan: a tree of small files", "MB/s", ours, more_is_better=True),
        Figure("the same tree by detect-secrets with all of its plugins", "MB/s", [theirs], more_is_better=True),
        Figure(
            "the same tree by betterleaks with all of its rules", "MB/s", [size / _betterleaks()], more_is_better=True
        ),
    ]


def _look() -> None:
    counted = Counted()
    look_through(of_path(TREE, counted.skipped, ignoring=False), None, set(), counted)


def _detect() -> None:
    from detect_secrets.core.secrets_collection import SecretsCollection
    from detect_secrets.settings import default_settings

    with default_settings():
        collection = SecretsCollection()
        for file in sorted(TREE.rglob("*.py")):
            collection.scan_file(str(file))


def _betterleaks() -> float:
    """Seconds of its process, on as many cores as it takes: a compiled program, which begins with reading its rules."""
    program = Path(sys.executable).with_name("betterleaks")
    before = os.times()
    subprocess.run([program, TREE, "--no-banner", "--silent"], capture_output=True, check=False)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
