"""There is no room for all who come (F16): who is turned away, how he is told, and who is answered meanwhile."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import ClassVar

import pytest

# A page is held until something is sent to /let-go; one page at a time, one more waits.
PROGRAM = textwrap.dedent(
    """
    import asyncio, dataclasses, sys
    from contextlib import asynccontextmanager
    from doorward.protocol import load as ranks
    from doorward.web import connection, load, server, supervisor
    from doorward.web.check_listener import CheckProtocol
    from doorward.web.sockets import bind

    few = {
        "page": {"at_once": 1, "queue": 1, "within": float(sys.argv[1])}, "admin": {"at_once": 0, "queue": 0},
        "check": {"at_once": 20, "queue": 0},
    }
    changed = {rank.name: dataclasses.replace(rank, **few.get(rank.name, {})) for rank in ranks.RANKS}
    load.RANKS = tuple(changed.values())
    load.CONNECTION_LIMIT = int(sys.argv[2])
    load.OTHER_FILES = 3
    load.UNREAD_LIMIT = 32 * 1024 * 1024
    connection.LINGER = 0.2
    held = asyncio.Event()

    async def app(scope, receive, send):
        path = scope["path"]
        if path == "/let-go":
            held.set()
        if path in ("/held", "/check/held"):
            await held.wait()
        if path == "/check/begin":
            held.clear()
        if path == "/until-left":
            while (await receive())["type"] != "http.disconnect":
                pass
        body = bytes(16 * 1024 * 1024) if path == "/big" else path.encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    class Application:
        def __init__(self):
            self.load = load.Load()
        async def __call__(self, scope, receive, send):
            if scope["path"] == "/check/let-go":
                held.set()
            if scope["path"] == "/check/inside":
                rank = scope["query_string"].decode() or "page"
                body = str(self.load._gates[rank].inside).encode()
                headers = [(b"content-length", str(len(body)).encode())]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": body})
                return
            await app(scope, receive, send)

    @asynccontextmanager
    async def running(node):
        yield Application()

    sockets, gateways = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
    ports = [one[0].getsockname()[1] for one in (sockets, gateways)]
    worker = server.Worker(running, sockets, others=[(gateways[0], CheckProtocol)])
    sys.exit(supervisor.run(worker, 1, lambda: print("ready", *ports, flush=True)))
    """
)
HELD, CHECK, ADMIN = "/held", "/check/nginx", "/v1/apis"
DEADLINE = 20.0


class Port(int):
    """And the one at which gateways ask."""

    gateways: int


@contextlib.contextmanager
def serving(wait: float = 60.0, connections: int = 1000) -> Iterator[Port]:
    argv = [sys.executable, "-c", PROGRAM, str(wait), str(connections)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
        try:
            assert program.stdout is not None
            line = program.stdout.readline().split()
            assert line[:1] == ["ready"], line
            port = Port(line[1])
            port.gateways = int(line[2])
            yield port
        finally:
            program.terminate()


class Caller:
    """One connection, until its test ends."""

    open: ClassVar[list[Caller]] = []

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", int(port)), timeout=DEADLINE)
        # What is sent later must not stay behind here.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = self._socket.makefile("rb")
        self.open.append(self)

    def send(self, path: str, *headers: str, method: str = "GET", body: str = "") -> None:
        length = [f"Content-Length: {len(body)}"] if method == "POST" else []
        lines = (f"{method} {path} HTTP/1.1", "Host: l", *length, *headers, "", body)
        self._socket.sendall("\r\n".join(lines).encode())

    def send_raw(self, text: bytes) -> None:
        self._socket.sendall(text)

    def line(self) -> str:
        """And the empty one after it."""
        return (self._read.readline() + self._read.readline()).strip().decode()

    def reply(self) -> tuple[int, dict[str, str], bytes]:
        line = self._read.readline()
        assert line, "the connection ended"
        fields = {}
        while field := self._read.readline().strip().decode():
            name, _, value = field.partition(": ")
            fields[name] = value
        return int(line.split()[1]), fields, self._read.read(int(fields["content-length"]))

    def ask(self, path: str, *headers: str, **more: str) -> tuple[int, dict[str, str], bytes]:
        self.send(path, *headers, **more)
        return self.reply()

    def is_over(self) -> bool:
        with contextlib.suppress(ConnectionResetError):
            return self._read.read(1) == b""
        return True

    def is_cut_off(self) -> bool:
        """Before all of its answer came."""
        with contextlib.suppress(ConnectionResetError):
            return len(self.reply()[2]) < 16 << 20
        return True

    def close(self) -> None:
        self._read.close()
        self._socket.close()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while Caller.open:
        Caller.open.pop().close()


@pytest.fixture(scope="module")
def port() -> Iterator[Port]:
    with serving() as port:
        yield port


@contextlib.contextmanager
def full(port: int) -> Iterator[tuple[Caller, Caller]]:
    """One page is being answered, another waits; at the end both are answered."""
    callers = (Caller(port), Caller(port))
    callers[0].ask("/check/begin")
    for number, caller in enumerate(callers, 1):
        caller.send(HELD)
        until(port, number)
    yield callers
    Caller(port).ask("/check/let-go")
    for caller in callers:
        assert caller.reply()[0] == 200
    until(port, 0)


def until(port: int, inside: int) -> None:
    deadline = time.monotonic() + DEADLINE
    asking = Caller(port)
    while int(asking.ask("/check/inside")[2]) != inside:
        assert time.monotonic() < deadline


def test_the_third_page_is_turned_away_and_a_check_is_answered(port):
    with full(port):
        status, fields, body = Caller(port).ask(HELD)
        assert (status, fields["retry-after"]) == (503, "1")
        assert b"overloaded" in body
        assert Caller(port).ask(CHECK)[0] == 200


def test_whoever_is_turned_away_keeps_his_connection_and_may_come_again(port):
    caller = Caller(port)
    with full(port):
        assert [caller.ask(HELD)[0] for _ in range(3)] == [503] * 3
        assert caller.ask(HELD, method="POST", body="a=b")[0] == 503
        assert caller.ask(CHECK)[0] == 200
    assert caller.ask("/")[0] == 200


def test_a_body_that_is_not_there_yet_is_not_waited_for(port):
    caller = Caller(port)
    caller.send(ADMIN, "Content-Length: 10", "Expect: 100-continue")
    status, fields, _ = caller.reply()
    assert (status, fields["connection"]) == (503, "close")
    assert caller.is_over()


def test_whoever_closes_after_each_request_is_told_and_let_go(port):
    caller = Caller(port)
    status, fields, _ = caller.ask(ADMIN, "Connection: close")
    assert (status, fields["connection"]) == (503, "close")
    assert caller.is_over()


def test_of_requests_in_a_row_the_answers_stay_in_order(port):
    """The one that is turned away behind one under way is not answered at all: its client has to ask again."""
    with full(port) as (first, _):
        first.send(ADMIN)
    assert first.is_over()


def test_two_in_one_piece_are_both_turned_away_in_their_order(port):
    caller = Caller(port)
    caller.send(ADMIN + " HTTP/1.1\r\nHost: l\r\n\r\nGET " + ADMIN)
    assert [caller.reply()[0] for _ in range(2)] == [503, 503]


def test_whoever_waited_for_too_long_is_turned_away_and_leaves_no_trace():
    with serving(wait=0.3) as port:
        holding, waiting = Caller(port), Caller(port)
        holding.send(HELD)
        until(port, 1)
        assert waiting.ask(HELD)[0] == 503
        until(port, 1)
        Caller(port).ask("/check/let-go")
        assert holding.reply()[0] == 200
        assert waiting.ask(HELD)[0] == 200


def test_a_client_that_leaves_takes_nothing_with_him(port):
    with full(port) as (first, _):
        gone = Caller(port)
        assert gone.ask(HELD)[0] == 503
        gone.close()
        assert first is not None
    assert Caller(port).ask("/")[0] == 200


def test_one_connection_too_many_ends_the_one_that_is_idle_for_longest():
    with serving(connections=13) as port:  # three of them are other files
        callers = [Caller(port) for _ in range(13)]
        for caller in callers:
            assert caller.ask(CHECK)[0] == 200
        callers[0].ask(CHECK)
        one_more = Caller(port)
        assert one_more.ask(CHECK)[0] == 200
        assert callers[1].is_over()
        assert [caller.ask(CHECK)[0] for caller in (callers[0], *callers[2:])] == [200] * 12


def test_no_strangers_connection_costs_a_gateways():
    with serving(connections=13) as port:
        gateway = Caller(port.gateways)
        strangers = [Caller(port) for _ in range(13)]
        assert [caller.ask(CHECK)[0] for caller in (*strangers[1:], gateway)] == [200] * 13
        assert strangers[0].is_over()
        for caller in strangers[1:]:
            caller.send(CHECK, "Content-Length: 10")  # none of them is idle
        another = Caller(port.gateways)
        assert [caller.ask(CHECK)[0] for caller in (another, gateway)] == [200] * 2
        for caller in strangers:
            caller.close()


def test_a_client_that_does_not_wait_has_one_place_and_a_few_requests_behind_it(port):
    gateway, caller = Caller(port.gateways), Caller(port)
    gateway.ask("/check/begin")
    caller.send_raw(b"GET /check/held HTTP/1.1\r\nHost: l\r\n\r\n" * 50)
    deadline = time.monotonic() + DEADLINE
    while int(gateway.ask("/check/inside?check")[2]) < 1:
        assert time.monotonic() < deadline
    assert gateway.ask("/check/inside?check")[2] == b"1"
    gateway.ask("/check/let-go")
    assert [caller.reply()[0] for _ in range(9)] == [200] * 9
    assert caller.is_over()


def test_no_stranger_takes_a_gateways_place(port):
    gateway, strangers = Caller(port.gateways), [Caller(port) for _ in range(20)]
    gateway.ask("/check/begin")
    for caller in strangers:
        caller.send("/check/held")
    deadline = time.monotonic() + DEADLINE
    while Caller(port).ask(CHECK)[0] != 503:
        assert time.monotonic() < deadline
    assert gateway.ask(CHECK)[0] == 200
    gateway.ask("/check/let-go")


def test_whoever_sends_his_body_slowly_takes_no_place(port):
    """As many of them as there is room for are no reason to turn away anybody."""
    slow = [Caller(port) for _ in range(4)]
    for caller in slow:
        caller.send(HELD, "Content-Length: 10")
    with full(port):
        pass
    Caller(port).ask("/check/let-go")
    for caller in slow:
        caller.send_raw(b"0123456789")
        assert caller.reply()[0] == 200
    until(port, 0)


def test_nor_does_he_behind_another_request_of_his(port):
    callers = [Caller(port) for _ in range(4)]
    for caller in callers:
        caller.send(f"{CHECK} HTTP/1.1\r\nHost: l\r\n\r\nGET {HELD}", "Content-Length: 10")
        assert caller.reply()[0] == 200
    with full(port):
        pass


def test_whoever_leaves_before_his_body_was_sent_leaves_no_trace(port):
    slow = [Caller(port) for _ in range(4)]
    for caller in slow:
        caller.send(HELD, "Content-Length: 10")
        caller.close()
    until(port, 0)
    assert Caller(port).ask("/")[0] == 200


def test_a_body_that_is_waited_for_is_asked_for(port):
    caller = Caller(port)
    caller.send("/", "Content-Length: 2", "Expect: 100-continue")
    assert caller.line() == "HTTP/1.1 100 Continue"
    caller.send_raw(b"ab")
    assert caller.reply()[0] == 200


def test_a_body_that_is_more_than_is_kept_is_read_while_it_comes(port):
    assert Caller(port).ask("/", method="POST", body="a" * 300_000)[0] == 200


def test_whoever_does_not_read_his_answers_keeps_no_place(port):
    """The first is on its way, the second rendered, and the others wait behind them; there are two places."""
    caller = Caller(port)
    caller.send_raw(b"GET /big HTTP/1.1\r\nHost: l\r\n\r\n" * 5)
    until(port, 0)
    with full(port):
        pass
    for _ in range(5):
        status, _, body = caller.reply()
        assert (status, len(body)) == (200, 16 << 20)


def test_what_many_do_not_read_has_an_end_and_it_is_for_the_first_of_them(port):
    callers = [Caller(port) for _ in range(6)]
    for caller in callers:
        caller.send("/big")
        until(port, 0)
    assert Caller(port).ask("/")[0] == 200
    assert callers[0].is_cut_off()
    assert len(callers[-1].reply()[2]) == 16 << 20


def test_a_body_that_is_none_is_refused_in_its_turn_and_ends_the_connection(port):
    """Nobody waits for the rest of it, however many requests of the same client are before it."""
    caller = Caller(port)
    malformed = b"POST / HTTP/1.1\r\nHost: l\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
    caller.send_raw(b"GET / HTTP/1.1\r\nHost: l\r\n\r\n" * 2 + malformed)
    assert [caller.reply()[0] for _ in range(3)] == [200, 200, 400]
    assert caller.is_over()


def test_a_body_that_is_none_of_one_who_is_turned_away_costs_no_answer_before_it(port):
    caller = Caller(port)
    malformed = f"POST {ADMIN} HTTP/1.1\r\nHost: l\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
    caller.send_raw(b"GET / HTTP/1.1\r\nHost: l\r\n\r\n" + malformed.encode())
    assert caller.reply()[0] == 200
    assert caller.is_over()


def test_whoever_leaves_is_noticed_though_another_request_of_his_is_behind(port):
    caller = Caller(port)
    caller.send("/until-left HTTP/1.1\r\nHost: l\r\n\r\nGET /")
    until(port, 1)
    caller.close()
    until(port, 0)


def test_pipelined_requests_that_nobody_began_to_answer_leave_no_trace(port):
    Caller(port).ask("/check/begin")
    caller = Caller(port)
    caller.send(HELD + " HTTP/1.1\r\nHost: l\r\n\r\nGET /")
    until(port, 1)
    caller.close()
    Caller(port).ask("/check/let-go")
    until(port, 0)
