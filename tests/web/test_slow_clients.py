"""T185: hundreds of slow clients cost nobody else anything, and each is let go at the end of its time."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.web.test_server import request, serving, talk, to_the_end

EACH = 125
DEADLINE = 30.0
BIG = 256 << 16
# What each says at once, and then, again and again, too slowly.
SLOW = {
    "silent": (b"", b""),
    "headers": (b"GET / HTTP/1.1\r\nHost: l\r\nX: ", b"a"),
    "a body": (request("/", "Content-Length: 1000", method="POST"), b"a"),
    "chunks": (request("/", "Transfer-Encoding: chunked", method="POST"), b"1\r\na\r\n"),
}
ANSWERS = {"silent": b"", "headers": b"HTTP/1.1 408", "a body": b"HTTP/1.1 408", "chunks": b"HTTP/1.1 408"}


@pytest.fixture(scope="module")
def program() -> Iterator[Any]:
    with serving() as program:
        yield program


@pytest.fixture
def port(program: Any) -> int:
    return int(program.port)


@contextlib.contextmanager
def connected(port: int, number: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(number)]


def is_answered(port: int) -> bool:
    return talk(port, request("/"), timeout=DEADLINE).startswith("HTTP/1.1 200 ")


def test_hundreds_of_slow_clients_keep_nobody_else_from_an_answer_and_are_let_go(port):
    with connected(port, EACH * len(SLOW)) as sockets:
        kinds = dict(zip(sockets, [kind for kind in SLOW for _ in range(EACH)], strict=True))
        for sock, kind in kinds.items():
            sock.sendall(SLOW[kind][0])
        heard: dict[socket.socket, bytes] = {}
        deadline = time.monotonic() + DEADLINE
        while len(heard) < len(sockets):
            assert is_answered(port)
            assert time.monotonic() < deadline, f"{len(sockets) - len(heard)} are still there"
            waiting = [sock for sock in sockets if sock not in heard]
            ended = select.select(waiting, [], [], 0)[0]
            heard |= {sock: to_the_end(sock) for sock in ended}
            dribble({sock: kinds[sock] for sock in waiting if sock not in heard})
        assert {(kinds[sock], text[:12]) for sock, text in heard.items()} == set(ANSWERS.items())


def dribble(slow: dict[socket.socket, str]) -> None:
    for sock, kind in slow.items():
        with contextlib.suppress(OSError):
            sock.sendall(SLOW[kind][1])


def test_whoever_does_not_read_his_answer_is_let_go_and_others_are_answered(program, port):
    assert is_answered(port)
    before = open_files(program.pid)
    with connected(port, 20) as sockets:
        for sock in sockets:
            sock.sendall(request("/big"))
        deadline = time.monotonic() + DEADLINE
        while not is_answered(port) or open_files(program.pid) > before:
            assert time.monotonic() < deadline
        # What they read now had left the server before.
        assert max(len(to_the_end(sock)) for sock in sockets) < BIG


def test_whoever_does_not_read_the_last_of_his_answers_is_let_go(program):
    before = open_files(program.pid)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.connect(("127.0.0.1", program.narrow))
        sock.sendall(request("/more"))
        deadline = time.monotonic() + DEADLINE
        while open_files(program.pid) == before:
            assert time.monotonic() < deadline
        while open_files(program.pid) > before:
            assert time.monotonic() < deadline


def open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def test_whoever_reads_gets_all_of_a_big_answer(port):
    with connected(port, 1) as (sock,):
        sock.sendall(request("/big"))
        assert len(to_the_end(sock)) > BIG
