"""Where gateways elsewhere ask: over TLS, each with a client certificate of the authority in `check_client_ca_file`.

Who has none, or one of somebody else's, ends in the handshake (RFC 8446 §4.4.2.4). Nothing but /check is answered.
What the listener stands on, its certificate and that file, is read anew when it changes.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from typing import Any

from doorward.settings import Refusal, StartRefused
from doorward.web import tls
from doorward.web.check_listener import CheckProtocol
from doorward.web.server import Server

log = logging.getLogger("doorward.check")


class CertifiedProtocol(CheckProtocol):
    # Of what was opened once something else is: a handshake that began before may end after it.
    is_superseded = False
    _ends_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._ends_at = _ends_at(transport.get_extra_info("ssl_object"))
        # A session that is resumed shows the certificate of the first one, which may have ended since.
        if self.is_superseded or self._has_ended():
            transport.abort()

    def on_headers_complete(self) -> None:
        """A connection that is used all the time would outlive its certificate."""
        if self._has_ended():
            self._refused = True
            self.transport.abort()
            return
        super().on_headers_complete()

    def _has_ended(self) -> bool:
        return self._ends_at <= time.time()


def _ends_at(connection: ssl.SSLObject) -> float:
    shown: dict[str, Any] = connection.getpeercert() or {}
    return ssl.cert_time_to_seconds(shown["notAfter"]) if shown else 0.0


def _of_one_opening() -> type[CertifiedProtocol]:
    return type("Protocol", (CertifiedProtocol,), {})


@dataclass(slots=True)
class Certified:
    """The listener of one worker: `sockets` are bound once, and listened on under whatever files there are."""

    sockets: Sequence[socket]
    certificate: Path
    key: Path | None
    authority: Path
    _servers: list[asyncio.Server] = field(default_factory=list)
    _protocol: type[CertifiedProtocol] = field(default_factory=_of_one_opening)

    def context(self) -> ssl.SSLContext:
        """Raises OSError or ValueError."""
        context = tls.server_context(self.certificate, self.key)
        context.load_verify_locations(self.authority)
        context.verify_mode = ssl.CERT_REQUIRED
        # What the file names is trusted, whether it is a root, one below it, or a gateway's own certificate.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        # Who is let in is asked each time: no ticket speaks for a certificate that was shown before.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        return context

    async def open(self, server: Server) -> None:
        """The sockets are shared with what listened before, so that nobody is turned away in between."""
        context, protocol = self.context(), _of_one_opening()
        opened = [await server.listen(sock.dup(), protocol, context) for sock in self.sockets]
        self._protocol.is_superseded, self._protocol = True, protocol
        for before in self._servers:
            server.servers.remove(before)
            before.close()
        self._servers = opened
        server.servers += opened

    async def watch(self, server: Server) -> None:
        """Polls, as `tls.watch` does."""
        seen = self._state()
        while True:
            await asyncio.sleep(tls.POLL_INTERVAL)
            if (now := self._state()) != seen:
                seen = now
                await self._reopen(server)

    async def _reopen(self, server: Server) -> None:
        try:
            await self.open(server)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            log.error("new certificates of gateways are not usable, the old ones stay: %s", type(error).__name__)
            return
        # Those that are connected were let in by what was there before: they finish, and come again.
        for connection in list(server.server_state.connections):
            if isinstance(connection, CertifiedProtocol):
                connection.shutdown()
        log.warning("the certificates by which gateways are known were replaced")

    def _state(self) -> object:
        return tls.state(self.certificate, self.key, self.authority)


def listen(sockets: Sequence[socket], certificate: Path, key: Path | None, authority: Path | None) -> list[Certified]:
    """Raises StartRefused."""
    if not sockets or authority is None:
        return []
    made = Certified(sockets, certificate, key, authority)
    try:
        made.context()
    except (OSError, ValueError):
        ways = (
            "name a file of certificates (PEM), of the authority that signs those of the gateways",
            "make it readable for this user",
            "leave check_tls_listen out, and let gateways elsewhere show check_secret",
        )
        raise StartRefused(Refusal(f"check_client_ca_file {authority} cannot be used", ways)) from None
    return [made]
