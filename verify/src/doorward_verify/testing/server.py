"""A real HTTP(S) server on a free port of this machine, in threads of this process."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

ATTENTION = 0.02  # how often it looks whether it has to stop, in seconds


class LoopbackServer:
    """`converse` is called for each request, in a thread of its connection."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self._tls = tls
        self._server = self._listen(0)
        self.port: int = self._server.server_address[1]

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    def converse(self, conversation: Conversation) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """Gone: new connections are refused, old ones closed."""
        self._server.shutdown()
        self._server.server_close()
        self._server.end_connections()

    def start_again(self) -> None:
        self._server = self._listen(self.port)

    def _listen(self, port: int) -> _Server:
        server = _Server(("localhost", port), self)
        if self._tls is not None:
            server.socket = self._tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(ATTENTION,), daemon=True).start()
        return server


class Conversation(BaseHTTPRequestHandler):
    """One request: `route`, `query`, `headers`, `body` and `form`. `reply` answers it."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers["content-length"] or 0))
        self.server.owner.converse(self)

    do_POST = do_GET  # noqa: N815  as the library looks it up

    @property
    def form(self) -> dict[str, str]:
        return dict(reversed(parse_qsl(self.body.decode())))

    @property
    def route(self) -> str:
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, str]:
        return dict(reversed(parse_qsl(urlsplit(self.path).query)))

    def reply(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        """`body` is JSON, but for bytes, which are sent as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: LoopbackServer) -> None:
        self.owner = owner
        self._open: set[Any] = set()
        super().__init__(address, Conversation)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self.owner.connections += 1
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up, or do not trust us, are part of tests."""

    def end_connections(self) -> None:
        for request in list(self._open):
            with suppress(OSError):
                request.shutdown(2)
