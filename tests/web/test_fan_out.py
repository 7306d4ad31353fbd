"""The fan-out of one worker: what is heard goes to whom it concerns, and freshness is claimed where it is known."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.protocol.given import KEY as KEY_TEXT
from tests.protocol.given import NOW, POLICY, a_signer, a_verifier, another_api, kept

from doorward.protocol.moment import Position
from doorward.protocol.revocation_log import Entry, Placed
from doorward.store.revocation_log import EVERYONE, Heard
from doorward.store.writer import Unavailable
from doorward.web import fan_out as fanning
from doorward.web.fan_out import BACKLOG, FanOut, Stream
from doorward_verify import jwt

KEY = a_signer().generate("feed_1", "ES256", NOW, "feed")
START = Position(1, 10)
HERE, THERE = a_verifier(), a_verifier(another_api(), id="verifier_2")


class Database:
    """A store as the fan-out sees it. `asked` counts how often it was looked whether it is heard."""

    def __init__(self) -> None:
        self.policy, self.tail = POLICY, SimpleNamespace(position=START)
        self.hears, self.answers, self.asked = True, True, 0

    @property
    def is_fresh(self) -> bool:
        self.asked += 1
        return self.hears

    async def gather(self, find: Any, request: None) -> Any:
        if not self.answers:
            raise Unavailable
        return SimpleNamespace(facts=KEY)


class Counts:
    subscribers = 0

    def __init__(self) -> None:
        self.events: dict[str, int] = {}

    def told(self, event: str, number: int = 1) -> None:
        self.events[event] = self.events.get(event, 0) + number


class Worker:
    def __init__(self) -> None:
        self.database, self.counts = Database(), Counts()
        self.fan_out = FanOut(self.database, a_signer(), self.counts)  # type: ignore[arg-type]

    def stream(self, verifier: Any = HERE, last: int = 10, floor: int | None = None, beats: bool = True) -> Stream:
        """A subscriber that has joined."""
        at = Position(1, last if floor is None else floor)
        made = Stream(verifier, Position(1, last), at, beats=beats)
        assert self.fan_out.join(made)
        return made

    async def hear(self, *entries: tuple[str, int], position: Position, ended: frozenset[str] = frozenset()) -> None:
        placed = tuple((api, Placed(seq, Entry("token", f"jti_{seq}", "dead", NOW))) for api, seq in entries)
        self.fan_out.hear_soon(Heard(position, placed, ended))
        await asyncio.sleep(0)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 30))


@asynccontextmanager
async def beating(worker: Worker, monkeypatch: pytest.MonkeyPatch, every: float = 0.0) -> AsyncIterator[None]:
    monkeypatch.setattr(fanning, "HEARTBEAT", every)
    monkeypatch.setattr(fanning, "LOOK", 0.0)
    task = asyncio.create_task(worker.fan_out.beat_regularly())
    try:
        yield
    finally:
        task.cancel()


async def looked(worker: Worker, times: int = 20) -> None:
    """Until the loop has gone round so often, whatever it does."""
    until = worker.database.asked + times
    while worker.database.asked < until:
        await asyncio.sleep(0)


def told(chunk: bytes) -> list[tuple[str, str]]:
    """Position and predecessor of each entry."""
    blocks = [
        dict(line.split(": ", 1) for line in block.split("\n")) for block in chunk.decode().split("\n\n") if block
    ]
    entries = [json.loads(block["data"]) for block in blocks if block["event"] == "entry"]
    assert [block["id"] for block in blocks if block["event"] == "entry"] == [one["pos"] for one in entries]
    return [(one["prev"], one["pos"]) for one in entries]


def beats(chunk: bytes) -> list[dict[str, Any]]:
    """The claims of each heartbeat, once its signature is good."""
    keys = jwt.keys_from_jwks({"keys": [dict(KEY.public_jwk)]})
    found = []
    for line in chunk.decode().split("\n"):
        if line.startswith("data: ey"):
            header, payload, signature, signing_input = jwt.unpack(line.removeprefix("data: "))
            jwt.authenticate(header, signature, signing_input, keys)
            assert header.typ == "feed+jwt"
            found.append(jwt.read_claims(payload))
    return found


# Entries ------------------------------------------------------------------------------------------------------


def test_an_audience_hears_its_own_entries_and_those_for_everyone_in_their_order() -> None:
    async def test() -> None:
        worker = Worker()
        here, there = worker.stream(), worker.stream(THERE)
        await worker.hear(("api_1", 11), ("api_2", 12), (EVERYONE, 13), ("api_1", 14), position=Position(1, 15))
        assert told(await here.next()) == [("1:10", "1:11"), ("1:11", "1:13"), ("1:13", "1:14")]
        assert told(await there.next()) == [("1:10", "1:12"), ("1:12", "1:13")]
        assert worker.counts.events == {"entry": 5}

    run(test())


def test_streams_that_began_at_different_places_each_have_a_chain_without_a_gap() -> None:
    async def test() -> None:
        worker = Worker()
        streams = [worker.stream(last=last, floor=10) for last in (3, 10, 3)]
        await worker.hear(("api_1", 11), position=Position(1, 11))
        await worker.hear(("api_1", 12), position=Position(1, 12))
        chains = [told(await stream.next()) for stream in streams]
        assert chains == [[(f"1:{last}", "1:11"), ("1:11", "1:12")] for last in (3, 10, 3)]

    run(test())


def test_what_a_stream_was_told_when_it_joined_is_not_told_again() -> None:
    """It read the log up to 12, which this worker hears only now."""

    async def test() -> None:
        worker = Worker()
        stream = worker.stream(last=12, floor=12)
        await worker.hear(("api_1", 11), ("api_1", 12), ("api_1", 13), position=Position(1, 13))
        assert told(await stream.next()) == [("1:12", "1:13")]

    run(test())


def test_a_stream_that_missed_something_while_it_read_may_not_join() -> None:
    async def test() -> None:
        worker = Worker()
        await worker.hear(("api_1", 11), position=Position(1, 11))
        late = Stream(HERE, START, START, beats=True)
        assert not worker.fan_out.join(late)
        assert worker.counts.subscribers == 0

    run(test())


def test_who_does_not_read_is_let_go_and_keeps_nothing() -> None:
    async def test() -> None:
        worker = Worker()
        slow, quick = worker.stream(), worker.stream()
        for seq in range(11, 12 + BACKLOG):
            assert not slow.ended
            await worker.hear(("api_1", seq), position=Position(1, seq))
            assert len(told(await quick.next())) == 1
        assert slow.ended
        assert await slow.next() == b""
        assert not quick.ended

    run(test())


# Ends ---------------------------------------------------------------------------------------------------------


def test_the_streams_of_a_verifier_end_with_it_and_those_of_others_go_on() -> None:
    async def test() -> None:
        worker = Worker()
        ended, other = worker.stream(), worker.stream(THERE)
        await worker.hear(("api_1", 12), position=Position(1, 12), ended=frozenset({"verifier_1"}))
        assert ended.ended
        assert await ended.next() == b""
        assert not other.ended

    run(test())


def test_the_streams_that_a_leaked_secret_opened_end_with_it_and_those_of_its_sibling_go_on() -> None:
    async def test() -> None:
        worker, sibling = Worker(), replace(HERE, secrets=(kept(KEY_TEXT, "verifier_1"),))
        opened, other = worker.stream(), worker.stream(sibling)
        await worker.hear(position=Position(1, 12), ended=frozenset({HERE.secrets[0].id}))
        assert (opened.ended, other.ended) == (True, False)
        assert worker.stream(last=12).ended
        assert not worker.stream(sibling, last=12).ended

    run(test())


def test_a_stream_that_was_admitted_just_before_its_verifier_ended_ends_too() -> None:
    async def test() -> None:
        worker = Worker()
        await worker.hear(position=Position(1, 11), ended=frozenset({"verifier_1"}))
        assert worker.stream(last=11).ended

    run(test())


def test_after_a_restore_every_stream_ends() -> None:
    async def test() -> None:
        worker = Worker()
        stream = worker.stream()
        await worker.hear(position=Position(2, 11))
        assert stream.ended

    run(test())


def test_when_the_server_ends_all_streams_do_and_later_ones_at_once() -> None:
    async def test() -> None:
        worker = Worker()
        stream = worker.stream()
        worker.fan_out.close()
        assert stream.ended
        assert worker.stream().ended

    run(test())


def test_subscribers_are_counted_while_they_are_there() -> None:
    async def test() -> None:
        worker = Worker()
        streams = [worker.stream(), worker.stream(), worker.stream(THERE, beats=False)]
        assert worker.counts.subscribers == 3
        for stream in streams:
            worker.fan_out.leave(stream)
        assert worker.counts.subscribers == 0
        await worker.hear(("api_1", 11), position=Position(1, 11))
        assert worker.counts.events == {}

    run(test())


# Heartbeats ---------------------------------------------------------------------------------------------------


def test_a_heartbeat_says_how_far_this_worker_heard_and_what_this_stream_was_told_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        worker = Worker()
        async with beating(worker, monkeypatch, every=60):
            await looked(worker, 2)
            stream = worker.stream(last=7, floor=10)
            (first,) = beats(await stream.next())
            assert (first["pos"], first["last"]) == ("1:10", "1:7")
            assert (first["iss"], first["aud"]) == (POLICY.issuer, HERE.api.identifier)
        await worker.hear(("api_1", 11), ("api_2", 12), position=Position(1, 13))
        await stream.next()
        async with beating(worker, monkeypatch, every=60):
            (second,) = beats(await stream.next())
            assert (second["pos"], second["last"]) == ("1:13", "1:11")

    run(test())


def test_they_come_again_and_again_and_those_who_only_wait_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        worker = Worker()
        stream, poll = worker.stream(), worker.stream(beats=False)
        async with beating(worker, monkeypatch):
            for _ in range(3):
                assert beats(await stream.next())
        await worker.hear(("api_1", 11), position=Position(1, 11))
        assert beats(await poll.next()) == []

    run(test())


def test_all_that_are_equally_far_share_a_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    signed: list[Any] = []
    sign = a_signer().heartbeat
    monkeypatch.setattr("doorward.sign.Signer.heartbeat", lambda self, *given: signed.append(given) or sign(*given))
    monkeypatch.setattr("doorward.web.fan_out.time.time", lambda: NOW)

    async def test() -> None:
        worker = Worker()
        streams = [worker.stream() for _ in range(50)] + [worker.stream(last=4, floor=10), worker.stream(THERE)]
        async with beating(worker, monkeypatch, every=60):
            for stream in streams:
                assert len(beats(await stream.next())) == 1
            assert len(beats(await worker.stream().next())) == 1
        assert len(signed) == 3

    run(test())


def test_a_worker_that_does_not_hear_the_database_claims_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        worker = Worker()
        worker.database.hears = False
        stream = worker.stream()
        async with beating(worker, monkeypatch):
            await looked(worker)
            worker.stream()
            assert worker.counts.events == {}
            worker.database.hears = True
            assert beats(await stream.next())
            worker.database.hears = False
            await looked(worker, 2)
            before = dict(worker.counts.events)
            await looked(worker)
            assert worker.counts.events == before

    run(test())


def test_a_worker_that_is_behind_a_stream_says_nothing_to_it_until_it_is_as_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A verifier that comes from a quicker worker would see the journal go backwards."""

    async def test() -> None:
        worker = Worker()
        async with beating(worker, monkeypatch, every=60):
            await looked(worker, 2)
            ahead = worker.stream(last=12, floor=12)
            assert worker.counts.events == {}
            await worker.hear(position=Position(1, 11))
            assert worker.counts.events == {}
            await worker.hear(position=Position(1, 12))
            (claims,) = beats(await ahead.next())
            assert claims["pos"] == "1:12"

    run(test())


def test_who_reads_late_finds_the_newest_heartbeat_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        worker = Worker()
        stream = worker.stream()
        async with beating(worker, monkeypatch):
            await looked(worker, 3 * BACKLOG)
        assert not stream.ended
        assert len(beats(await stream.next())) == 1

    run(test())


def test_heartbeats_outlive_whatever_goes_wrong(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        worker = Worker()
        stream = worker.stream()

        def fail(self: object, *given: object) -> str:
            raise ZeroDivisionError("secret")

        async with beating(worker, monkeypatch):
            with monkeypatch.context() as broken:
                broken.setattr("doorward.sign.Signer.heartbeat", fail)
                await looked(worker)
                assert worker.counts.events == {}
            assert beats(await stream.next())
            worker.database.answers = False
            await looked(worker)
            # The key that is known is used on.
            await stream.next()
            assert beats(await stream.next())

    run(test())
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in caplog.text
