"""Between a gateway and Doorward: hands bytes on, or plays a Doorward that is down, late, or somebody else."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

LATE = 2.0
ANYBODY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"
VOUCHED = b"HTTP/1.1 200 OK\r\nX-Auth-Status: 200\r\nX-Auth-Subject: u\r\nContent-Length: 0\r\n\r\n"
ANSWERS = {
    "down": b"",
    "late": VOUCHED,
    "garbage": b"\x00\xff\xfe garbage\r\n\r\n" * 20,
    "half an answer": VOUCHED[:-20],
    "anybody's 200": ANYBODY,
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nX-Auth-Status: 200\r\n\r\n",
    "a fault": b"HTTP/1.1 500 Internal Server Error\r\nX-Auth-Status: 200\r\nContent-Length: 0\r\n\r\n",
}


class Relay:
    """At a port that the kernel chooses, or at a Unix socket."""

    def __init__(self, port: int, path: Path | None = None) -> None:
        self._target = port
        self._listening = _listening(path)
        self.url = f"unix:{path}" if path else f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._plays: str | None = None
        self._pause = 0.0
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()
        self._break_off()

    @contextlib.contextmanager
    def playing(self, part: str) -> Iterator[None]:
        self._plays = part
        self._break_off()
        try:
            yield
        finally:
            self._plays = None
            self._break_off()

    @contextlib.contextmanager
    def pausing(self, seconds: float) -> Iterator[None]:
        """Before anything of a connection is handed on."""
        self._pause = seconds
        self._break_off()
        try:
            yield
        finally:
            self._pause = 0.0
            self._break_off()

    def _break_off(self) -> None:
        """What a gateway keeps open is of the part before."""
        with self._lock:
            ended, self._open = self._open, []
        for one in ended:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            with self._lock:
                self._open.append(connection)
            part = self._plays
            if part is None:
                time.sleep(self._pause)
                with socket.create_connection(("127.0.0.1", self._target)) as onward:
                    for one in (connection, onward):
                        if one.family != socket.AF_UNIX:
                            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    back = threading.Thread(target=_hand_on, args=(onward, connection), daemon=True)
                    back.start()
                    _hand_on(connection, onward)
                    back.join()
            elif connection.recv(65536):
                time.sleep(LATE if part == "late" else 0)
                connection.sendall(ANSWERS[part])


def _listening(path: Path | None) -> socket.socket:
    if path is None:
        return socket.create_server(("127.0.0.1", 0))
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    # The gateways' own users ask there.
    path.chmod(0o666)
    listening.listen()
    return listening


def _hand_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
