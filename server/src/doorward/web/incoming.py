"""One request as it arrives: its header fields, its body within limits, and the id by which it can be explained.

POST /oauth/token
content-type: application/x-www-form-urlencoded;charset=UTF-8
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.types import Receive, Scope

from doorward import deadline
from doorward.protocol import form
from doorward.protocol.form import Form
from doorward.protocol.reasons import REASONS
from doorward.protocol.refusal import (
    InvalidRequest,
    MethodNotAllowed,
    Refusal,
    TooLarge,
    UnsupportedMediaType,
)
from doorward.store.journal import Context
from doorward.web.runtime import Runtime
from doorward_verify import request_id, strict_json

BODY_LIMIT = 64 * 1024
FORM = b"application/x-www-form-urlencoded"
JSON = b"application/json"


class Incoming:
    """`actor` is who asks, as far as is known; nothing is journaled in his name before he was authenticated."""

    __slots__ = (
        "_body", "_outcome", "_receive", "_request_id", "actor", "headers", "method", "path", "runtime", "scope",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, runtime: Runtime, actor: str = "") -> None:
        self.scope = scope
        self.runtime = runtime
        self.actor = actor
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
        self._receive = receive
        self._request_id, self._outcome = "", 0
        self._body: bytes | None = None

    def all(self, name: bytes) -> list[bytes]:
        return [value for found, value in self.headers if found == name]

    def one(self, name: bytes) -> bytes | None:
        """Raises InvalidRequest when the field is repeated: which of them counts is nobody's guess."""
        values = self.all(name)
        if len(values) > 1:
            raise InvalidRequest(f"the {name.decode()} header is repeated")
        return values[0] if values else None

    @property
    def address(self) -> str:
        """The caller's; through a believed proxy the one that X-Forwarded-For tells (web/forwarded.py)."""
        client = self.scope.get("client")
        return client[0] if client else ""

    @property
    def request_id(self) -> str:
        return self._request_id or self.identify(None)

    def identify(self, refusal: Refusal | None) -> str:
        """The id says when, where and why (decision 23); one outcome has one id, in the journal and in the answer."""
        code = 0 if refusal is None else REASONS[refusal.reason].code
        if self._request_id and code == self._outcome:
            return self._request_id
        runtime = self.runtime
        made = request_id.make(int(time.time()), code, runtime.node, os.urandom(6), runtime.request_id_key)
        self._request_id, self._outcome = made, code
        return made

    def context(self, refusal: Refusal | None) -> Context:
        return Context(self.actor, self.identify(refusal))

    def allow(self, *methods: str) -> None:
        if self.method not in methods:
            raise MethodNotAllowed("the method is not allowed here", fields=(("allow", ", ".join(methods)),))

    async def body(self, limit: int = BODY_LIMIT) -> bytes:
        """Raises TooLarge beyond 64 KiB, or another limit, announced or not."""
        if self._body is None:
            self._body = await self._read(limit)
        return self._body

    async def _read(self, limit: int) -> bytes:
        length = self.one(b"content-length")
        if length is not None and length.isdigit() and (len(length) > 9 or int(length) > limit):
            raise _too_large(limit)
        body, more = bytearray(), True
        while more and len(body) <= limit:
            with deadline.not_counted():
                message = await self._receive()
            if message["type"] == "http.disconnect":
                raise InvalidRequest("the body ended early")
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if len(body) > limit:
            raise _too_large(limit)
        return bytes(body)

    async def form(self) -> Form:
        return form.collect(await self.pairs())

    async def pairs(self) -> list[tuple[str, str]]:
        """The parameters of a form, repeated or not."""
        self._require(FORM)
        return form.pairs(await self.body())

    async def json(self) -> dict[str, Any]:
        """The body as a JSON object, strictly: a member named twice or a NaN is malformed, not a matter of taste."""
        return (await self.document())[1]

    async def document(self) -> tuple[bytes, dict[str, Any]]:
        """The same, with its bytes, which no other parser reads otherwise."""
        self._require(JSON)
        body = await self.body()
        try:
            parsed = strict_json.parse(body)
        except ValueError:
            raise InvalidRequest("the body is not a well-formed json object") from None
        # Backslashes are doubled in it, so what is left of them after this stands for something else.
        if b"\\u0000" in body and "\\u0000" in json.dumps(parsed).replace("\\\\", ""):
            raise InvalidRequest("the body contains NUL")
        return body, parsed

    def query(self) -> Form:
        return form.parse(self.scope["query_string"])

    def _require(self, media_type: bytes) -> None:
        """A parameter such as charset is fine (decision 41); another charset than UTF-8 is not."""
        given = self.one(b"content-type") or b""
        name, _, parameters = given.partition(b";")
        if name.strip().lower() != media_type or not _is_utf8(parameters) or self.all(b"content-encoding"):
            raise UnsupportedMediaType(f"the content type must be {media_type.decode()}")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit // 1024} KiB")


def _is_utf8(parameters: bytes) -> bool:
    for parameter in filter(None, (part.strip().lower() for part in parameters.split(b";"))):
        name, _, value = parameter.partition(b"=")
        if name == b"charset" and value.strip(b'"') not in (b"utf-8", b"utf8"):
            return False
    return True


def headers_of(fields: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in fields.items()]
