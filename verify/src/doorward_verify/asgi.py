"""Guard for any ASGI application, HTTP and WebSocket: who may not pass is refused before the application hears of it.

app = guard.middleware("invoices:read")(app)    scope["doorward.verified"], request.state.verified: what was proved
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Unpack

from doorward_verify.asgi_request import App, Receive, Scope, Send, address, in_body, unkept
from doorward_verify.challenge import Answer
from doorward_verify.door import Door
from doorward_verify.needs import Needs, Wanted

VERIFIED = "doorward.verified"
DENIAL = "websocket.http.response"
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013


class Reply:
    """An answer as an ASGI application; to a WebSocket it is given instead of accepting."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        answer, body = self._answer, json.dumps(self._answer.body).encode()
        kind = "http.response" if scope["type"] == "http" else DENIAL
        if kind == DENIAL and DENIAL not in (scope.get("extensions") or {}):
            code = TRY_AGAIN_LATER if answer.status == 503 else POLICY_VIOLATION
            await send({"type": "websocket.close", "code": code, "reason": answer.body["reason"]})
            return
        headers = [(name.encode(), value.encode()) for name, value in answer.headers]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": f"{kind}.start", "status": answer.status, "headers": headers})
        await send({"type": f"{kind}.body", "body": body})


def guarded(app: App, door: Door, needs: Needs) -> App:
    """The application behind the door. Where the door has metadata, they are served in front of it."""
    metadata_path = None if door.resource_metadata is None else door.metadata_path

    async def admit(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await app(scope, receive, send)
        if scope["type"] == "http" and scope["path"] == metadata_path:
            return await Reply(door.metadata_answer)(scope, receive, send)
        keys, receive = await in_body(door, scope, receive)
        query = scope.get("query_string", b"")
        found = await door.acheck(scope["headers"], needs, address(scope), query, keys, scope)
        if isinstance(found, Answer):
            return await Reply(found)(scope, receive, send)
        scope[VERIFIED] = found
        scope.setdefault("state", {})["verified"] = found
        return await app(scope, receive, unkept(scope, send))

    return admit


class Guard(Door):
    def middleware(self, *scope: str, **wanted: Unpack[Wanted]) -> Callable[[App], App]:
        needs = Needs.of(*scope, **wanted)
        return lambda app: guarded(app, self, needs)

    @property
    def metadata(self) -> Reply:
        """An endpoint for `metadata_path`."""
        return Reply(self.metadata_answer)
