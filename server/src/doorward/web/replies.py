"""How answers look: OAuth's JSON (RFC 6749 §5), problem documents (RFC 9457), and challenges (RFC 6750 §3)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.types import Send

from doorward.protocol.reasons import REASONS
from doorward.protocol.refusal import Refusal
from doorward.web.incoming import Incoming

Headers = list[tuple[bytes, bytes]]

NO_STORE = (b"cache-control", b"no-store")
JSON = (b"content-type", b"application/json")
PROBLEM = (b"content-type", b"application/problem+json")
NOSNIFF = (b"x-content-type-options", b"nosniff")
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=63072000")
ANY_ORIGIN = (b"access-control-allow-origin", b"*")
RETRY_AFTER = (b"retry-after", b"1")


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    headers: Headers


def preflight(*methods: str) -> Reply:
    """For browsers of any origin, without their cookies (T182)."""
    fields = [
        ANY_ORIGIN,
        (b"access-control-allow-methods", ", ".join(methods).encode("ascii")),
        (b"access-control-allow-headers", b"authorization, content-type"),
        (b"access-control-max-age", b"600"),
    ]
    return Reply(204, b"", fields)


_encode = json.JSONEncoder(separators=(",", ":")).encode


def compact(value: Any) -> bytes:
    return _encode(value).encode()


async def send_reply(send: Send, reply: Reply, incoming: Incoming) -> None:
    headers = [
        *reply.headers,
        NOSNIFF,
        (b"x-request-id", incoming.request_id.encode()),
        (b"content-length", str(len(reply.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if incoming.method == "HEAD" else reply.body})


def docs_link(issuer: str, reason: str) -> str:
    return f"{issuer}/v1/docs#reason-{reason}"


def oauth_error(refusal: Refusal, incoming: Incoming) -> Reply:
    """RFC 6749 §5.2 with what makes it explain itself: reason, request id and where to read on."""
    body = {
        "error": refusal.error,
        "error_description": refusal.description,
        "reason": refusal.reason,
        "request_id": incoming.identify(refusal),
        "docs": docs_link(incoming.runtime.policy.issuer, refusal.reason),
    }
    return Reply(refusal.status, compact(body), [JSON, NO_STORE, *_fields(refusal, incoming)])


def problem(refusal: Refusal, incoming: Incoming) -> Reply:
    """RFC 9457: `type` is the reason's own page; `errors` names the fields that were wrong."""
    reason = REASONS[refusal.reason]
    body: dict[str, Any] = {
        "type": docs_link(incoming.runtime.policy.issuer, reason.name),
        "title": reason.sentence,
        "status": refusal.status,
        "detail": refusal.description,
        "reason": reason.name,
        "request_id": incoming.identify(refusal),
    }
    if refusal.status == 422 and refusal.fields:
        body["errors"] = [{"field": name, "detail": must} for name, must in refusal.fields]
    return Reply(refusal.status, compact(body), [PROBLEM, NO_STORE, *_fields(refusal, incoming)])


def _fields(refusal: Refusal, incoming: Incoming) -> Iterable[tuple[bytes, bytes]]:
    fields = dict(refusal.fields) if refusal.status != 422 else {}
    if refusal.status == 401:
        scheme = fields.get("authenticate", "Bearer" if refusal.error == "invalid_token" else "Basic")
        yield b"www-authenticate", _challenge(scheme, refusal, incoming.runtime.policy.issuer)
    if refusal.status == 403 and "scope" in fields:
        realm = incoming.runtime.policy.issuer
        text = f'Bearer realm="{realm}", error="insufficient_scope", scope="{fields["scope"]}"'
        yield b"www-authenticate", text.encode()
    if "allow" in fields:
        yield b"allow", fields["allow"].encode()
    if refusal.status == 429 and "retry_after" in fields:
        yield b"retry-after", fields["retry_after"].encode()
    if refusal.status == 503:
        yield RETRY_AFTER


def _challenge(scheme: str, refusal: Refusal, realm: str) -> bytes:
    """RFC 6750 §3.1: who sent no credential is told none of the error codes."""
    if scheme == "Basic" or refusal.reason == "credential_missing":
        return f'{scheme} realm="{realm}"'.encode()
    text = f'{scheme} realm="{realm}", error="{refusal.error}", error_description="{refusal.description}"'
    return text.encode()
