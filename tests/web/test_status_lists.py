"""Status lists of a worker: when one is built, how long it serves, and that no two workers give one bit away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from tests.deployment import served
from tests.protocol.given import NOW, POLICY, a_signer, a_signing_key

from doorward.protocol.moment import Position
from doorward.protocol.refusal import NotFound
from doorward.protocol.status_list import lst
from doorward.store import status_lists
from doorward.store.status_lists import Listed
from doorward.store.store import Gathered
from doorward.store.writer import Unavailable
from doorward.web.runtime import Runtime
from doorward.web.status_lists import BUILT_LIMIT, Built, StatusLists
from doorward_verify.jwt import parse

# The database and the clock ------------------------------------------------------------------------------------


@dataclass
class Database:
    """A store whose lists are what the test says; it counts how often one was read as a whole."""

    position: Position = field(default_factory=lambda: Position(1, 10))
    ended: set[int] = field(default_factory=set)
    seconds: int = NOW
    reads: int = 0
    answers: bool = True
    key: Any = field(default_factory=a_signing_key)
    gate: asyncio.Event | None = None

    def now(self) -> int:
        return self.seconds

    def end(self, idx: int) -> None:
        self.ended.add(idx)
        self.move()

    def move(self) -> None:
        self.position = replace(self.position, seq=self.position.seq + 1)

    async def gather(self, gather: object, request: object) -> Gathered[Any]:
        if not self.answers:
            raise Unavailable
        return Gathered(self.key, self.position, frozenset())

    async def read(self, query: Any) -> Any:
        if not self.answers:
            raise Unavailable
        if query.func is status_lists.has_moved:
            return self.position, self.ended != self.built_with
        self.reads += 1
        self.built_with = set(self.ended)
        if self.gate is not None:
            await self.gate.wait()
        id_ = query.keywords["list_id"]
        return None if id_ > 1_000 else Listed(id_, self.position, lst(self.ended))


@dataclass
class Worker:
    store: Database = field(default_factory=Database)
    policy: Any = POLICY
    signer: Any = field(default_factory=a_signer)

    def lists(self) -> StatusLists:
        return StatusLists(cast(Runtime, self))


def run(test: Callable[[Database, StatusLists], Any]) -> None:
    worker = Worker()
    asyncio.run(test(worker.store, worker.lists()))


@pytest.fixture
def uptime(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Seconds of the monotonic clock, turned by hand."""
    now = [100.0]
    monkeypatch.setattr("doorward.web.status_lists.time.monotonic", lambda: now[0])
    return now


# When a list is built -----------------------------------------------------------------------------------------


def test_a_list_is_built_once_for_all_who_ask_at_once(uptime: Any) -> None:
    async def test(database: Database, lists: StatusLists) -> None:
        database.gate = asyncio.Event()
        asking = [asyncio.create_task(lists.find(1)) for _ in range(20)]
        while not database.reads:
            await asyncio.sleep(0)
        database.gate.set()
        assert len({built.body for built in await asyncio.gather(*asking)}) == 1
        assert database.reads == 1

    run(test)


def test_while_nothing_was_ended_it_is_not_built_again(uptime: Any) -> None:
    async def test(database: Database, lists: StatusLists) -> None:
        first = await lists.find(1)
        for _ in range(5):
            database.move()
            uptime[0] += 1
            assert (await lists.find(1)).body == first.body
        assert database.reads == 1

    run(test)


def test_what_was_ended_is_in_it_at_most_half_a_second_later(uptime: Any) -> None:
    async def test(database: Database, lists: StatusLists) -> None:
        first = await lists.find(1)
        for idx in range(100):
            database.end(idx)
            assert await lists.find(1) is first
        uptime[0] += 0.51
        second = await lists.find(1)
        assert parse(second.body.decode()).claims["status_list"]["lst"] == lst(range(100))
        assert database.reads == 2

    run(test)


def test_it_is_built_again_when_its_time_is_over(uptime: Any) -> None:
    async def test(database: Database, lists: StatusLists) -> None:
        first = await lists.find(1)
        database.seconds += POLICY.status_list_max_age - 1
        assert (await lists.find(1), lists.left(first)) == (first, 1)
        database.seconds += 1
        assert (await lists.find(1)).issued_at == NOW + POLICY.status_list_max_age

    run(test)


def test_it_is_built_again_under_the_key_that_signs_now(uptime: Any) -> None:
    async def test(database: Database, lists: StatusLists) -> None:
        await lists.find(1)
        database.key = a_signing_key("signing_2")
        assert parse((await lists.find(1)).body.decode()).header["kid"] == "signing_2"

    run(test)


def test_in_an_outage_the_last_one_serves_for_its_time(uptime: Any) -> None:
    async def test(database: Database, lists: StatusLists) -> None:
        first = await lists.find(1)
        database.answers = False
        uptime[0] += 10
        assert await lists.find(1) is first
        with pytest.raises(Unavailable):
            await lists.find(2)
        database.seconds += POLICY.status_list_max_age
        with pytest.raises(Unavailable):
            await lists.find(1)
        database.answers = True
        assert (await lists.find(1)).issued_at == database.seconds

    run(test)


def test_an_unknown_list_is_not_found_and_nothing_of_it_is_kept(uptime: Any) -> None:
    async def test(database: Database, lists: StatusLists) -> None:
        for id_ in range(2_000, 2_000 + 3 * BUILT_LIMIT):
            with pytest.raises(NotFound):
                await lists.find(id_)
        assert not lists._built
        assert not lists._building

    run(test)


def test_as_many_are_kept_as_are_asked_for_and_no_more_than_a_few(uptime: Any) -> None:
    async def test(database: Database, lists: StatusLists) -> None:
        for id_ in range(1, 2 * BUILT_LIMIT):
            built: Built = await lists.find(id_)
            assert parse(built.body.decode()).claims["sub"].endswith(f"/{id_}")
        assert len(lists._built) == BUILT_LIMIT

    run(test)


# Two workers, and a restart -----------------------------------------------------------------------------------


def test_neither_workers_nor_restarts_give_a_bit_away_twice(tmp_path: Any) -> None:
    places: list[tuple[str, int]] = []
    nodes: set[str] = set()
    lock = threading.Lock()

    def issue(doorward: Any, client: Any) -> None:
        auth = (client["client_id"], client["client_secret"])
        reply = doorward.http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=auth)
        assert reply.status_code == 200, reply.text
        place = parse(reply.json()["access_token"]).claims["status"]["status_list"]
        with lock:
            places.append((place["uri"], place["idx"]))
            nodes.add(reply.headers["x-request-id"][12:14])

    with served(tmp_path, "--workers", "2") as doorward:
        port = int(doorward.issuer.rpartition(":")[2])
        client = doorward.a_client(api=doorward.an_api(status_list=True)["identifier"])
        for _ in range(50):
            doorward.at_once(8, lambda _: issue(doorward, client))
            if len(nodes) == 2:
                break
    with served(tmp_path, "--workers", "2", port=port) as doorward:
        doorward.at_once(16, lambda _: issue(doorward, client))
    assert nodes == {"01", "02"}
    assert len(set(places)) == len(places)
    assert len({uri for uri, _ in places}) <= 2
