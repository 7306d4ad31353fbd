"""What a Guard looks at of an ASGI request, and what it adds to the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from doorward_verify import body, credential
from doorward_verify.door import Door

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def address(scope: Mapping[str, Any]) -> str | None:
    """Where a request came from, as the server says; behind a proxy it has to be told whom to believe."""
    client = scope.get("client")
    return client[0] if client else None


async def in_body(door: Door, scope: Scope, receive: Receive) -> tuple[tuple[str, ...], Receive]:
    """The keys in the body, and the body again for the application."""
    fields = dict(scope["headers"])
    content_type, length = (fields.get(name, b"").decode("latin-1") for name in (b"content-type", b"content-length"))
    if not door.reads_body or scope["type"] != "http" or not body.is_read(content_type, length):
        return (), receive
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    found = body.keys(content_type, b"".join(message.get("body", b"") for message in messages))

    async def again() -> MutableMapping[str, Any]:
        return messages.pop(0) if messages else await receive()

    return found, again


def unkept(scope: Scope, send: Send) -> Send:
    """The answer to a request whose URL holds a credential is kept nowhere."""
    if not credential.in_query(scope.get("query_string", b"")):
        return send
    fields = [(name.encode(), value.encode()) for name, value in credential.OF_EXPOSED.items()]
    names = [name for name, _ in fields]

    async def adding(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            others = [header for header in message.get("headers", ()) if header[0].lower() not in names]
            message = {**message, "headers": [*others, *fields]}
        await send(message)

    return adding


async def keys_in(connection: Any) -> Sequence[str]:
    """The same of a Starlette request, which keeps its body, or the form that it made of it. For doors that read it."""
    fields = connection.headers
    content_type = fields.get("content-type", "")
    is_http = connection.scope["type"] == "http"
    if not is_http or not body.is_read(content_type, fields.get("content-length", "")):
        return ()
    try:
        return body.keys(content_type, await connection.body())
    except RuntimeError:  # it was read to the end, as a form
        found: Sequence[str] = (await connection.form()).getlist(body.NAME)
        return found
