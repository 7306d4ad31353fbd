"""A real HTTP server that plays an api: it keeps what was sent, and refuses the tokens that the test names."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from doorward_verify import InvalidToken, challenge

Headers = tuple[tuple[str, str], ...]
BODY = b"an answer"


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    authorization: str | None
    body: bytes


@dataclass
class Api:
    """`answers` maps paths to a status and headers; what is not in it is answered by 200, refused tokens by 401."""

    refused: set[str] = field(default_factory=set)
    refuses_all: bool = False
    received: list[Received] = field(default_factory=list)
    answers: dict[str, tuple[int, Headers]] = field(default_factory=dict)
    gate: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        self._server = _Server(("localhost", 0), _conversation_of(self))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def origin(self) -> str:
        return f"http://localhost:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.origin}/invoices"

    @property
    def tokens(self) -> list[str]:
        """Those that were sent, in order."""
        return [(request.authorization or "").removeprefix("Bearer ") for request in self.received]

    def answer(self, request: Received) -> tuple[int, Headers]:
        token = (request.authorization or "").removeprefix("Bearer ")
        if self.refuses_all or token in self.refused:
            return refusal()
        return self.answers.get(request.path, (200, ()))

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def refusal() -> tuple[int, Headers]:
    """As a Guard refuses a token that was revoked."""
    error = InvalidToken("the token was revoked", reason="credential_revoked")
    answered = challenge.answer(error, issuer="https://auth.example.com", audience="https://a", request_id="req_1")
    return answered.status, answered.headers


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


def _conversation_of(api: Api) -> type[BaseHTTPRequestHandler]:
    class Conversation(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            request = Received(self.command, self.path, self.headers["authorization"], self._body())
            api.received.append(request)
            api.gate()
            status, headers = api.answer(request)
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("content-length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

        do_POST = do_GET  # noqa: N815  as the library looks it up

        def _body(self) -> bytes:
            if self.headers["transfer-encoding"] != "chunked":
                return self.rfile.read(int(self.headers["content-length"] or 0))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

    return Conversation
