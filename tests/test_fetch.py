"""HTTP out: no address of special use is ever connected to, whatever the name, the redirect or the second look-up says.

Threat T133, class by class; against a server of somebody else over TLS.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.receiver import Receiver, a_receiver

from doorward import fetch
from doorward.fetch import Answer, Fetch, FetchFailed

NAME = "client.example"
HERE = "127.0.0.1"
METADATA = "169.254.169.254"
ALLOWED = ("127.0.0.0/8",)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with a_receiver(tmp_path_factory.mktemp("receiver"), NAME) as receiver:
        yield receiver


@pytest.fixture
def receiver(shared: Receiver) -> Iterator[Receiver]:
    yield shared
    shared.status, shared.answer = 200, None
    shared.posted.clear()
    shared.names.clear()


class Names:
    """A name server: what it answers, one list after the other, and who asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address that anything of this process connects to."""
    made: list[str] = []
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def noted(self: socket.socket, address: Any) -> None:
        made.append(str(address[0]))
        connect(self, address)

    def noted_ex(self: socket.socket, address: Any) -> int:
        made.append(str(address[0]))
        return connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    monkeypatch.setattr(socket.socket, "connect_ex", noted_ex)
    return made


def a_fetch(receiver: Receiver, *answers: list[str], networks: tuple[str, ...] = ALLOWED) -> Fetch:
    return Fetch(networks, receiver.ca_file, Names(*answers) if answers else None)


def posted(door: Fetch, url: str) -> Answer:
    return asyncio.run(door.post(url, {"logout_token": "a.b.c"}))


def failed(call: Callable[[], Awaitable[Answer]]) -> str:
    with pytest.raises(FetchFailed) as caught:
        asyncio.run(call())  # type: ignore[arg-type]
    return caught.value.why


def why(door: Fetch, url: str) -> str:
    return failed(lambda: door.post(url, {"logout_token": "a.b.c"}))


def says(status: int, body: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


class TestTheConnection:
    def test_goes_to_the_address_that_was_looked_at_under_the_name_that_was_asked_for(
        self, receiver: Receiver, connections: list[str]
    ) -> None:
        door = a_fetch(receiver, [HERE])
        answer = posted(door, receiver.url("/logout?tenant=1", NAME))
        assert (answer.status, answer.body) == (200, b"")
        (heard,) = receiver.posted
        assert (heard.path, heard.host) == ("/logout?tenant=1", f"{NAME}:{receiver.port}")
        assert (heard.content_type, heard.form) == ("application/x-www-form-urlencoded", {"logout_token": "a.b.c"})
        assert receiver.names == [NAME]
        assert set(connections) == {HERE}

    def test_looks_the_name_up_once_and_never_again_before_it_is_made(self, receiver: Receiver) -> None:
        """The second answer of a name that turns is nobody's to use (DNS rebinding)."""
        names = Names([HERE], [METADATA])
        door = Fetch(ALLOWED, receiver.ca_file, names)
        assert posted(door, receiver.url("/logout", NAME)).status == 200
        assert names.asked == 1
        assert why(door, receiver.url("/logout", NAME)) == "address_refused"
        assert names.asked == 2

    def test_is_made_to_another_of_its_addresses_where_one_does_not_answer(self, receiver: Receiver) -> None:
        assert posted(a_fetch(receiver, ["127.0.0.2", HERE]), receiver.url("/logout", NAME)).status == 200

    def test_is_over_tls_with_a_certificate_for_the_name(self, receiver: Receiver) -> None:
        assert why(a_fetch(receiver, [HERE]), receiver.url("/logout", "other.example")) == "unreachable"
        assert why(Fetch(ALLOWED, None, Names([HERE])), receiver.url("/logout", NAME)) == "unreachable"
        assert receiver.posted == []

    def test_is_made_to_localhost_only_where_that_is_allowed(self, receiver: Receiver, connections: list[str]) -> None:
        assert why(a_fetch(receiver, networks=()), receiver.url("/logout")) == "address_refused"
        assert connections == []
        assert posted(a_fetch(receiver, networks=(*ALLOWED, "::1/128")), receiver.url("/logout")).status == 200

    def test_asks_no_proxy_of_the_environment(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        assert posted(a_fetch(receiver, [HERE]), receiver.url("/logout", NAME)).status == 200

    def test_says_nothing_of_us_but_who_we_are(self, receiver: Receiver) -> None:
        posted(a_fetch(receiver, [HERE]), receiver.url("/logout", NAME))
        sent = receiver.posted[0].headers
        assert sent.keys() == {
            "host", "accept-encoding", "user-agent", "connection", "content-type", "content-length"
        }  # fmt: skip
        assert sent["user-agent"] == "doorward"


REFUSED = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.5", "172.16.3.4", "192.168.0.10", METADATA, "100.64.1.1", "192.0.2.7",
    "198.18.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%lo", "fd00:ec2::254", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::127.0.0.1", "no address",
)  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_a_name_that_resolves_to_an_address_of_special_use_is_not_called(
    receiver: Receiver, connections: list[str], address: str
) -> None:
    door = a_fetch(receiver, [address], networks=())
    assert why(door, receiver.url("/logout", NAME)) == "address_refused"
    assert connections == []


@pytest.mark.parametrize("addresses", [["8.8.8.8", METADATA], [METADATA, "8.8.8.8"], ["2606:4700::1", "10.0.0.1"]])
def test_one_bad_address_among_good_ones_is_enough(
    receiver: Receiver, connections: list[str], addresses: list[str]
) -> None:
    assert why(a_fetch(receiver, addresses), receiver.url("/logout", NAME)) == "address_refused"
    assert connections == []


LITERALS = (
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "0", "169.254.169.254", "2852039166",
    "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]", "[fe80::1%25eth0]", "localhost",
    "127.0.0.1.", "localhost.", "LOCALHOST", "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",
    "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021",
)  # fmt: skip


@pytest.mark.parametrize("host", LITERALS)
def test_no_notation_of_this_machine_is_called(receiver: Receiver, connections: list[str], host: str) -> None:
    assert why(Fetch(ca_file=receiver.ca_file), receiver.url("/logout", host)) in {"address_refused", "url_refused"}
    assert connections == []
    assert receiver.posted == []


URLS = (
    "http://client.example/", "http://127.0.0.1/", "http://localhost/", "http://[::1]:8080/",
    "HTTPS://client.example/", "ftp://client.example/", "file:///etc/passwd", "gopher://x/",
    "client.example/", "//client.example/", "", "https://", "https://ada@client.example/", "https://a:b@client.example/",
    "https://client.example/#x", "https://client.example\\@evil.example/", "https://client.example:0/",
    "https://client.example:99999/", "https://client.example/ x", "https://client.example/\r\nx: y", "https://a b/",
    "https://client.example/../x", "https://client.example/%2e%2e/x", "https://" + "a" * 300 + ".example/",
)  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_what_is_no_plain_https_address_is_not_called(connections: list[str], url: str) -> None:
    names = Names(["8.8.8.8"])
    assert why(Fetch(resolve=names), url) == "url_refused"
    assert (names.asked, connections) == (0, [])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver, connections: list[str], status: int) -> None:
    receiver.answer = says(status, b"", location=f"https://localhost:{receiver.port}/inside", content_length="0")
    assert posted(a_fetch(receiver, [HERE]), receiver.url("/logout", NAME)).status == status
    assert [one.path for one in receiver.posted] == ["/logout"]
    assert len(connections) == 1


class TestWhatComesBack:
    def test_is_read_up_to_a_limit_whether_it_is_announced_or_not(self, receiver: Receiver) -> None:
        door = a_fetch(receiver, [HERE])
        receiver.answer = says(200, b"x" * fetch.LIMIT)
        assert len(posted(door, receiver.url("/", NAME)).body) == fetch.LIMIT
        receiver.answer = says(200, b"x" * (fetch.LIMIT + 1))
        assert why(door, receiver.url("/", NAME)) == "too_long"
        receiver.answer = says(200, b"x" * (fetch.LIMIT + 1), content_length=str(fetch.LIMIT + 1))
        assert why(door, receiver.url("/", NAME)) == "too_long"

    def test_that_never_ends_is_cut_off(self, receiver: Receiver) -> None:
        """Each piece in time, and no end: the limit is for all of it."""
        gone = threading.Event()

        def drip(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.end_headers()
            try:
                while not gone.wait(0.2):
                    request.wfile.write(b" ")
            except OSError:
                gone.set()

        receiver.answer = drip
        begun = time.monotonic()
        assert why(a_fetch(receiver, [HERE]), receiver.url("/", NAME)) == "too_slow"
        assert time.monotonic() - begun < 4 * fetch.TIMEOUT
        assert gone.wait(30)

    def test_that_was_cut_short_is_no_answer(self, receiver: Receiver) -> None:
        receiver.answer = says(200, b"half", content_length="8")
        assert why(a_fetch(receiver, [HERE]), receiver.url("/", NAME)) == "unreachable"

    def test_that_is_no_http_is_no_answer(self, receiver: Receiver) -> None:
        receiver.answer = lambda request: request.wfile.write(b"SSH-2.0-OpenSSH\r\n") and None
        assert why(a_fetch(receiver, [HERE]), receiver.url("/", NAME)) == "unreachable"

    def test_that_would_unfold_is_not_unfolded(self, receiver: Receiver) -> None:
        receiver.answer = says(200, b"\x1f\x8b", content_encoding="gzip", content_length="2")
        assert why(a_fetch(receiver, [HERE]), receiver.url("/", NAME)) == "wrong_type"

    def test_is_a_document_of_the_type_that_was_asked_for(self, receiver: Receiver) -> None:
        door = a_fetch(receiver, [HERE])
        receiver.answer = says(200, json.dumps({"keys": []}).encode(), content_type="application/json; charset=utf-8")
        answer = asyncio.run(door.get(receiver.url("/jwks", NAME)))
        assert (answer.status, json.loads(answer.body)) == (200, {"keys": []})
        receiver.answer = says(200, b"<html>", content_type="text/html")
        assert failed(lambda: door.get(receiver.url("/jwks", NAME))) == "wrong_type"
        receiver.answer = says(404, b"<html>", content_type="text/html")
        assert asyncio.run(door.get(receiver.url("/jwks", NAME))).status == 404
        receiver.answer = says(200, b"x" * 20, content_type="application/json")
        assert failed(lambda: door.get(receiver.url("/jwks", NAME), limit=19)) == "too_long"

    def test_is_nowhere_in_what_is_said_of_a_failure(self, receiver: Receiver) -> None:
        receiver.answer = says(200, b"a secret of theirs" * fetch.LIMIT)
        with pytest.raises(FetchFailed) as caught:
            posted(a_fetch(receiver, [HERE]), receiver.url("/", NAME))
        assert str(caught.value) == "too_long"
        assert caught.value.__cause__ is None


def test_a_name_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(host: str, port: int) -> list[str]:
        await asyncio.sleep(600)
        return []

    monkeypatch.setattr(fetch, "TIMEOUT", 0.2)
    assert why(Fetch(resolve=silent), "https://client.example/") == "too_slow"


@pytest.mark.parametrize("names", [Names([]), None], ids=["no address", "no such name"])
def test_a_name_without_an_address_is_unreachable(names: Names | None) -> None:
    assert why(Fetch(resolve=names), "https://nobody.invalid/") == "unreachable"


def test_a_port_where_nobody_listens_is_unreachable(tmp_path: Path) -> None:
    with a_receiver(tmp_path, listening=False) as absent:
        assert why(a_fetch(absent, [HERE]), absent.url("/")) == "unreachable"
