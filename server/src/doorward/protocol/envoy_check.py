"""Envoy's question and our answer as gRPC has them: envoy.service.auth.v3.Authorization/Check (external_auth.proto).

CheckRequest   attributes 1 { source 1 { address 1 { socket_address 1 { address 2 }}}
                              request 4 { http 2 { method 2, headers 3, path 4, host 5, scheme 6, header_map 13 }}}
CheckResponse  status 1 { code 1 }, denied_response 2 { status 1, headers 2, body 3 }
               ok_response 3 { headers 2 { header 1 { key 1, value 2 }, append_action 3 }, headers_to_remove 5 }
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from doorward.protocol import gateway, protobuf
from doorward.protocol.gateway import Headers
from doorward.protocol.protobuf import last, messages, text

# google.rpc.Code
OK, PERMISSION_DENIED, UNAVAILABLE, UNAUTHENTICATED = 0, 7, 14, 16
CODES = {401: UNAUTHENTICATED, 503: UNAVAILABLE}
OVERWRITE = 2  # HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
ATTRIBUTES, SOURCE, REQUEST, HTTP = 1, 1, 4, 2
# What must not reach the service, beside every identity field that is empty.
CREDENTIALS = tuple(name.decode() for name in (*sorted(gateway.CREDENTIALS), gateway.SECRET))


@dataclass(frozen=True, slots=True)
class Asked:
    method: bytes
    target: bytes
    host: bytes
    scheme: bytes
    address: str
    headers: list[tuple[bytes, bytes]] = field(repr=False)


def asked(message: bytes) -> Asked:
    """Raises ValueError for what is no CheckRequest."""
    attributes = last(message, ATTRIBUTES)
    http, address = last(attributes, REQUEST, HTTP), last(attributes, SOURCE, 1, 1, 2)
    return Asked(
        last(http, 2), last(http, 4), last(http, 5), last(http, 6) or b"https", address.decode("ascii", "replace"),
        [*_headers(http)],
    )  # fmt: skip


def _headers(http: bytes) -> Iterator[tuple[bytes, bytes]]:
    """One by one where Envoy was told `encode_raw_headers`; else those of one name are joined, and so refused."""
    raw = messages(last(http, 13), 1)
    for entry in raw or messages(http, 3):
        # A HeaderValue has a value or a raw value, an entry of the map a value alone.
        yield last(entry, 1).lower(), last(entry, 3) or last(entry, 2)


def request(asked_of: Asked, brand: str) -> gateway.Request:
    """The address is the client's by Envoy itself, and no header's."""
    found = gateway.read(asked_of.headers, "grpc")
    return gateway.request(
        found, asked_of.method, asked_of.scheme, asked_of.host, asked_of.target, asked_of.address, brand
    )


def answer(status: int, headers: Headers, body: bytes) -> bytes:
    """200 lets the request through; everything else is the whole answer to it."""
    if status == 200:
        return text(1, b"") + text(3, _ok([*headers]))
    denied = text(1, protobuf.number(1, status)) + _options(headers) + text(3, body)
    return text(1, protobuf.number(1, CODES.get(status, PERMISSION_DENIED))) + text(2, denied)


def _ok(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Of a field with nothing to tell the caller's is removed."""
    told = [(name, value) for name, value in headers if name in gateway.IDENTITY]
    removed = [*CREDENTIALS, *(name.decode() for name, value in told if not value)]
    kept = _options((name, value) for name, value in told if value)
    return kept + b"".join(text(5, name) for name in removed)


def _options(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(
        text(2, text(1, text(1, name) + text(2, value)) + protobuf.number(3, OVERWRITE)) for name, value in headers
    )
