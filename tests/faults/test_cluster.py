"""Three nodes behind nginx over one PostgreSQL run the stories, while nodes are killed and the database is restarted.

The stories do not notice: `doorward serve` is three nodes (`stand_in.py`), one of which is killed again and again, and
callers are as patient as documents ask of them (`patient.py`). What was acknowledged is compared with the database.
"""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.faults import ledger
from tests.faults.ledger import Compared
from tests.faults.stand_in import Given
from tests.postgresql import PostgreSQL, binaries, private

ROOT = Path(__file__).parents[2]
# One of them moves a database that it starts on SQLite; what is for both engines has only this one here.
STORIES = ("tests/stories", "--ignore=tests/stories/test_move.py", "-k", "not postgresql")
SHORT = ("tests/stories/test_first_calls.py", "-k", "sqlite and token")
# After how many kills in all the database is restarted, too.
RESTARTS, RESTARTS_LONG = (1,), (3, 8)
EVERY, EVERY_LONG = 1.0, 3.0
PROMISE = 2.0
DEADLINE = 3600.0


@pytest.fixture
def cluster(postgresql: PostgreSQL) -> Iterator[PostgreSQL]:
    """A cluster of its own, since others use the shared one; asked for to be skipped where that one is."""
    assert binaries()
    with private() as cluster:
        yield cluster


@dataclass
class Restarts:
    """Of the database, in the midst of a story: each time when so many nodes were killed."""

    cluster: PostgreSQL
    kept: Path
    after: Sequence[int]
    done: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Restarts:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        for kills in self.after:
            while sum(one["kills"] for one in reports(self.kept).values()) < kills:
                if self.is_over.wait(0.05):
                    return
            self.cluster.stop()
            self.cluster.start()
            self.done += 1


def reports(kept: Path) -> dict[Path, Any]:
    """What each `serve` says of itself."""
    return {file.parent: json.loads(file.read_text()) for file in sorted(kept.glob("*/report.json"))}


def told(stories: Sequence[str], given: Given) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DOORWARD"))}
    # A run that is killed takes its stories with it; and none of them takes as long as all.
    guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    faulthandler.cancel_dump_traceback_later()
    plugins = ["-p", "tests.faults.patient", "-p", "no:cacheprovider"]
    words = [*guard, sys.executable, "-m", "pytest", "-q", *plugins, *stories]
    return subprocess.run(
        words, cwd=ROOT, env={**inherited, **given.variable}, capture_output=True, text=True, timeout=DEADLINE,
        check=False,
    )  # fmt: skip


def compared(cluster: PostgreSQL, kept: Path) -> list[Compared]:
    return [
        ledger.compare(ledger.read(own / "ledger"), ledger.database(cluster.url(report["database"])))
        for own, report in reports(kept).items()
    ]


@pytest.mark.slow
def test_stories_go_on_while_nodes_die_and_what_was_acknowledged_is_in_the_database(
    cluster: PostgreSQL, tmp_path: Path, is_long: bool, figure: Any
) -> None:
    given = Given(str(tmp_path), cluster.url("postgres"), EVERY_LONG if is_long else EVERY)
    with Restarts(cluster, tmp_path, RESTARTS_LONG if is_long else RESTARTS) as restarts:
        done = told(STORIES if is_long else SHORT, given)
    assert done.returncode == 0, done.stdout[-20_000:]
    found = reports(tmp_path).values()
    kills = sum(one["kills"] for one in found)
    assert restarts.done == len(restarts.after), f"{kills} kills were too few for it"
    results = compared(cluster, tmp_path)
    assert [wrong for one in results for wrong in one.wrong] == []
    acknowledged = sum(one.acknowledged for one in results)
    assert acknowledged == sum(one.found + one.repeated + one.void for one in results) > 0
    figure("nodes that were killed while the stories ran, and started again", "", [kills])
    figure("restarts of the database meanwhile", "", [restarts.done])
    figure("changes that were acknowledged", "", [acknowledged])
    figure("of these, found in the database by their request", "", [sum(one.found for one in results)])
    figure("of these, repeats of one whose answer was lost", "", [sum(one.repeated for one in results)])
    figure("of these, of what had ended before", "", [sum(one.void for one in results)])
    figure("requests that were done, and whose answer was lost", "", [sum(one.unanswered for one in results)])
    starts = [seconds for one in found for node in one["started"] for seconds in node[1:]]
    figure("a node that was killed, from its new start until it is ready", "s", starts, most=PROMISE)
