"""Load of several steps, each of which needs what the one before it answered; told on standard input, counted as JSON.

refresh     POST /oauth/token with a refresh token, then with the one that was answered, and so on
code        GET /oauth/authorize with the cookie of a signed-in browser, then POST /oauth/token with the code
revoke      POST /oauth/token by client credentials, then POST /oauth/revoke with the token

Each connection is one caller. Every reply is checked; the first that is wrong ends the run.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvloop
from figures import percentile

Told = dict[str, Any]


class Wrong(Exception):  # noqa: N818  as a refusal
    """A reply that is not what it has to be."""


@dataclass(frozen=True)
class Reply:
    status: int
    head: bytes
    body: bytes

    def field(self, name: bytes) -> str:
        value = self.head.partition(b"\r\n" + name + b": ")[2].partition(b"\r\n")[0]
        return value.decode("latin-1")


class Connection(asyncio.Protocol):
    """One request at a time; of HTTP/1.1 as much as the server uses: a length in every reply."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[Reply] | None = None
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, request: bytes) -> Awaitable[Reply]:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or self._answer is None:
            return
        length = head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
        if len(body) >= int(length or 0):
            self._received = b""
            self._answer.set_result(Reply(int(head[9:12]), head, body))

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Wrong("the connection broke"))


@dataclass
class Caller:
    """`token` or `cookie` is its own, the rest everybody's."""

    told: Told
    own: str
    connection: Connection
    took: list[float] = field(default_factory=list)
    last: str = ""
    kept: str = ""

    async def token(self, **form: str) -> Told:
        reply = await self.connection.ask(self._post("/oauth/token", form))
        if reply.status != 200:
            raise Wrong(f"{reply.status} {reply.body.decode()}")
        answer: Told = json.loads(reply.body)
        if answer["token_type"] != "Bearer" or answer["access_token"] == self.last:
            raise Wrong("a token that is none, or not a new one")
        self.last = answer["access_token"]
        return answer

    async def revoke(self, token: str) -> None:
        reply = await self.connection.ask(self._post("/oauth/revoke", {"token": token}))
        if reply.status != 200:
            raise Wrong(f"{reply.status} {reply.body.decode()}")

    async def code(self, **query: str) -> str:
        head = (
            f"GET /oauth/authorize?{urlencode(query)} HTTP/1.1\r\nHost: {self.told['host']}\r\nCookie: {self.own}\r\n"
        )
        reply = await self.connection.ask(f"{head}Sec-Fetch-Site: cross-site\r\n\r\n".encode())
        address, _, answered = reply.field(b"location").partition("?")
        members = {name: values[0] for name, values in parse_qs(answered).items()}
        if reply.status != 303 or address != query["redirect_uri"] or members.get("state") != query["state"]:
            raise Wrong(f"{reply.status} to {address or reply.body!r}")
        return members["code"]

    def _post(self, path: str, form: dict[str, str]) -> bytes:
        body = urlencode(form)
        return (
            f"POST {path} HTTP/1.1\r\nHost: {self.told['host']}\r\nAuthorization: {self.told['authorization']}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


async def refresh(caller: Caller) -> None:
    answer = await caller.token(grant_type="refresh_token", refresh_token=caller.own)
    if answer["refresh_token"] == caller.own:
        raise Wrong("the refresh token was not rotated")
    caller.own = answer["refresh_token"]


async def code(caller: Caller) -> None:
    told, verifier = caller.told, secrets.token_urlsafe(32)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    found = await caller.code(
        response_type="code", client_id=told["client_id"], redirect_uri=told["redirect_uri"], scope=told["scope"],
        state=secrets.token_urlsafe(12), code_challenge=challenge, code_challenge_method="S256",
    )  # fmt: skip
    answer = await caller.token(
        grant_type="authorization_code", code=found, code_verifier=verifier, redirect_uri=told["redirect_uri"]
    )
    if not answer["refresh_token"]:
        raise Wrong("no refresh token")
    caller.kept = answer["refresh_token"]


async def revoke(caller: Caller) -> None:
    await caller.revoke((await caller.token(grant_type="client_credentials"))["access_token"])


FLOWS: dict[str, Callable[[Caller], Coroutine[Any, Any, None]]] = {"refresh": refresh, "code": code, "revoke": revoke}


async def run(told: Told) -> Told:
    """`seconds` of it, or `times` in all; whoever is in the midst of it finishes."""
    flow, callers = FLOWS[told["flow"]], [await _caller(told, own) for own in told["own"]]
    began, spent = time.perf_counter(), time.process_time()
    left = iter(range(told.get("times", sys.maxsize)))

    async def repeat(caller: Caller) -> None:
        while time.perf_counter() - began < told["seconds"] and next(left, None) is not None:
            before = time.perf_counter()
            await flow(caller)
            caller.took.append(time.perf_counter() - before)

    await asyncio.gather(*map(repeat, callers))
    took, spent = time.perf_counter() - began, time.process_time() - spent
    all_took = [one for caller in callers for one in caller.took]
    return {
        "replies": len(all_took), "microseconds": round(took * 1e6), "generator": spent / len(all_took) * 1e6,
        "p50": percentile(all_took, 0.5) * 1e6, "p99": percentile(all_took, 0.99) * 1e6,
        "own": [caller.own for caller in callers], "kept": [caller.kept for caller in callers],
    }  # fmt: skip


async def _caller(told: Told, own: str) -> Caller:
    loop = asyncio.get_running_loop()
    name, _, port = told["host"].partition(":")
    _, connection = await loop.create_connection(Connection, name, int(port))
    return Caller(told, own, connection)


def main() -> None:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(json.dumps(runner.run(run(json.load(sys.stdin)))))
    except Wrong as problem:
        raise SystemExit(f"a reply was wrong: {problem}") from None


if __name__ == "__main__":
    main()
