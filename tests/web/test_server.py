"""The server's limits, seen from a socket; and its processes, seen from outside."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from doorward.settings import StartRefused
from doorward.web.sockets import bind

PROGRAM = textwrap.dedent(
    """
    import asyncio, os, socket, sys
    from contextlib import asynccontextmanager
    from doorward.web import connection, server, supervisor
    from doorward.web.sockets import bind

    connection.HEADER_TIMEOUT = connection.BODY_TIMEOUT = 0.5
    server.KEEP_ALIVE, server.GRACE, connection.LINGER, connection.WRITE_TIMEOUT = 5, 2, 0.2, 3

    async def app(scope, receive, send):
        path = scope["path"]
        if path == "/slow":
            await asyncio.sleep(1)
        if path == "/big":
            length = str(256 << 16).encode()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
            for number in range(256):
                await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": number < 255})
            return
        if path == "/die":
            os._exit(9)
        body = b""
        while scope["method"] == "POST":
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        text = f"{scope['scheme']} {path} {os.getpid()} {len(body)}".encode()
        text += bytes(14_000) if path == "/more" else b""
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-length", str(len(text)).encode())]})
        await send({"type": "http.response.body", "body": text})

    @asynccontextmanager
    async def running(node):
        yield app
        print("closed", node, flush=True)

    workers, trusted = int(sys.argv[1]), tuple(sys.argv[2:])
    sockets, narrow = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
    # Of an answer of /more the system takes less than all, and what is left is too little to be noticed as such.
    narrow[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    ports = [one[0].getsockname()[1] for one in (sockets, narrow)]
    worker = server.Worker(running, sockets + narrow, behind_proxy=trusted)
    sys.exit(supervisor.run(worker, workers, lambda: print("ready", *ports, flush=True)))
    """
)


@contextlib.contextmanager
def serving(workers=1, *trusted):
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(workers), *trusted],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = program.stdout.readline().split()
        assert line[:1] == ["ready"], program.stderr.read()
        program.port, program.narrow = int(line[1]), int(line[2])
        yield program
    finally:
        if program.poll() is None:
            program.terminate()
        program.communicate(timeout=15)


@pytest.fixture(scope="module")
def one():
    with serving() as program:
        yield program


def talk(port, *pieces, pause=0.0, timeout=5):
    """Sends, then reads to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
        # A server that has answered may have closed before the last of it.
        with contextlib.suppress(BrokenPipeError):
            for piece in pieces:
                sock.sendall(piece)
                time.sleep(pause)
        return to_the_end(sock).decode()


def to_the_end(sock):
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            found += piece
    return found


def wait_for(pid):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        os.kill(pid, 0)
        time.sleep(0.1)


def request(path="/", *headers, method="GET", close=True):
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        *headers,
        *(["Connection: close"] if close else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_an_answer_tells_no_product(one):
    text = talk(one.port, request())
    assert text.startswith("HTTP/1.1 200 OK\r\n")
    assert "server:" not in text.lower()


@pytest.mark.parametrize(
    "headers",
    [["X-Long: " + "a" * 16400], [f"X-{n}: {'a' * 100}" for n in range(160)], ["X-Long: " + "a" * 300_000]],
    ids=["one", "many", "huge"],
)
def test_headers_beyond_the_limit(one, headers):
    text = talk(one.port, request("/", *headers))
    assert text.startswith("HTTP/1.1 431 "), text[:200]
    assert text.count("HTTP/1.1") == 1


def test_a_long_address_counts_too(one):
    assert talk(one.port, request("/" + "a" * 17000)).startswith("HTTP/1.1 431 ")


def test_headers_within_the_limit_beside_a_long_body(one):
    body = b"b" * 40_000
    head = request("/", "X-Long: " + "a" * 15000, f"Content-Length: {len(body)}", method="POST")
    assert talk(one.port, head + body).endswith(" 40000")


def test_an_endless_header_in_small_pieces(one):
    assert talk(one.port, b"GET / HTTP/1.1\r\nX: ", *[b"a" * 4096] * 5).startswith("HTTP/1.1 431 ")


def test_pipelined_requests_are_answered_in_order(one):
    text = talk(one.port, request("/a", close=False) + request("/b", close=False) + request("/c"))
    assert [text.index(f"http {path}") for path in ("/a", "/b", "/c")] == sorted(
        text.index(f"http {path}") for path in ("/a", "/b", "/c")
    )


def test_slow_headers_and_slow_bodies(one):
    assert talk(one.port, b"GET / HTTP/1.1\r\nHost: l\r\n").startswith("HTTP/1.1 408 ")
    slow = request("/", "Content-Length: 10", method="POST")
    assert talk(one.port, slow + b"abc").startswith("HTTP/1.1 408 ")
    assert talk(one.port, *[b"G", b"E", b"T", b" ", b"/"], pause=0.2).startswith("HTTP/1.1 408 ")


def test_a_silent_connection_is_closed(one):
    assert talk(one.port) == ""
    assert talk(one.port, b"\r\n") == ""


def test_a_slow_answer_is_no_slow_request(one):
    assert talk(one.port, request("/slow")).startswith("HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: l\r\nX: a\x00b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: l\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: l\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: l\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: l\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: l\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_malformed_requests(one, raw):
    text = talk(one.port, raw)
    assert text.startswith("HTTP/1.1 400 ")
    assert text.count("HTTP/1.1") == 1


def test_an_upgrade_is_answered_as_plain_http(one):
    assert "http /u" in talk(one.port, request("/u", "Connection: Upgrade", "Upgrade: h2c"))


def test_forwarding_headers_of_strangers_on_this_machine_are_refused(one):
    for header in ("X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.1", "Forwarded: proto=https"):
        assert talk(one.port, request("/", header)).startswith("HTTP/1.1 400 ")


def test_a_trusted_proxy_tells_the_scheme():
    with serving(1, "127.0.0.0/8") as program:
        assert "https /" in talk(program.port, request("/", "X-Forwarded-Proto: https"))
        assert "http /" in talk(program.port, request("/", "X-Forwarded-Proto: https, http"))
        assert "http /" in talk(program.port, request("/", "X-Forwarded-Proto: http", "X-Forwarded-Proto: https"))
        assert "http /" in talk(program.port, request("/"))
    with serving(1, "10.0.0.0/8") as program:
        assert talk(program.port, request("/", "X-Forwarded-Proto: https")).startswith("HTTP/1.1 400 ")


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "number"), [(1, signal.SIGTERM), (1, signal.SIGINT), (2, signal.SIGTERM)])
def test_what_is_in_flight_is_finished(workers, number):
    with (
        serving(workers) as program,
        socket.create_connection(("127.0.0.1", program.port), timeout=5) as sock,
    ):
        sock.sendall(request("/slow"))
        time.sleep(0.3)
        program.send_signal(number)
        assert b"http /slow" in to_the_end(sock)
        out, err = program.communicate(timeout=10)
        assert (program.returncode, out.count("closed"), err) == (0, workers, "")


@pytest.mark.slow
def test_a_dead_worker_is_replaced():
    with serving(2) as program:
        talk(program.port, request("/die"))
        pids, deadline = set(), time.monotonic() + 10
        while len(pids) < 2 and time.monotonic() < deadline:
            pids.add(talk(program.port, request()).split()[-2])
        assert len(pids) == 2


@pytest.mark.slow
def test_workers_do_not_outlive_their_supervisor():
    with serving(2) as program:
        pid = int(talk(program.port, request()).split()[-2])
        program.kill()
        with pytest.raises(ProcessLookupError):
            wait_for(pid)


def test_localhost_is_both_loopback_addresses():
    sockets = bind("localhost", 0)
    assert sockets[0].getsockname()[0] == "127.0.0.1"
    for sock in sockets:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        sock.close()


def test_a_taken_port_is_a_polite_refusal():
    first = bind("127.0.0.1", 0)[0]
    with pytest.raises(StartRefused, match="cannot be listened on"), first:
        bind("127.0.0.1", first.getsockname()[1])
