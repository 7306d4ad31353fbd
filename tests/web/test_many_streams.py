"""Many verifiers at one server: each is told, and a server that ends lets all of them go."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.deployment import Doorward, auth_of, served

# Generous: what is counted is who was told, not how soon.
DEADLINE = 60


@pytest.fixture
def doorward(tmp_path: Path) -> Iterator[Doorward]:
    with served(tmp_path) as running:
        yield running


class Listener:
    """A stream of its own connection."""

    def __init__(self) -> None:
        self.begun, self.told = asyncio.Event(), asyncio.Event()
        self.entries: list[Any] = []

    async def listen(self, http: httpx2.AsyncClient, since: str, verifier: Any) -> None:
        """To the end of the answer; raises when it is cut off instead of ended."""
        headers = {"last-event-id": since}
        async with http.stream("GET", "/revocations/stream", headers=headers, auth=auth_of(verifier)) as reply:
            assert reply.status_code == 200
            async for line in reply.aiter_lines():
                self.begun.set()
                if line.startswith("data: {"):
                    self.entries.append(json.loads(line.removeprefix("data: ")))
                    self.told.set()


def listening(
    doorward: Doorward, verifiers: list[Any], then: Callable[[list[Listener]], Awaitable[None]]
) -> list[BaseException | None]:
    """What became of each stream, once `then` was done with all of them open."""
    trust = ssl.create_default_context(cafile=doorward.directory / "ca.pem")
    limits = httpx2.Limits(max_connections=None)
    since = doorward.http.get("/revocations", auth=auth_of(verifiers[0])).json()["pos"]

    async def run() -> list[BaseException | None]:
        http = httpx2.AsyncClient(
            base_url=doorward.issuer, verify=trust, trust_env=False, limits=limits, timeout=DEADLINE
        )
        async with http, asyncio.timeout(3 * DEADLINE):
            listeners = [Listener() for _ in verifiers]
            tasks = [
                asyncio.create_task(listener.listen(http, since, verifier))
                for listener, verifier in zip(listeners, verifiers, strict=True)
            ]
            for listener in listeners:
                await listener.begun.wait()
            await then(listeners)
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            return [end if isinstance(end, BaseException) else None for end in ends]

    return asyncio.run(run())


@pytest.mark.slow
def test_200_verifiers_of_two_apis_are_all_told_what_concerns_them(doorward: Doorward) -> None:
    apis = [doorward.an_api()["identifier"] for _ in range(2)]
    keys = [doorward.a_key(api=api)["id"] for api in apis]
    verifiers = [doorward.a_verifier(api=api) for api in apis]

    async def revoke(listeners: list[Listener]) -> None:
        for key in keys:
            reply = await asyncio.to_thread(doorward.v1, "POST", f"/keys/{key}/revoke")
            assert reply.status_code == 200
        for listener in listeners:
            await listener.told.wait()
        assert [[one["value"] for one in listener.entries] for listener in listeners] == [[key] for key in keys] * 100
        for verifier in verifiers:
            await asyncio.to_thread(doorward.v1, "POST", f"/verifiers/{verifier['client_id']}/revoke")

    assert listening(doorward, verifiers * 100, revoke) == [None] * 200


@pytest.mark.slow
def test_a_server_that_ends_ends_every_stream_and_is_not_held_up_by_them(doorward: Doorward) -> None:
    """None is cut off: each answer is brought to its end, which a server that waited for its grace could not do."""
    program = doorward.program
    assert program is not None

    async def stop(listeners: list[Listener]) -> None:
        assert await asyncio.to_thread(program.stop) == 0

    assert listening(doorward, [doorward.a_verifier()] * 100, stop) == [None] * 100
