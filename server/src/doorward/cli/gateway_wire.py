"""Both ends of a gateway, by bytes: requests that no library would send, and a service that keeps what reached it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import IO, Self

TIMEOUT = 10.0
SIZE_LIMIT = 1 << 20
SWITCHING = 101


@dataclass(frozen=True, slots=True)
class Door:
    """Where requests are sent; `trust` is None where there is no TLS."""

    host: str
    port: int
    trust: ssl.SSLContext | None = None

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.trust else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Reply:
    """A status of 0 says that the connection was closed, or nothing was said in time."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known.lower() == name), None)


def connected(door: Door) -> socket.socket:
    """Raises OSError."""
    plain = socket.create_connection((door.host, door.port), TIMEOUT)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if door.trust is None:
        return plain
    try:
        return door.trust.wrap_socket(plain, server_hostname=door.host)
    except OSError:
        plain.close()
        raise


def send(door: Door, raw: bytes) -> Reply:
    """One connection for one request; an answer that is no HTTP is none."""
    try:
        with connected(door) as connection:
            connection.sendall(raw)
            return _answer(connection, raw.partition(b" ")[0].decode("latin-1"))
    except (OSError, http.client.HTTPException):
        return Reply(0)


def _answer(connection: socket.socket, method: str) -> Reply:
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        body = b"" if response.status == SWITCHING else response.read(SIZE_LIMIT)
        return Reply(response.status, tuple(response.getheaders()), body)
    finally:
        response.close()


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it reached the service."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    def values(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known.lower() == name]

    @property
    def is_websocket(self) -> bool:
        return any(value.lower() == "websocket" for value in self.values("upgrade"))


class Echo:
    """Stands where the service stands: answers 200 to everything, and upgrades whoever asks."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.create_server((host, port), family=family)
        self._ended, self._end = socket.socketpair()
        self._seen: list[Seen] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self._end.send(b".")
        self._thread.join()
        for one in (self._listening, self._ended, self._end):
            one.close()

    def taken(self) -> list[Seen]:
        """What came since it was last asked."""
        with self._lock:
            seen, self._seen = self._seen, []
        return seen

    def _accept(self) -> None:
        serving: list[tuple[threading.Thread, socket.socket]] = []
        while self._ended not in select.select([self._listening, self._ended], [], [])[0]:
            connection, _ = self._listening.accept()
            connection.settimeout(TIMEOUT)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            thread.start()
            serving = [(one, its) for one, its in serving if one.is_alive()] + [(thread, connection)]
        for one, its in serving:
            with contextlib.suppress(OSError, ValueError):
                its.shutdown(socket.SHUT_RDWR)
            one.join()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError), connection.makefile("rb") as reader:
            while seen := _read(reader):
                with self._lock:
                    self._seen.append(seen)
                connection.sendall(_reply(seen))
                if seen.is_websocket:
                    return


def _reply(seen: Seen) -> bytes:
    if seen.is_websocket:
        # RFC 6455 §4.2.2: some gateways hand on no other switch.
        shown = "".join(seen.values("sec-websocket-key")) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(shown.encode(), usedforsecurity=False).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        return head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"
    return head if seen.method == "HEAD" else head + b"echo\n"


def _read(reader: IO[bytes]) -> Seen | None:
    line = reader.readline(SIZE_LIMIT)
    if not line.strip():
        return None
    method, _, rest = line.decode("latin-1").rstrip("\r\n").partition(" ")
    seen = Seen(method, rest.rpartition(" ")[0], tuple(_fields(reader)))
    return replace(seen, headers=(*seen.headers, *_trailers(reader, seen)))


def _fields(reader: IO[bytes]) -> Iterator[tuple[str, str]]:
    while (line := reader.readline(SIZE_LIMIT)) not in (b"\r\n", b"\n", b""):
        name, _, value = line.decode("latin-1").rstrip("\r\n").partition(":")
        yield name, value.strip()


def _trailers(reader: IO[bytes], seen: Seen) -> tuple[tuple[str, str], ...]:
    """What comes behind the body; some servers take it for header fields."""
    if any("chunked" in value.lower() for value in seen.values("transfer-encoding")):
        while size := int(reader.readline(SIZE_LIMIT).partition(b";")[0], 16):
            reader.read(size + 2)
        return tuple(_fields(reader))
    for value in seen.values("content-length")[:1]:
        reader.read(int(value))
    return ()
