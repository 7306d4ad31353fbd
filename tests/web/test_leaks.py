"""How many reports of leaks one address may make, by a clock that the test turns, and how many may send at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from doorward.protocol.leak import TooManyReports
from doorward.protocol.refusal import InvalidRequest, TemporarilyUnavailable
from doorward.web import leak_partners, leaks
from doorward.web.leak_partners import SENDING_LIMIT, GitHub
from doorward.web.leaks import BURST, INTERVAL, Addresses


def test_an_address_may_report_many_at_once_and_then_some_each_minute() -> None:
    addresses = Addresses()
    for _ in range(BURST):
        addresses.admit("192.0.2.1", 100.0)
    with pytest.raises(TooManyReports) as refused:
        addresses.admit("192.0.2.1", 100.0)
    wait = float(dict(refused.value.fields)["retry_after"])
    assert wait >= INTERVAL
    addresses.admit("192.0.2.1", 100.0 + wait)
    # Others pay nothing for it; of IPv6 a whole network is one.
    addresses.admit("192.0.2.2", 100.0)
    for number in range(BURST):
        addresses.admit(f"2001:db8::{number:x}", 100.0)
    with pytest.raises(TooManyReports):
        addresses.admit("2001:db8::ffff", 100.0)
    addresses.admit("2001:db8:0:1::1", 100.0)


def test_who_was_turned_away_waits_no_longer_for_it() -> None:
    addresses = Addresses()
    for _ in range(BURST):
        addresses.admit("192.0.2.1", 100.0)
    for _ in range(50):
        with pytest.raises(TooManyReports):
            addresses.admit("192.0.2.1", 100.0)
    addresses.admit("192.0.2.1", 100.0 + INTERVAL)


def test_no_more_addresses_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "ADDRESS_LIMIT", 10)
    addresses = Addresses()
    for number in range(30):
        addresses.admit(f"192.0.2.{number}", 100.0)
    assert len(addresses.free_at) == 10


class Slow:
    """A report that is on its way, until its sender has gone."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    def one(self, name: bytes) -> bytes:
        return name

    async def body(self, limit: int) -> bytes:
        assert limit == leak_partners.BODY_LIMIT
        await self.gone.wait()
        raise InvalidRequest("the body ended early")


def test_whoever_sends_reports_slowly_has_few_of_the_places() -> None:
    async def sent() -> None:
        github, slow = GitHub(Any), Slow()  # type: ignore[arg-type]
        sending = [asyncio.create_task(github.answer(slow)) for _ in range(SENDING_LIMIT)]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        with pytest.raises(TemporarilyUnavailable):
            await asyncio.wait_for(github.answer(slow), 10)  # type: ignore[arg-type]
        slow.gone.set()
        assert {type(end) for end in await asyncio.gather(*sending, return_exceptions=True)} == {InvalidRequest}
        with pytest.raises(InvalidRequest):
            await github.answer(slow)  # type: ignore[arg-type]

    asyncio.run(sent())
