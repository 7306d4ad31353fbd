"""The server: its limits on what a connection may do, and one worker's run (RFC 9112).

uvicorn does HTTP; this adds the limits that an open network needs: 16 KiB of headers (431), 10 s for them,
10 s for a body (408), 30 s for a client that does not read, and whose X-Forwarded-Proto and -For are believed.
"""

import asyncio
import contextlib
import ipaddress
import json
import logging
import signal
import socket
import ssl
from asyncio import TimerHandle
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from types import FrameType
from typing import Any, cast

import httptools
import uvicorn
import uvloop
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from doorward.settings import address_of
from doorward.web import forwarded
from doorward.web.forwarded import Network
from doorward.web.sockets import BACKLOG

HEADER_LIMIT = 16 * 1024
HEADER_TIMEOUT = 10.0
BODY_TIMEOUT = 10.0
WRITE_TIMEOUT = 30.0
KEEP_ALIVE = 65
HANDSHAKE_TIMEOUT = 10.0
GRACE = 8
LINGER = 1.0
# Set in the scope when a believed proxy says that some hop was plain HTTP; a missing header is no evidence.
IN_THE_CLEAR = "doorward.in_the_clear"
# The target of the request line, byte for byte: what is parsed of it is without a fragment.
TARGET = "doorward.target"
UNTRUSTED = "a forwarding header came from this machine, and --behind-proxy does not name it"

Application = AbstractAsyncContextManager[ASGIApp]
Listener = tuple[socket.socket, "type[LimitedProtocol]"]
log = logging.getLogger("doorward.server")


class Phase(Enum):
    IDLE = 0
    HEAD = 1
    BODY = 2


class LimitedProtocol(HttpToolsProtocol):
    """A connection with limits. A request that arrives in one piece, as nearly all do, arms no timer."""

    trusted: Sequence[Network] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._phase = Phase.IDLE
        self._head_size = 0  # bytes of pieces that hold nothing but the current head
        self._head_bound = 0  # bytes of all pieces that hold some of it
        self._timer: TimerHandle | None = None
        self._write_timer: TimerHandle | None = None
        self._timed: Phase | None = None
        self._refused = False
        self._believed = self._suspicious = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = address_of(self.client[0]) if self.client else None
        self._believed = address is not None and any(address in network for network in self.trusted)
        self._suspicious = address is not None and address.is_loopback and not self._believed
        self._arm(Phase.HEAD, HEADER_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._stop_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._count(len(data))
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # nothing is upgraded: the request is answered as plain HTTP
        except httptools.HttpParserError:
            self._refuse(400, "invalid_request", "the request is not well-formed HTTP")
            return
        if self._phase is Phase.HEAD and self._head_size > HEADER_LIMIT:
            self._refuse_head()
        self._time()

    def _count(self, size: int) -> None:
        if self._phase is Phase.HEAD:
            self._head_size += size
            self._head_bound += size
        else:
            self._head_size = size if self._phase is Phase.IDLE else 0
            self._head_bound = size

    def _time(self) -> None:
        if self._refused:
            return
        if self._phase is Phase.BODY:
            self._arm(Phase.BODY, BODY_TIMEOUT)
        elif self._phase is Phase.HEAD or not self._busy():
            self._arm(Phase.HEAD, HEADER_TIMEOUT)
        elif self._timer is not None:
            self._disarm()

    def on_message_begin(self) -> None:
        self._phase = Phase.HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        if self._head_bound > HEADER_LIMIT and self._head_length() > HEADER_LIMIT:
            self._refuse_head()
            return
        if self._believed:
            self._believe()
        elif self._suspicious and not forwarded.FIELDS.isdisjoint([name for name, _ in self.headers]):
            self._refuse(400, "invalid_request", UNTRUSTED)
            return
        self._phase = Phase.BODY
        self.scope[TARGET] = self.url  # type: ignore[literal-required]
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._refused:
            # What follows in this piece is the next request's, and is no longer this one's head.
            self._head_size = 0
            self._phase = Phase.IDLE
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._phase is Phase.IDLE and self._timer is not None:
            self._disarm()

    def _head_length(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _believe(self) -> None:
        # Every hop that is reported must have been HTTPS: one plaintext hop has shown the credential.
        values = [value for name, value in self.headers if name == b"x-forwarded-proto"]
        hops = [hop.strip().lower() for value in values for hop in value.split(b",")]
        if hops:
            self.scope["scheme"] = "https" if all(hop == b"https" for hop in hops) else "http"
            self.scope[IN_THE_CLEAR] = self.scope["scheme"] == "http"  # type: ignore[literal-required]
        caller = forwarded.caller(self.headers, self.trusted)
        if caller is not None:
            self.scope["client"] = (caller, 0)

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _arm(self, phase: Phase, seconds: float) -> None:
        if self._timer is None or self._timed is not phase:
            self._disarm()
            self._timed = phase
            self._timer = self.loop.call_later(seconds, self._late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        phase = self._phase
        if self.flow.read_paused:
            # We stopped reading, so the client is not the slow one.
            self._arm(phase, BODY_TIMEOUT)
        elif phase is Phase.IDLE:
            if not self._busy():
                self.transport.close()
        else:
            self._refuse(408, "request_timeout", "the request did not arrive within 10 seconds")

    def _refuse_head(self) -> None:
        self._refuse(431, "invalid_request", "the headers are longer than 16 KiB")

    def _refuse(self, status: int, error: str, description: str) -> None:
        if self._refused:
            return
        self._refused = True
        self._disarm()
        if self._busy() and (self._phase is not Phase.BODY or self.cycle.response_started or self.pipeline):
            # The answer under way belongs to an earlier request: it is finished, then the connection ends.
            self.cycle.keep_alive = False
            return
        if self._busy():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._answer(status, json.dumps({"error": error, "error_description": description}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        head = b"content-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n"
        length = b"content-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + length + body)
        # Closing with unread input resets the connection, and the client never sees why: so read on.
        self.flow.resume_reading()
        self.loop.call_later(LINGER, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_TIMEOUT, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_write_timer()
        super().resume_writing()

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


class Server(uvicorn.Server):
    """uvicorn's server, without its exit by raised signal and its 60 s for a TLS handshake."""

    # Of the plaintext port, and what makes its connections.
    plaintext: tuple[Sequence[socket.socket], Callable[..., Callable[[], asyncio.Protocol]] | None] = ((), None)
    on_ready: Callable[[], None] | None = None
    on_drain: Callable[[], None] | None = None
    on_shutdown: Callable[[], None] | None = None
    others: Sequence[Listener] = ()
    # How long it serves after SIGTERM, while the load balancer learns of it.
    drain_seconds = 0.0
    _drains = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Who does not want to wait says it twice, or presses Ctrl-C."""
        if sig != signal.SIGTERM or self._drains or not self.drain_seconds:
            super().handle_exit(sig, frame)
            return
        self._drains = True
        if self.on_drain is not None:
            self.on_drain()
        asyncio.get_running_loop().call_later(self.drain_seconds, super().handle_exit, sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.on_shutdown is not None:
            self.on_shutdown()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        timeouts: dict[str, Any] = {
            "ssl_handshake_timeout": HANDSHAKE_TIMEOUT,
            "ssl_shutdown_timeout": LINGER,
        }
        self.servers = [
            await loop.create_server(
                self._connection,
                sock=sock,
                ssl=self.config.ssl,
                backlog=BACKLOG,
                **(timeouts if self.config.ssl else {}),
            )
            for sock in sockets or []
        ]
        plain, connections = self.plaintext
        if plain and connections is not None:
            connect = connections(self.server_state)
            self.servers += [await loop.create_server(connect, sock=sock, backlog=BACKLOG) for sock in plain]
        self.servers += [await self._open(*other) for other in self.others]
        self.started = True
        await self.on_tick(0)
        if self.on_ready is not None:
            self.on_ready()

    async def _open(self, sock: socket.socket, protocol: type[LimitedProtocol]) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        listen = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
        return await listen(partial(self._connection, protocol), sock=sock, backlog=BACKLOG)

    def _connection(self, protocol: type[Any] | None = None) -> asyncio.Protocol:
        make = cast(Callable[..., asyncio.Protocol], protocol or self.config.http_protocol_class)
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


@dataclass(frozen=True, slots=True)
class Worker:
    """One process's work: the application (made in its loop), the sockets, and what happens beside them."""

    application: Callable[[int], Application]
    sockets: list[socket.socket]
    tls: ssl.SSLContext | None = None
    behind_proxy: Sequence[str] = ()
    beside: Callable[[], Coroutine[None, None, None]] | None = field(default=None)
    plaintext: Sequence[socket.socket] = ()
    others: Sequence[Listener] = ()
    drain_seconds: float = 0.0

    def run(self, node: int, on_ready: Callable[[], None], parent: int | None = None) -> None:
        """Until SIGINT or SIGTERM, or until the supervisor's end of `parent` closes."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._work(node, on_ready, parent))

    async def _work(self, node: int, on_ready: Callable[[], None], parent: int | None) -> None:
        async with self.application(node) as application:
            server = Server(_config(application, self.tls, self.behind_proxy))
            server.on_ready, server.others = partial(_begun, application, on_ready), self.others
            server.drain_seconds, server.on_drain = self.drain_seconds, getattr(application, "drain", None)
            server.plaintext = self.plaintext, getattr(getattr(application, "plaintext", None), "connections", None)
            # Answers that do not end by themselves would be waited for in vain.
            server.on_shutdown = getattr(application, "end_streams", None)
            if parent is not None:
                asyncio.get_running_loop().add_reader(parent, _orphaned, server, parent)
            task = asyncio.create_task(self.beside()) if self.beside else None
            try:
                await server.serve(sockets=self.sockets)
            finally:
                if task is not None:
                    task.cancel()


def _begun(application: ASGIApp, on_ready: Callable[[], None]) -> None:
    begin = getattr(application, "begin", None)
    if begin is not None:
        begin()
    on_ready()


def _orphaned(server: Server, parent: int) -> None:
    asyncio.get_running_loop().remove_reader(parent)
    server.should_exit = True


def _config(application: ASGIApp, tls: ssl.SSLContext | None, behind_proxy: Sequence[str]) -> uvicorn.Config:
    trusted = tuple(ipaddress.ip_network(network) for network in behind_proxy)
    return uvicorn.Config(
        cast(Callable[..., Any], application),
        http=cast(type[asyncio.Protocol], type("Protocol", (LimitedProtocol,), {"trusted": trusted})),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        ssl_context_factory=(lambda _config, _default: tls) if tls else None,
    )
