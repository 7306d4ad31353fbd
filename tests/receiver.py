"""Somebody else's server as ours calls it: over TLS, with a certificate of its own authority, and what it was sent.

with a_receiver(directory) as receiver:      receiver.url("/logout"), receiver.posted, receiver.ca_file
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from tests.deployment import free_port

from doorward import local_ca

PATIENCE = 30.0


@dataclass(frozen=True)
class Posted:
    path: str
    host: str
    content_type: str
    form: dict[str, str]
    headers: dict[str, str]
    body: str


@dataclass
class Receiver:
    """`status` is what it answers next; `answer` writes something else instead, for a test that wants to be rude."""

    ca_file: Path
    chain: Path
    port: int = field(default_factory=free_port)
    status: int = 200
    answer: Callable[[BaseHTTPRequestHandler], None] | None = None
    posted: list[Posted] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    def url(self, path: str, host: str = "localhost") -> str:
        return f"https://{host}:{self.port}{path}"

    def start(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain)
        context.sni_callback = lambda _, name, __: self.names.append(name)
        self._server = _Server(("127.0.0.1", self.port), _answering(self), context)
        threading.Thread(target=self._server.serve_forever, daemon=True, kwargs={"poll_interval": 0.02}).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def wait_for(self, count: int, path: str) -> list[Posted]:
        """Everything that came to a path, once there is so much of it."""
        deadline = time.monotonic() + PATIENCE
        while len(found := self.at(path)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} came"
            time.sleep(0.02)
        return found

    def at(self, path: str) -> list[Posted]:
        return [one for one in self.posted if one.path == path]


class _Server(ThreadingHTTPServer):
    """Each connection's handshake is done in its own thread, where a client that refuses us is no error."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], answering: type[BaseHTTPRequestHandler], context: ssl.SSLContext):
        super().__init__(address, answering)
        self._context = context

    def finish_request(self, request: object, client_address: object) -> None:
        with contextlib.suppress(OSError), self._context.wrap_socket(request, server_side=True) as wrapped:  # type: ignore[call-overload]
            wrapped.settimeout(PATIENCE)
            super().finish_request(wrapped, client_address)  # type: ignore[arg-type]


def _answering(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.posted.append(
                Posted(self.path, headers.get("host", ""), headers.get("content-type", ""), form, headers, body)
            )
            self.do_GET()

        def do_GET(self) -> None:
            if receiver.answer is not None:
                receiver.answer(self)
                return
            self.send_response(receiver.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Answering


@contextlib.contextmanager
def a_receiver(directory: Path, *names: str, listening: bool = True) -> Iterator[Receiver]:
    """Its authority speaks for localhost and for these names."""
    now = datetime.now(UTC)
    authority, key = local_ca.new_authority(names, now)
    ca_file, chain = directory / "receiver-ca.pem", directory / "receiver.pem"
    ca_file.write_bytes(authority)
    chain.write_bytes(local_ca.issue(authority, key, ["localhost", *names], now))
    receiver = Receiver(ca_file, chain)
    if listening:
        receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()
