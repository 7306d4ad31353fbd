"""The plaintext port of an api: everything is refused there, and credentials of the api that arrive there end.

Plaintext(verifier).listen("0.0.0.0", 80)       in threads of its own
app = Plaintext(verifier).asgi                  behind a server that has the port; .wsgi for WSGI

The answer is given at once, whatever was sent. Digests of what was in it are reported with the verifier's credentials;
of JWTs the text, which is kept nowhere and could not be found by one.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from doorward_verify import exposed
from doorward_verify.address_limit import AddressLimit
from doorward_verify.challenge import Answer
from doorward_verify.errors import InTheClear, Misconfigured
from doorward_verify.plaintext_reports import PlaintextReports
from doorward_verify.verifier import Verifier

BODY_LIMIT = 64 * 1024
# Requests with credentials, from one address in a minute; more are guesses, and get the same answer.
ADDRESS_LIMIT = 10
TIMEOUT = 10.0
CONNECTIONS_LIMIT = 200

Headers = Iterable[tuple[bytes, bytes]]


class Plaintext:
    """Raises Misconfigured for a verifier without credentials: nobody would hear what it reports."""

    def __init__(self, verifier: Verifier) -> None:
        if not verifier._can_ask:
            raise Misconfigured("a verifier without credentials can report nothing")
        self._verifier = verifier
        self._reports = PlaintextReports(verifier._source.report)
        self._limit = AddressLimit(ADDRESS_LIMIT)

    def refuse(self, headers: Headers, target: bytes, body: bytes, address: str) -> Answer:
        """The one answer. What is to be reported of the request is reported in the background."""
        texts = exposed.texts(headers, target, body, self._verifier._policy.brand)
        if texts and self._limit.allows(address, time.monotonic()):
            self._reports.add(texts)
        answer = self._verifier.answer(InTheClear("plain http is not served"))
        kept = (header for header in answer.headers if header[0] != "www-authenticate")
        return Answer(answer.status, (*kept, ("connection", "close")), answer.body)

    async def asgi(
        self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:  # fmt: skip
        if scope["type"] == "websocket":
            self.refuse(scope["headers"], _target(scope), b"", _address(scope))
            await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more and len(body) < BODY_LIMIT:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        answer = self.refuse(scope["headers"], _target(scope), body, _address(scope))
        headers = [(name.encode(), value.encode()) for name, value in _fields(answer)]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer.body).encode()})

    def wsgi(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        length = environ.get("CONTENT_LENGTH") or "0"
        body = environ["wsgi.input"].read(min(int(length[:9]), BODY_LIMIT)) if length.isdecimal() else b""
        fields = ((name, str(value).encode("latin-1", "replace")) for name, value in environ.items())
        headers = [(name.encode(), value) for name, value in fields if name.startswith("HTTP_")]
        target = f"{environ.get('PATH_INFO', '')}?{environ.get('QUERY_STRING', '')}".encode("latin-1", "replace")
        answer = self.refuse(headers, target, body, str(environ.get("REMOTE_ADDR", "")))
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", _fields(answer))
        return [json.dumps(answer.body).encode()]

    def listen(self, host: str = "", port: int = 80) -> Listener:
        """Opens the port, or raises OSError."""
        listener = Listener((host, port), self)
        threading.Thread(target=listener.serve_forever, name="doorward-plaintext", daemon=True).start()
        return listener

    def close(self) -> None:
        """Waits a little for what is still to be reported."""
        self._reports.close()


class Listener(ThreadingHTTPServer):
    """`port` is the one that it has; `stop` gives it up."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], plaintext: Plaintext) -> None:
        self.plaintext = plaintext
        self._room = threading.BoundedSemaphore(CONNECTIONS_LIMIT)
        super().__init__(address, _Refusing)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, *_: Any) -> None:
        """Whoever goes away, or is too slow, is no news."""


class _Refusing(BaseHTTPRequestHandler):
    """One request, whatever its method is, and what is none."""

    server: Listener
    timeout = TIMEOUT

    def __getattr__(self, name: str) -> Any:
        """Every method is one that it knows."""
        if name.startswith("do_"):
            return self._refuse
        raise AttributeError(name)

    def _refuse(self) -> None:
        length = self.headers["content-length"] or "0"
        body = b""
        if length.isdecimal():
            with suppress(OSError):
                body = self.rfile.read(min(int(length[:9]), BODY_LIMIT))
        target = self.path.encode("latin-1", "replace")
        headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in self.headers.items()]
        self._say(self.server.plaintext.refuse(headers, target, body, self.client_address[0]))

    def send_error(self, *_: Any) -> None:
        # What could not be read would be answered as HTTP/0.9 was, without a status.
        self.request_version, self.command = "HTTP/1.1", ""
        self._say(self.server.plaintext.refuse((), b"", b"", self.client_address[0]))

    def _say(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in _fields(answer):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(json.dumps(answer.body).encode())
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """What was sent here is nothing for a log."""


def _fields(answer: Answer) -> list[tuple[str, str]]:
    return [*answer.headers, ("content-length", str(len(json.dumps(answer.body))))]


def _target(scope: Mapping[str, Any]) -> bytes:
    path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    query: bytes = scope["query_string"]
    return path + b"?" + query


def _address(scope: Mapping[str, Any]) -> str:
    client = scope.get("client")
    return client[0] if client else ""
