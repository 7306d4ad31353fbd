"""Admin replies as Starlette's responses, with the header fields that every one of them has."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from doorward.protocol.admin import etag
from doorward.web.incoming import Incoming
from doorward.web.replies import JSON, NO_STORE, NOSNIFF, Headers, Reply


def rendered(reply: Any, status: int) -> Reply:
    if reply is None:
        return Reply(204, b"", [NO_STORE])
    headers: Headers = [JSON, NO_STORE]
    version = getattr(reply, "version", None)
    if version is not None:
        headers.append((b"etag", etag(version).encode()))
    return Reply(status, to_json(reply), headers)


def respond(reply: Reply, incoming: Incoming) -> Response:
    response = Response(b"" if incoming.method == "HEAD" else reply.body, reply.status)
    fields = [*reply.headers, NOSNIFF, (b"x-request-id", incoming.request_id.encode())]
    if reply.status != 204:
        fields.append((b"content-length", str(len(reply.body)).encode()))
    response.raw_headers = fields
    incoming.runtime.metrics.answered("/v1", reply.status)
    return response
