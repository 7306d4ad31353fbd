"""Requests and WebSockets as a server would hand them to an ASGI application, byte by byte."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

Headers = list[tuple[bytes, bytes]]


@dataclass
class Answered:
    status: int
    headers: Headers
    body: Any

    def all(self, name: str) -> list[str]:
        return [value.decode() for key, value in self.headers if key.decode().lower() == name]


def call(app: Any, headers: Headers, path: str = "/invoices", method: str = "GET") -> Answered:
    scope = {**_scope("http", headers, path), "method": method, "scheme": "https", "extensions": {}}
    started, *rest = asyncio.run(_run(app, scope, {"type": "http.request", "body": b"", "more_body": False}))
    return Answered(started["status"], started["headers"], _json(rest))


def knock(app: Any, headers: Headers, path: str = "/feed") -> list[dict[str, Any]]:
    """What a server without extensions is told of a WebSocket that opens and, once accepted, goes away."""
    scope = {**_scope("websocket", headers, path), "scheme": "wss", "subprotocols": [], "extensions": None}
    return asyncio.run(_run(app, scope, {"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1005}))


def knock_for_an_answer(app: Any, headers: Headers, path: str = "/feed") -> Answered:
    """The same of a server that can answer the handshake in HTTP."""
    scope = {**_scope("websocket", headers, path), "scheme": "wss", "subprotocols": []}
    scope["extensions"] = {"websocket.http.response": {}}
    started, *rest = asyncio.run(_run(app, scope, {"type": "websocket.connect"}))
    assert started["type"] == "websocket.http.response.start"
    assert {message["type"] for message in rest} == {"websocket.http.response.body"}
    return Answered(started["status"], started["headers"], _json(rest))


def _scope(kind: str, headers: Headers, path: str) -> dict[str, Any]:
    return {
        "type": kind, "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"api.example.com"), *headers], "http_version": "1.1", "state": {},
        "server": ("api.example.com", 443), "client": ("192.0.2.1", 1), "asgi": {"version": "3.0"},
    }  # fmt: skip


async def _run(app: Any, scope: dict[str, Any], *incoming: dict[str, Any]) -> list[dict[str, Any]]:
    waiting, sent = list(incoming), []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def _json(messages: list[dict[str, Any]]) -> Any:
    return json.loads(b"".join(message.get("body", b"") for message in messages))
