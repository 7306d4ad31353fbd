"""The server, and one worker's run; what a connection may do is web/connection.py's."""

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any, Protocol, cast

import uvicorn
import uvloop
from starlette.types import ASGIApp

from doorward.web.connection import LINGER, LimitedProtocol
from doorward.web.load import Load, letting_in
from doorward.web.sockets import BACKLOG

KEEP_ALIVE = 65
HANDSHAKE_TIMEOUT = 10.0
GRACE = 8
TLS_TIMEOUTS: dict[str, Any] = {"ssl_handshake_timeout": HANDSHAKE_TIMEOUT, "ssl_shutdown_timeout": LINGER}

Application = AbstractAsyncContextManager[ASGIApp]
Listener = tuple[socket.socket, "type[LimitedProtocol]"]
log = logging.getLogger("doorward.server")


class Server(uvicorn.Server):
    """uvicorn's server, without its exit by raised signal and its 60 s for a TLS handshake."""

    # Of the plaintext port, and what makes its connections.
    plaintext: tuple[Sequence[socket.socket], Callable[..., Callable[[], asyncio.Protocol]] | None] = ((), None)
    on_ready: Callable[[], None] | None = None
    on_drain: Callable[[], None] | None = None
    on_shutdown: Callable[[], None] | None = None
    others: Sequence[Listener] = ()
    openings: Sequence["Opening"] = ()
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
        self.servers = [
            await loop.create_server(
                self._connection,
                sock=sock,
                ssl=self.config.ssl,
                backlog=BACKLOG,
                **(TLS_TIMEOUTS if self.config.ssl else {}),
            )
            for sock in sockets or []
        ]
        plain, connections = self.plaintext
        if plain and connections is not None:
            connect = connections(self.server_state)
            self.servers += [await loop.create_server(connect, sock=sock, backlog=BACKLOG) for sock in plain]
        self.servers += [await self.listen(*other) for other in self.others]
        for opening in self.openings:
            await opening.open(self)
        self.started = True
        await self.on_tick(0)
        if self.on_ready is not None:
            self.on_ready()

    async def listen(
        self, sock: socket.socket, protocol: type[LimitedProtocol], tls: ssl.SSLContext | None = None
    ) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        listen = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
        loaded = type("Protocol", (protocol,), {"load": getattr(self.config.http_protocol_class, "load", None)})
        timeouts = TLS_TIMEOUTS if tls else {}
        return await listen(partial(self._connection, loaded), sock=sock, ssl=tls, backlog=BACKLOG, **timeouts)

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


class Opening(Protocol):
    """A listener that is opened anew when what it stands on changes."""

    async def open(self, server: Server) -> None: ...

    async def watch(self, server: Server) -> None: ...


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
    openings: Sequence[Opening] = ()
    drain_seconds: float = 0.0

    def run(self, node: int, on_ready: Callable[[], None], parent: int | None = None) -> None:
        """Until SIGINT or SIGTERM, or until the supervisor's end of `parent` closes."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._work(node, on_ready, parent))

    async def _work(self, node: int, on_ready: Callable[[], None], parent: int | None) -> None:
        async with self.application(node) as application:
            load: Load = getattr(application, "load", None) or Load()
            server = Server(_config(application, self.tls, self.behind_proxy, load))
            server.on_ready = partial(_begun, application, on_ready)
            server.others, server.openings = self.others, self.openings
            server.drain_seconds, server.on_drain = self.drain_seconds, getattr(application, "drain", None)
            server.plaintext = self.plaintext, getattr(getattr(application, "plaintext", None), "connections", None)
            # Answers that do not end by themselves would be waited for in vain.
            server.on_shutdown = getattr(application, "end_streams", None)
            if parent is not None:
                asyncio.get_running_loop().add_reader(parent, _orphaned, server, parent)
            beside = [load.watch(), *(opening.watch(server) for opening in self.openings)]
            beside += [self.beside()] if self.beside else []
            tasks = [asyncio.create_task(work) for work in beside]
            try:
                await server.serve(sockets=self.sockets)
            finally:
                for task in tasks:
                    task.cancel()


def _begun(application: ASGIApp, on_ready: Callable[[], None]) -> None:
    begin = getattr(application, "begin", None)
    if begin is not None:
        begin()
    on_ready()


def _orphaned(server: Server, parent: int) -> None:
    asyncio.get_running_loop().remove_reader(parent)
    server.should_exit = True


def _config(
    application: ASGIApp, tls: ssl.SSLContext | None, behind_proxy: Sequence[str], load: Load
) -> uvicorn.Config:
    trusted = tuple(ipaddress.ip_network(network) for network in behind_proxy)
    protocol = type("Protocol", (LimitedProtocol,), {"trusted": trusted, "load": load})
    return uvicorn.Config(
        cast(Callable[..., Any], letting_in(application)),
        http=cast(type[asyncio.Protocol], protocol),
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
