"""HTTP to the issuer: HTTPS or loopback, no redirects, no proxies, bounded answers, connections that are used again."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from doorward_verify.errors import Misconfigured, Unavailable

TIMEOUT = 5.0
DEADLINE = 10.0
LIMIT = 1024 * 1024
IDLE_LIMIT = 16
FORM = "application/x-www-form-urlencoded"
HEADERS = {"Accept": "application/json", "User-Agent": "doorward-verify"}

# What a server does to a connection that it kept for long enough; a fresh one deserves a try.
_GONE = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


@dataclass(frozen=True, slots=True)
class Origin:
    scheme: str
    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes


def split(url: str) -> tuple[Origin, str]:
    """The origin and the path with query. Raises ValueError for plain HTTP beyond loopback (decision 19c)."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("not a URL")
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError("neither https nor loopback")
    if not host or "@" in parts.netloc or parts.fragment:
        raise ValueError("a URL with user, fragment or without host")
    path = parts.path or "/"
    return Origin(parts.scheme, host, parts.port), f"{path}?{parts.query}" if parts.query else path


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Outbound:
    """A pool of connections. Everything that goes wrong is an Unavailable whose cause says what it was."""

    def __init__(self, ca_file: str | None) -> None:
        try:
            self._tls = ssl.create_default_context(cafile=ca_file)
        except (OSError, ValueError) as problem:
            raise Misconfigured(f"the CA file {ca_file} cannot be read: {problem}") from problem
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._idle: dict[Origin, list[HTTPConnection]] = {}
        self._lock = threading.Lock()
        self._keeps = True

    def close(self) -> None:
        """Ends the idle connections and keeps none from now on."""
        with self._lock:
            self._keeps = False
            while self._idle:
                for connection in self._idle.popitem()[1]:
                    connection.close()

    def after_fork(self) -> None:
        """The connections are the parent's, and whoever held the lock is gone."""
        self._lock = threading.Lock()
        self.close()
        self._keeps = True

    def get(self, url: str, authorization: str = "", limit: int = LIMIT) -> Response:
        more = {"Authorization": authorization, "Cache-Control": "no-cache"} if authorization else {}
        return self._ask("GET", url, None, {**HEADERS, **more}, limit)

    def open(self, url: str, headers: Mapping[str, str], timeout: float) -> Stream:
        """An answer whose body comes bit by bit, on a connection of its own."""
        try:
            origin, target = split(url)
            connection = self._connect(origin, timeout)
            try:
                connection.connect()
                return Stream(connection, target, {**HEADERS, **headers})
            except BaseException:
                connection.close()
                raise
        except (OSError, HTTPException, ValueError) as problem:
            raise Unavailable("the authorization server cannot be reached") from problem

    def post(
        self, url: str, body: bytes, authorization: str, timeout: float = TIMEOUT, content_type: str = FORM
    ) -> Response:  # fmt: skip
        more = {"Content-Type": content_type, "Authorization": authorization}
        return self._ask("POST", url, body, {**HEADERS, **more}, LIMIT, timeout)

    def _ask(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], limit: int = LIMIT,
        timeout: float = TIMEOUT,
    ) -> Response:  # fmt: skip
        try:
            origin, target = split(url)
            connection = self._take(origin, timeout)
            if connection is not None:
                with suppress(*_GONE):
                    return self._exchange(origin, connection, method, target, body, headers, limit)
            return self._exchange(origin, self._connect(origin, timeout), method, target, body, headers, limit)
        except (OSError, HTTPException, ValueError) as problem:
            # Who was connected and is cut off meets another one next time; where nobody listens, nobody does so soon.
            was_cut = isinstance(problem, _GONE) and not isinstance(problem, ConnectionRefusedError)
            retry_after = 0 if was_cut else None
            raise Unavailable("the authorization server cannot be reached", retry_after=retry_after) from problem

    def _connect(self, origin: Origin, timeout: float = TIMEOUT) -> HTTPConnection:
        if origin.scheme == "http":
            return HTTPConnection(origin.host, origin.port, timeout=timeout)
        return HTTPSConnection(origin.host, origin.port, timeout=timeout, context=self._tls)

    def _exchange(
        self, origin: Origin, connection: HTTPConnection, method: str, target: str, body: bytes | None,
        headers: Mapping[str, str], limit: int,
    ) -> Response:  # fmt: skip
        try:
            connection.request(method, target, body, dict(headers))
            response = connection.getresponse()
            answer = Response(
                response.status, {name.lower(): value for name, value in response.getheaders()}, _read(response, limit)
            )
        except BaseException:
            connection.close()
            raise
        if response.will_close or not self._give_back(origin, connection):
            connection.close()
        return answer

    def _take(self, origin: Origin, timeout: float) -> HTTPConnection | None:
        with self._lock:
            idle = self._idle.get(origin)
            connection = idle.pop() if idle else None
        if connection is not None and connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection

    def _give_back(self, origin: Origin, connection: HTTPConnection) -> bool:
        """Whether it is kept."""
        with self._lock:
            idle = self._idle.setdefault(origin, [])
            if not self._keeps or len(idle) >= IDLE_LIMIT:
                return False
            idle.append(connection)
            return True


class Stream:
    """Read by one thread; any other may abort it."""

    def __init__(self, connection: HTTPConnection, target: str, headers: Mapping[str, str]) -> None:
        # The connection forgets its socket when the answer says that it is the last one.
        self._socket: socket.socket = connection.sock
        self._connection = connection
        connection.request("GET", target, headers=dict(headers))
        self._response = connection.getresponse()
        self.status = self._response.status
        self.content_type = self._response.headers.get("content-type", "")

    def read(self, timeout: float) -> bytes:
        """What has come; nothing at the end. Raises Unavailable when nothing comes for `timeout` seconds."""
        try:
            self._socket.settimeout(timeout)
            return self._response.read1(64 * 1024)
        except (OSError, HTTPException, ValueError) as problem:
            raise Unavailable("the stream was cut off") from problem

    def abort(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def abandon(self) -> None:
        """In a forked child: the connection goes on, it is the parent's."""
        with suppress(OSError):
            socket.close(self._socket.detach())

    def close(self) -> None:
        self._response.close()
        self._connection.close()


def _read(response: HTTPResponse, limit: int) -> bytes:
    """All of the body, within the limit and the deadline. Raises ValueError when it is too long or was cut off."""
    content = bytearray()
    deadline = time.monotonic() + DEADLINE
    while chunk := response.read1(64 * 1024):
        content += chunk
        if len(content) > limit or time.monotonic() > deadline:
            raise ValueError("the answer is too long or too slow")
    if response.length:
        raise ValueError("the answer was cut off")
    # read1() leaves a finished response open, and an open one blocks the next request on its connection.
    response.read()
    return bytes(content)
