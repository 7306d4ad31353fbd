"""The rows of nodes: seen by the database's clock, taken over by who is started again, and gone with who is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from tests.protocol.given import NOW
from tests.store.committing import ACCOUNT, API, commit, issued

from doorward.protocol import node
from doorward.protocol.moment import Position
from doorward.protocol.node import DRAINING, READY, STARTING, Node, Sign
from doorward.store import nodes

SIGN = Sign("web1", 1, "a", "1.0.0", "0018")
OTHER = replace(SIGN, name="web2", instance="b")
BEGINNING = Position(1, 0)


class Clock:
    """The database's, and how far ours is ahead of it in milliseconds."""

    now, skew = NOW, 0

    def __call__(self, _: Connection) -> tuple[int, int]:
        return self.now, self.skew


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(nodes, "_clock", clock)
    return clock


def beat(
    engine: Engine, sign: Sign = SIGN, state: str = READY, at: Position = BEGINNING, verifiers: int = 0, **how: bool
) -> Any:
    with engine.begin() as connection:
        return nodes.beat(connection, sign, state, at, verifiers, **how)


def known(engine: Engine) -> dict[str, Node]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id FROM nodes")).scalars().all()
        return {id_: facts.node for id_ in rows if (facts := nodes.by_id(connection, id_)) is not None}


def test_a_worker_is_seen_as_it_shows_itself(engine: Engine, clock: Clock) -> None:
    clock.skew = 250
    assert beat(engine, state=STARTING).mine == known(engine)["web1.1"]
    clock.now += 5
    seen = beat(engine, verifiers=7)
    assert known(engine) == {"web1.1": seen.mine}
    assert (seen.mine.created_at, seen.mine.seen_at, seen.mine.state) == (NOW, NOW + 5, READY)
    assert (seen.mine.verifiers, seen.mine.clock_skew) == (7, 250)


def test_it_says_how_many_changes_it_has_not_heard_of_and_since_when(engine: Engine, clock: Clock) -> None:
    assert commit(engine, ACCOUNT, now=NOW - 30) == ""
    assert commit(engine, issued(), API, at=1, now=NOW - 8) == ""
    found = [beat(engine, at=Position(1, at)).mine for at in (0, 1, 3)]
    assert [(one.lag_events, one.lag_seconds) for one in found] == [(2, 30), (1, 8), (0, 0)]
    assert beat(engine, at=Position(0, 99)).mine.lag_events == 2


def test_others_are_those_of_another_name_that_are_not_lost(engine: Engine, clock: Clock) -> None:
    beat(engine, replace(SIGN, worker=2, instance="c"))
    beat(engine, OTHER)
    assert [one.id for one in beat(engine).others] == ["web2.1"]
    clock.now += node.LOST_AFTER
    assert [one.id for one in beat(engine).others] == ["web2.1"]
    clock.now += 1
    assert beat(engine).others == ()


def test_a_worker_that_is_started_again_takes_its_name_from_the_dead_one(engine: Engine, clock: Clock) -> None:
    beat(engine)
    again = replace(SIGN, instance="again")
    clock.now += 2
    assert beat(engine, again, anew=True).mine.created_at == NOW + 2
    # Should the other one live after all, it is told.
    assert beat(engine) is None
    assert known(engine)["web1.1"].instance == "again"
    clock.now += node.LOST_AFTER + 1
    assert beat(engine).mine.instance == "a"


def test_who_leaves_is_gone_but_takes_nobody_elses_row(engine: Engine, clock: Clock) -> None:
    beat(engine, state=DRAINING)
    for sign, left in ((replace(SIGN, instance="b"), 1), (SIGN, 0)):
        with engine.begin() as connection:
            nodes.leave(connection, sign)
        assert len(known(engine)) == left


def test_the_lost_are_forgotten_in_the_end(engine: Engine, clock: Clock) -> None:
    beat(engine, OTHER)
    clock.now += node.GONE_AFTER - 1
    beat(engine)
    assert sorted(known(engine)) == ["web1.1", "web2.1"]
    clock.now += 1
    beat(engine)
    assert sorted(known(engine)) == ["web1.1"]


def test_a_node_joins_only_those_whose_certificates_clients_trust_too(engine: Engine, clock: Clock) -> None:
    local = replace(SIGN, authority="its own")
    with engine.begin() as connection:
        assert nodes.join(connection, local) == ()
    assert known(engine)["web1.1"].state == STARTING
    with engine.begin() as connection:
        assert nodes.join(connection, OTHER) == ("web1",)
        assert nodes.join(connection, replace(OTHER, authority="another")) == ("web1",)
    assert sorted(known(engine)) == ["web1.1"]
    clock.now += node.LOST_AFTER + 1
    with engine.begin() as connection:
        assert nodes.join(connection, OTHER) == ()
    assert sorted(known(engine)) == ["web1.1", "web2.1"]


def test_the_clock_of_the_database_is_the_measure(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine.connect() as connection:
        now, skew = nodes._clock(connection)
        assert abs(skew) < 1000
        real = nodes.time.time
        monkeypatch.setattr(nodes.time, "time", lambda: real() + 300)
        ahead, skew = nodes._clock(connection)
    if engine.dialect.name == "sqlite":
        # The same machine, and the same clock.
        assert (ahead >= now + 300, skew) == (True, 0)
    else:
        assert ahead < now + 200
        assert 299_000 < skew <= 300_000
