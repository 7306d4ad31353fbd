"""The time of decisions goes forward: a clock that is turned back brings nothing back to life (T212)."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine
from tests.protocol.given import NOW, POLICY
from tests.store.committing import commit, issued

from doorward.store.clock import Clock
from doorward.store.store import Store

LEEWAY, DAY = 60, 86_400


@dataclass
class Wall:
    at: float = NOW

    def __call__(self) -> float:
        return self.at


def clock(wall: Wall, newest: int = 0) -> Clock:
    return Clock(newest, wall)


def test_it_is_the_wall_clock() -> None:
    wall = Wall(NOW + 0.9)
    found = clock(wall)
    assert found.now() == NOW
    wall.at += DAY * 400
    assert found.now() == NOW + DAY * 400


@pytest.mark.parametrize("back", [1, LEEWAY])
def test_within_the_leeway_it_follows(back: int) -> None:
    wall = Wall()
    found = clock(wall)
    found.now()
    wall.at -= back
    assert found.now() == NOW - back


@pytest.mark.parametrize("back", [LEEWAY + 1, 3600, DAY])
def test_no_time_is_older_than_the_newest_but_for_the_leeway(back: int) -> None:
    wall = Wall()
    found = clock(wall)
    found.now()
    wall.at -= back
    assert [found.now() for _ in range(3)] == [NOW - LEEWAY] * 3
    wall.at = NOW - LEEWAY + 5
    assert found.now() == NOW - LEEWAY + 5


def test_what_was_committed_before_the_start_counts_as_seen() -> None:
    assert clock(Wall(NOW - 3600), newest=NOW).now() == NOW - LEEWAY


def test_a_correction_of_more_than_a_day_is_believed() -> None:
    wall = Wall(NOW + 400 * DAY)
    found = clock(wall)
    found.now()
    wall.at = NOW
    assert [found.now(), found.now()] == [NOW, NOW]


def test_whoever_runs_it_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    wall = Wall()
    found = clock(wall)
    with caplog.at_level(logging.ERROR, "doorward.clock"):
        found.now()
        assert caplog.messages == []
        wall.at -= 3600
        for _ in range(3):
            found.now()
        assert len(caplog.messages) == 1
        assert "3600 seconds" in caplog.messages[0]
        wall.at = NOW + 1
        found.now()
        wall.at -= 7200
        found.now()
        assert len(caplog.messages) == 2


def test_a_store_goes_on_from_its_last_event(engine: Engine) -> None:
    ahead = int(time.time()) + 3600
    assert commit(engine, issued("token_1"), now=ahead) == ""
    assert Store(engine, POLICY).now() == ahead - LEEWAY
