"""Work on a schedule: patient with clocks that jump, and done once, however many workers look."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine
from tests.protocol.given import NOW, POLICY, a_signer
from tests.store.committing import rows

from doorward.protocol import signing_key
from doorward.protocol.policy import Policy
from doorward.sign import Keyring, Signer
from doorward.store.engine import open_engine
from doorward.store.rows import Stale
from doorward.store.schema import prepare
from doorward.store.signing_keys import standing
from doorward.store.store import Store
from doorward.store.tables import journal, signing_keys
from doorward.web.upkeep import Patience, Upkeep


@dataclass
class Clocks:
    wall: int = NOW
    steady: float = 500.0

    def __call__(self) -> int:
        return self.wall

    def go_on(self, seconds: int) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def patience(clocks: Clocks) -> Patience:
    return Patience(clocks, lambda: clocks.steady)


def test_time_that_passes_is_believed(clocks: Clocks, patience: Patience) -> None:
    clocks.go_on(1000)
    assert patience.now() == NOW + 1000


def test_a_clock_that_jumps_ahead_makes_nothing_early(clocks: Clocks, patience: Patience) -> None:
    clocks.wall += 3600
    clocks.go_on(5)
    assert patience.now() == NOW + 5


def test_a_clock_that_is_turned_back_makes_nothing_early(clocks: Clocks, patience: Patience) -> None:
    clocks.go_on(5)
    clocks.wall -= 3600
    assert patience.now() == NOW + 5 - 3600


@contextmanager
def opened(engine: Engine, policy: Policy = POLICY) -> Iterator[Store]:
    store = Store(engine, policy)
    store.start()
    try:
        yield store
    finally:
        store.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: object) -> str:
    found = f"sqlite:///{tmp_path}/doorward.db"
    if request.param == "postgresql":
        found = request.getfixturevalue("postgresql_url")
    engine = open_engine(found)
    prepare(engine, "the secrets of these tests", NOW)
    engine.dispose()
    return found


def keys(url: str) -> list[tuple[str, str, str]]:
    engine = open_engine(url)
    found = [(row["purpose"], row["algorithm"], row["state"]) for row in rows(engine, signing_keys)]
    engine.dispose()
    return sorted(found)


WHOLE = sorted((*use, state) for use in signing_key.USES for state in ("active", "pending"))


def test_of_many_workers_that_look_at_once_one_makes_the_keys_and_every_other_is_told_that_it_is_done(
    url: str,
) -> None:
    async def look(number: int) -> list[BaseException | None]:
        with opened_many(url, number) as stores:
            works = [Upkeep(store, a_signer()) for store in stores]
            found = await asyncio.gather(*(work.look() for work in works), return_exceptions=True)
            for work in works:
                await until_quiet(work)
            return list(found)

    found = asyncio.run(look(4))
    assert sorted(map(repr, found)) == sorted(["None", *map(repr, [Stale()] * 3)])
    assert keys(url) == WHOLE
    engine = open_engine(url)
    assert [row["type"] for row in rows(engine, journal)] == ["SigningKeyCreated"] * 8
    engine.dispose()


@contextmanager
def opened_many(url: str, number: int) -> Iterator[list[Store]]:
    if number == 0:
        yield []
        return
    with opened(open_engine(url)) as store, opened_many(url, number - 1) as others:
        yield [store, *others]


async def until_quiet(work: Upkeep) -> None:
    """It looks again, as it would a second later: there is nothing left to do."""
    async with asyncio.timeout(30):
        while await asyncio.shield(asyncio.ensure_future(_stale(work))):
            pass


async def _stale(work: Upkeep) -> bool:
    try:
        await work.look()
    except Stale:
        return True
    return False


def test_private_keys_that_sign_no_more_are_not_kept_open(url: str) -> None:
    async def look() -> set[str]:
        with opened(open_engine(url)) as store:
            signer = Signer(Keyring.of(b"m" * 32))
            work = Upkeep(store, signer)
            await work.look()
            active = next(key.id for key in (await store.gather(standing, None)).facts if key.state == "active")
            signer._opened = dict.fromkeys((active, "retired"))  # type: ignore[arg-type]
            await work.look()
            return set(signer._opened)

    left = asyncio.run(look())
    assert len(left) == 1
    assert "retired" not in left
