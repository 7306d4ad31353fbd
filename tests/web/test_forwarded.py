"""Whose request comes through a proxy: the right-most address that a believed proxy tells, and nobody else's word."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from typing import Any

import httpx2
import pytest
from tests.deployment import Doorward, free_port, served
from tests.people import Browser, signed_in
from uvicorn.server import ServerState

from doorward.web import forwarded, server
from doorward.web.load import Load

BELIEVED = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "fd00::/8")))


def caller(*values: str) -> str | None:
    """Among other fields, as a request has them."""
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in values]
    return forwarded.caller([(b"host", b"l"), *headers, (b"x-real-ip", b"192.0.2.99")], BELIEVED)


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:567", "1.2.3.4"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[::1]:123", "::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("[::ffff:1.2.3.4]:567", "1.2.3.4"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_one_address_has_one_spelling(entry: str, address: str) -> None:
    assert str(forwarded.read(entry)) == address


@pytest.mark.parametrize(
    "entry",
    [
        "", "unknown", "_hidden", "localhost", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4:", "1.2.3.4:x",
        "1.2.3.4:123456", "[::1", "::1]", "[]", "[[::1]]", "[::1]:", "[::1]x", "[::1]:-1", "1.2.3.4/8", "for=1.2.3.4",
        '"1.2.3.4"', "1.2.3.4 5.6.7.8", "\xb9.2.3.4", "16909060",
    ],
)  # fmt: skip
def test_what_is_no_address_is_none(entry: str) -> None:
    assert forwarded.read(entry) is None


@pytest.mark.parametrize(
    ("values", "address"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        (["192.0.2.1,10.0.0.2 ,\t[fd00::2]:443"], "192.0.2.1"),
        (["192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1"),
        (["192.0.2.1", "10.0.0.2"], "192.0.2.1"),
        (["192.0.2.1, , ,"], "192.0.2.1"),
        (["[2001:db8::1]:9, 10.0.0.2"], "2001:db8::1"),
    ],
)
def test_the_right_most_who_is_no_proxy_of_ours_is_the_caller(values: list[str], address: str) -> None:
    assert caller(*values) == address


@pytest.mark.parametrize("invented", ["192.0.2.66", "10.0.0.66", "unknown", "192.0.2.66, 10.0.0.66", "x" * 5000])
def test_what_the_caller_himself_wrote_changes_nothing(invented: str) -> None:
    assert caller(f"{invented}, 192.0.2.1") == "192.0.2.1"
    assert caller(invented, "192.0.2.1, 10.0.0.2") == "192.0.2.1"


@pytest.mark.parametrize(
    "values",
    [[], [""], [" , "], ["10.0.0.2"], ["10.0.0.3, fd00::2"], ["192.0.2.1, unknown"], ["192.0.2.1", "x, 10.0.0.2"]],
)
def test_where_nobody_else_is_told_it_is_the_peer(values: list[str]) -> None:
    assert caller(*values) is None


class Wire(asyncio.Transport):
    """A connection from `peer`, without a network."""

    def __init__(self, peer: str) -> None:
        super().__init__({"peername": (peer, 50000), "sockname": ("192.0.2.100", 8443)})

    def write(self, data: Any) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


def clients(peer: str, *requests: str) -> list[str]:
    """The callers of requests over one connection, as the application is told them."""
    told: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        told.append(scope["client"][0])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def connected() -> None:
        config = server._config(application, None, [str(network) for network in BELIEVED], Load())
        config.load()
        protocol: Any = config.http_protocol_class
        connection = protocol(config=config, server_state=ServerState(), app_state={})
        connection.connection_made(Wire(peer))
        for number, value in enumerate(requests, 1):
            connection.data_received(f"GET / HTTP/1.1\r\nHost: l\r\nX-Forwarded-For: {value}\r\n\r\n".encode())
            while len(told) < number or connection._busy():
                await asyncio.sleep(0)
        connection.connection_lost(None)

    asyncio.run(asyncio.wait_for(connected(), 10))
    return told


def test_each_request_of_a_believed_proxys_connection_has_its_own_caller() -> None:
    assert clients("10.0.0.1", "192.0.2.1", "192.0.2.2", "unknown") == ["192.0.2.1", "192.0.2.2", "10.0.0.1"]
    assert clients("fd00::1", "192.0.2.1") == ["192.0.2.1"]


def test_who_is_no_believed_proxy_is_the_caller_whatever_he_says() -> None:
    assert clients("192.0.2.9", "192.0.2.1", "10.0.0.1, 10.0.0.2") == ["192.0.2.9", "192.0.2.9"]


@pytest.fixture(scope="module")
def doorward(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Beside a proxy on this machine, which is 127.0.0.1 and no other address of it."""
    directory, port = tmp_path_factory.mktemp("forwarded"), free_port()
    flags = ("--host", "127.0.0.1", "--issuer", f"https://localhost:{port}", "--behind-proxy", "127.0.0.1/32")
    with served(directory, *flags, port=port) as running:
        yield running


def of(doorward: Doorward, address: str) -> Browser:
    """A browser whose requests the proxy says to be from there."""
    transport = doorward.http._transport
    http = httpx2.Client(transport=transport, base_url=doorward.issuer, headers={"x-forwarded-for": address})
    return Browser(doorward, http)


def test_attempts_from_different_addresses_are_counted_apart(doorward: Doorward) -> None:
    user, _ = signed_in(doorward)
    guesser = of(doorward, "203.0.113.7")
    statuses = [guesser.sign_in(f"nobody{number}", f"wrong {number}").status_code for number in range(51)]
    assert statuses == [*[403] * 50, 429]
    assert of(doorward, "192.0.2.1, 203.0.113.7").sign_in("nobody", "wrong").status_code == 429, "his own invention"
    assert of(doorward, "203.0.113.8").sign_in(user["username"]).status_code == 303


def test_a_session_shows_its_users_address(doorward: Doorward) -> None:
    user, _ = signed_in(doorward)
    browser = of(doorward, "[2001:db8::7]:4711")
    assert browser.sign_in(user["username"]).status_code == 303
    assert "2001:db8::7" in browser.get("/account").text


def test_an_admin_key_of_a_network_goes_by_the_address_that_the_proxy_tells(doorward: Doorward) -> None:
    key = doorward.an_admin_key("apis:read", networks=["192.0.2.0/24"])
    for told, status in (("192.0.2.1", 200), ("192.0.2.1, 203.0.113.7", 401), ("203.0.113.7, 192.0.2.1", 200)):
        assert doorward.v1("GET", "/apis", key=key, x_forwarded_for=told).status_code == status, told
    assert doorward.v1("GET", "/apis", key=key).status_code == 401


def test_a_neighbour_of_the_proxy_is_not_the_proxy(doorward: Doorward) -> None:
    """From another address of this machine; the server says so, since it is likely a mistake."""
    context = ssl.create_default_context(cafile=doorward.directory / "ca.pem")
    with contextlib.closing(httpx2.HTTPTransport(verify=context, local_address="127.0.0.2")) as transport:
        neighbour = httpx2.Client(transport=transport, base_url=doorward.issuer)
        assert neighbour.get("/healthz").status_code == 200
        assert neighbour.get("/healthz", headers={"x-forwarded-for": "192.0.2.1"}).status_code == 400
