"""GitHub's keys as they are published: read by one while others wait, not more often than every few seconds."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from doorward.fetch import Answer, FetchFailed
from doorward.protocol.refusal import TemporarilyUnavailable
from doorward.web.published_keys import LIFETIME, READ_INTERVAL, PublishedKeys

PEM = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Publisher:
    """`read` counts how often somebody looked; while it `fails` nobody sees anything."""

    def __init__(self, *names: str) -> None:
        self.names, self.read, self.fails, self.now = list(names), 0, False, 100.0
        self.keys = PublishedKeys("https://api.github.com/keys", self, lambda: self.now)  # type: ignore[arg-type]

    async def get(self, url: str) -> Answer:
        self.read += 1
        await asyncio.sleep(0)
        if self.fails:
            raise FetchFailed("unreachable")
        listed = [{"key_identifier": name, "key": PEM.decode()} for name in self.names]
        return Answer(200, {}, json.dumps({"public_keys": listed}).encode())

    def ask(self, *names: str) -> list[Any]:
        async def together() -> list[Any]:
            return list(await asyncio.gather(*map(self.keys.named, names), return_exceptions=True))

        return asyncio.run(together())


def test_all_who_come_while_the_list_is_read_wait_for_it() -> None:
    publisher = Publisher("first")
    found = publisher.ask("first", "first", "first", "made up")
    assert [isinstance(one, ec.EllipticCurvePublicKey) for one in found] == [True, True, True, False]
    assert publisher.read == 1


def test_made_up_names_make_nobody_read_more_often_and_a_new_key_is_found_soon() -> None:
    publisher = Publisher("first")
    publisher.ask("first")
    publisher.names.append("second")
    assert publisher.ask(*map(str, range(50)), "second") == [None] * 51
    assert publisher.read == 1
    publisher.now += READ_INTERVAL
    assert publisher.ask(*map(str, range(50)), "second")[-1] is not None
    assert publisher.read == 2


def test_what_was_known_stays_where_nothing_can_be_read() -> None:
    publisher = Publisher("first")
    publisher.ask("first")
    publisher.now, publisher.fails = publisher.now + LIFETIME, True
    assert publisher.ask("first") != [None]


@pytest.mark.parametrize("later", [0.0, READ_INTERVAL / 2])
def test_while_no_list_was_ever_read_nobody_is_told_that_his_key_is_none(later: float) -> None:
    publisher = Publisher("first")
    publisher.fails = True
    assert [type(one) for one in publisher.ask("first", "first")] == [TemporarilyUnavailable] * 2
    publisher.now += later
    assert [type(one) for one in publisher.ask("first")] == [TemporarilyUnavailable]
    publisher.now, publisher.fails = publisher.now + READ_INTERVAL, False
    assert publisher.ask("first") != [None]
