"""A proxy of our own between a verifier and the server: it passes everything on until it is told to do worse.

with proxied(certificate, upstream_port) as proxy:
    proxy.spoil("black_hole")            # from now on, on every connection, also those that there are
    proxy.spoil("reset", only="feed")    # on those that ask for revocations alone
    proxy.heal()

It ends TLS itself, so that it can tell the feed from the rest, and count what was asked: `proxy.asked`. Between the
server and its database (`upstream` is PostgreSQL's socket, and there is no certificate) all connections are one kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Fault = Literal["pass", "cut", "black_hole", "delay", "reset", "limit"]
Connections = Literal["all", "feed"]

FEED = "/revocations"
CHUNK = 65536
LOOK = 0.02
REQUEST = re.compile(rb"(?:GET|POST|HEAD) (/[^ ?]*)[^ ]* HTTP/1\.1\r\n")
LONGEST_REQUEST_LINE = 4096
# Closing it then sends a reset instead of an end.
NO_LINGERING = struct.pack("ii", 1, 0)


@dataclass(eq=False)
class Connection:
    """`path` is what it asked for first: a client of ours keeps the feed on connections of its own."""

    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    path: str = ""
    passed: int = 0

    def end(self, *, reset: bool) -> None:
        for writer in self.writers:
            sock = writer.get_extra_info("socket")
            if reset and sock is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGERING)
            writer.transport.abort()


class FaultProxy:
    """Its loop has a thread of its own; `spoil` and `heal` may be called by any other."""

    def __init__(self, certificate: Path | None, upstream: int | Path) -> None:
        self.port = 0
        self.asked: Counter[str] = Counter()
        self._upstream = upstream
        self._inside = self._outside = None
        if certificate is not None:
            self._inside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._inside.load_cert_chain(certificate)
            self._outside = ssl.create_default_context(cafile=certificate.with_name("ca.pem"))
        self._fault: Fault = "pass"
        self._only: Connections = "all"
        self._seconds, self._bytes = 0.0, 0
        self._connections: set[Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def spoil(self, fault: Fault, *, only: Connections = "all", seconds: float = 0.0, limit: int = 0) -> None:
        """`seconds` is what "delay" holds each piece back; `limit` the bytes of an answer that "limit" lets through."""
        self._seconds, self._bytes = seconds, limit
        self._fault, self._only = fault, only
        if fault in ("cut", "reset"):
            self._call(self._end_those)

    def heal(self) -> None:
        """What was swallowed stays lost: connections that were hit are ended, as after a cable was mended."""
        hit_by, only = self._fault, self._only
        self._fault = "pass"
        if hit_by == "black_hole":
            self._call(lambda: self._end(only, reset=True))

    def start(self, port: int = 0) -> None:
        self._thread.start()
        self._server = self._call(lambda: asyncio.start_server(self._accept, "127.0.0.1", port, ssl=self._inside))
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._call(self._server.close)
        self._call(lambda: self._end("all", reset=False))
        self._call(self._cancel)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, act):  # type: ignore[no-untyped-def]
        """The result of a call or coroutine on the loop."""

        async def run():  # type: ignore[no-untyped-def]
            found = act()
            return await found if asyncio.iscoroutine(found) else found

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _cancel(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _hits(self, connection: Connection) -> bool:
        return self._only == "all" or connection.path.startswith(FEED)

    def _end_those(self) -> None:
        self._end(self._only, reset=self._fault == "reset")

    def _end(self, only: Connections, *, reset: bool) -> None:
        for one in list(self._connections):
            if only == "all" or one.path.startswith(FEED):
                one.end(reset=reset)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection([writer])
        self._connections.add(connection)
        try:
            first = await reader.read(CHUNK)
            self._count(first, connection)
            await self._suffer(connection)
            theirs, ours = await self._connected()
            connection.writers.append(ours)
            ours.write(first)
            await asyncio.gather(
                self._forward(reader, ours, connection, asks=True),
                self._forward(theirs, writer, connection, asks=False),
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(connection)
            connection.end(reset=False)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._upstream, Path):
            return await asyncio.open_unix_connection(self._upstream)
        return await asyncio.open_connection(
            "127.0.0.1", self._upstream, ssl=self._outside, server_hostname="localhost" if self._outside else None
        )

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection, *, asks: bool
    ) -> None:
        """Until one side ends, which ends the other."""
        while chunk := await reader.read(CHUNK):
            if asks:
                self._count(chunk, connection)
            await self._suffer(connection)
            if self._fault == "limit" and self._hits(connection) and not asks:
                chunk = chunk[: max(0, self._bytes - connection.passed)]
            connection.passed += 0 if asks else len(chunk)
            writer.write(chunk)
            await writer.drain()
            if self._fault == "limit" and self._hits(connection) and connection.passed >= self._bytes > 0:
                break
        raise ConnectionResetError

    async def _suffer(self, connection: Connection) -> None:
        """What the fault does to a piece under way. Raises an OSError when the connection is no more."""
        if self._hits(connection):
            due = self._loop.time() + self._seconds
            while self._fault == "delay" and self._loop.time() < due:
                await asyncio.sleep(LOOK)
            if self._fault in ("cut", "reset"):
                connection.end(reset=self._fault == "reset")
                raise ConnectionResetError
        # Whoever fell into the hole stays there, until the cable is mended and the connection ended.
        while self._fault == "black_hole" and self._hits(connection):
            await asyncio.sleep(LOOK)

    def _count(self, chunk: bytes, connection: Connection) -> None:
        """Our clients send the head of a request in one piece."""
        for found in REQUEST.findall(chunk):
            path = found.decode()
            connection.path = connection.path or path
            self.asked[path] += 1


@contextlib.contextmanager
def proxied(certificate: Path | None, upstream: int | Path, port: int = 0) -> Iterator[FaultProxy]:
    """`certificate` holds the server's own, with its key; the CA's is beside it."""
    proxy = FaultProxy(certificate, upstream)
    proxy.start(port)
    try:
        yield proxy
    finally:
        proxy.stop()
