"""F2: the mover (`doorward migrate --to`) is killed at random moments while everybody writes; the same command goes on.

Never are two databases open, and what was acknowledged before the old one was closed is in the new one.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from tests.deployment import Doorward, command, free_port, served
from tests.postgresql import PostgreSQL
from tests.stories.test_move import DEADLINE, Ledger, migrate, until

KILLS, KILLS_LONG = 2, 20
# Of one database; then another one moves.
EACH = 5
# When, in seconds from its first connection on or from when it has made the tables. How long a move takes is found by
# those that were done before they were killed, and by those that were not.
SPAN, LATER, SOONER = 1.0, 1.3, 0.6
STATES = "SELECT closed FROM deployment"


@dataclass
class Target:
    cluster: PostgreSQL
    url: str

    @property
    def state(self) -> str:
        """What lies there."""
        try:
            with psycopg.connect(self.url) as connection:
                found = connection.execute(STATES).fetchone()
        except psycopg.errors.UndefinedTable:
            return "empty"
        return "empty" if found is None else "open" if found[0] is None else str(found[0]).split()[0]

    def is_reached(self) -> bool:
        name = self.cluster.name(self.url)
        return bool(self.cluster.sql(f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name}'"))


@dataclass
class Killer:
    """Kills movers, each at another moment of its work; `left` is what lay at the target then."""

    chance: random.Random
    kills: int
    left: Counter[str] = field(default_factory=Counter)
    span: float = SPAN

    @property
    def is_done(self) -> bool:
        return self.left.total() >= self.kills

    def killed(self, doorward: Doorward, target: Target) -> bool:
        """False when it was done before."""
        argv = command("--data-dir", doorward.directory, "migrate", "--to", target.url)
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as mover:
            has_begun = self.chance.choice((target.is_reached, lambda: target.state != "empty"))
            until(lambda: has_begun() or mover.poll() is not None, "the mover did not begin")
            end = time.monotonic() + self.chance.uniform(0, self.span)
            until(lambda: time.monotonic() >= end or mover.poll() is not None, "")
            mover.kill()
            _, said = mover.communicate()
        if mover.returncode >= 0:
            assert mover.returncode == 0, said
            self.span *= SOONER
            return False
        until(lambda: not target.is_reached(), "the connection of the killed one is still there")
        self.span *= LATER
        self.left[target.state] += 1
        print(f"killed: {dict(self.left)}", flush=True)
        return True


def closed(doorward: Doorward) -> bool:
    return doorward.sql(STATES) != [(None,)]


def accounts(doorward: Doorward) -> set[str]:
    """All there are; a machine that has much to do may have to be asked again."""
    found: set[str] = set()
    cursor, deadline = "", time.monotonic() + DEADLINE
    while cursor is not None:
        reply = doorward.v1("GET", f"/accounts?limit=200{cursor and '&cursor=' + cursor}")
        assert reply.status_code == 200 or time.monotonic() < deadline, reply.text
        if reply.status_code == 200:
            found |= {one["id"] for one in reply.json()["items"]}
            cursor = reply.json()["next_cursor"]
    return found


def one_move(directory: Path, target: Target, killer: Killer) -> None:
    port = free_port()
    with served(directory, port=port) as before:
        with Ledger(before) as ledger:
            until(lambda: len(ledger.acknowledged) > 20, "nothing is written")
            for _ in range(EACH):
                if killer.is_done or not killer.killed(before, target):
                    break
                if target.state == "open":
                    assert closed(before), "two databases can be served"
                    break
                if not closed(before):
                    known = len(ledger.acknowledged)
                    until(lambda known=known: len(ledger.acknowledged) > known, "the old one does not go on")
            if target.state != "open":
                moved = migrate(before.directory, "--to", target.url)
                assert moved.returncode == 0, moved.stderr
            until(lambda: 503 in ledger.answers, "the old server still writes")
        assert closed(before)
    with served(directory, "--database", target.url, port=port) as after:
        after.admin_key = before.admin_key
        assert set(ledger.acknowledged) - accounts(after) == set(), "acknowledged, and lost"
        assert ledger.answers <= {201, 503}


@pytest.mark.slow
def test_a_mover_that_is_killed_again_and_again_loses_nothing(postgresql: PostgreSQL, tmp_path: Path, is_long, figure):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}; what each leaves at the target:")
    killer, databases = Killer(random.Random(seed), KILLS_LONG if is_long else KILLS), 0
    while not killer.is_done:
        databases += 1
        (directory := tmp_path / str(databases)).mkdir()
        one_move(directory, Target(postgresql, postgresql.create()), killer)
    figure("movers killed, nothing lost", "", [killer.left.total()])
