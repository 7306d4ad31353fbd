"""Redirect URIs: what may be registered (T003), and whether one is registered (T001, T002)."""

from __future__ import annotations

import pytest
from tests.protocol.allowed import CALLBACK, a_public_app, an_app
from tests.protocol.given import refused

from doorward.protocol import redirect_uri
from doorward.protocol.redirect_uri import is_registrable, matches, registered

GOOD = (
    CALLBACK, "https://client.example", "https://client.example/", "https://client.example:8443/cb", "https://a/cb",
    "https://client.example/cb?tenant=1&x=%20", "https://client.example/a/.well-known/b", "https://192.0.2.1/cb",
    "https://[::1]/cb", "https://[2001:db8:0:0:0:0:0:1]/cb", "http://127.0.0.1/cb", "http://127.0.0.1:49152/cb",
    "http://[::1]/cb", "http://localhost/cb", "com.example.app:/oauth2redirect", "com.example.app://callback/x",
    "https://xn--bcher-kva.example/cb",
)  # fmt: skip
BAD = (
    "", "/callback", "//client.example/cb", "client.example/cb", "https:/client.example/cb", "https:client.example",
    "https://", "https:///cb", "https://client.example/cb#", "https://client.example/cb#x", "#",
    "https://ada@client.example/cb", "https://ada:pw@client.example/cb", "https://@client.example/cb",
    "https://client.example:/cb", "https://client.example:0/cb", "https://client.example:0443/cb",
    "https://client.example:65536/cb", "https://client.example:4 43/cb", "https://CLIENT.example/cb",
    "HTTPS://client.example/cb", "https://*.example/cb", "https://client.example/*", "https://client.example/cb?x=*",
    "https://client.example/a/../b", "https://client.example/..", "https://client.example/./b",
    "https://client.example/%2e%2e/b", "https://client.example/a/%2E/b", "https://client.example/a%2fb",
    "https://client.example//evil.example", "https://client.example/a%5cb", "https://client.example\\@evil.example",
    "https://client.example/%", "https://client.example/%zz", "https://client.example/%00", "https://client.example/\x00",
    "https://client.example/cb\n", " https://client.example/cb", "https://client.example/c b", "https://client.example/c\tb",
    "https://client.example/ü", "https://bücher.example/cb", "https://client.example./cb", "https://-a.example/cb",
    "https://client..example/cb", "https://127.1/cb", "https://0x7f000001/cb", "https://2130706433/cb",
    "https://256.0.0.1/cb", "https://192.0.2.01/cb", "https://[::ffff:127.0.0.1]/cb", "https://[::1/cb", "https://[v1.x]/cb",
    "http://client.example/cb", "http://127.0.0.2/cb", "http://127.0.0.1.evil.example/cb", "http://localhost.evil.example/",
    "http://[::2]/cb", "javascript:alert(1)", "javascript://client.example/%0aalert(1)", "data:text/html,x", "app:/cb",
    "app://cb", "com.example.app:cb", "com.example.app:", "file:///etc/passwd", "com.example.app:/../x", "urn:a.b:/c",
    "https://client.example/" + "a" * 2000,
)  # fmt: skip


@pytest.mark.parametrize("uri", GOOD)
def test_an_address_that_is_read_in_one_way_may_be_registered(uri: str) -> None:
    assert registered("redirect_uris", [uri]) == (uri,)


@pytest.mark.parametrize("uri", BAD)
def test_every_other_may_not(uri: str) -> None:
    assert not is_registrable(uri)
    with refused("invalid_fields", reason="field_invalid"):
        registered("redirect_uris", [CALLBACK, uri])


def test_an_address_is_registered_once_and_there_are_not_too_many() -> None:
    for uris in ([CALLBACK, CALLBACK], [f"https://client.example/{n}" for n in range(redirect_uri.COUNT_LIMIT + 1)]):
        with refused("invalid_fields"):
            registered("redirect_uris", uris)


@pytest.mark.parametrize(
    "uri",
    [
        "", "https://client.example", "https://client.example/", "https://client.example/callback/",
        "https://client.example/callback?", "https://client.example/callback?x=1", "https://client.example/callback#",
        "https://client.example/callback#x", "https://client.example/Callback", "https://CLIENT.example/callback",
        "HTTPS://client.example/callback", "http://client.example/callback", "https://client.example:443/callback",
        "https://client.example./callback", "https://client.example/%63allback", "https://client.example//callback",
        "https://client.example/./callback", "https://client.example/x/../callback", "https://client.example/callback%00",
        "https://client.example/callback\x00", "https://client.example/callback\r\nX: y", " https://client.example/callback",
        "https://client.example/callback ", "https://client.example@evil.example/callback",
        "https://evil.example/callback?https://client.example/callback", "https://client.example.evil.example/callback",
        "https://client.example\\@evil.example/callback", "https://\u0441lient.example/callback",
        "//client.example/callback", "https://client.example/callback;x",
        "https://client.example/callback" + "a" * 100_000, "https://[", "http://[" * 9000,
    ],
)  # fmt: skip
def test_nothing_but_the_very_string_is_registered(uri: str) -> None:
    for client in (an_app(), a_public_app(), a_public_app(localhost_any_port=True)):
        assert matches(CALLBACK, client.client)
        assert not matches(uri, client.client)


def test_the_longest_address_is_only_another_one() -> None:
    client = a_public_app(redirect_uris=("http://127.0.0.1/cb",), localhost_any_port=True).client
    for uri in ("http://127.0.0.1:" + "1" * 1_000_000, "http://[::1]" + "/" * 1_000_000, "http://localhost?" * 100_000):
        assert not matches(uri, client)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_public_client_may_listen_on_any_port_of_the_loopback_interface(host: str) -> None:
    client = a_public_app(redirect_uris=(f"http://{host}/cb?x=1",)).client
    for port in ("", ":1", ":49152", ":65535"):
        assert matches(f"http://{host}{port}/cb?x=1", client)
    for other in (
        ":0/cb?x=1",
        ":65536/cb?x=1",
        ":080/cb?x=1",
        ":/cb?x=1",
        ":1/cb",
        ":1/cb?x=2",
        ":1/",
        ":1",
        ":1/cb?x=1#",
    ):
        assert not matches(f"http://{host}{other}", client)
    assert not matches(f"https://{host}:1/cb?x=1", client)


def test_the_port_that_was_registered_does_not_matter_either() -> None:
    client = a_public_app(redirect_uris=("http://127.0.0.1:8000/cb",)).client
    assert matches("http://127.0.0.1:9000/cb", client)


def test_one_loopback_address_is_not_another() -> None:
    client = a_public_app(redirect_uris=("http://127.0.0.1/cb",), localhost_any_port=True).client
    for uri in ("http://[::1]:1/cb", "http://localhost:1/cb", "http://127.0.0.2:1/cb", "http://127.1:1/cb"):
        assert not matches(uri, client)


def test_a_confidential_client_has_no_port_to_choose() -> None:
    client = an_app(redirect_uris=("http://127.0.0.1:8000/cb",)).client
    assert matches("http://127.0.0.1:8000/cb", client)
    assert not matches("http://127.0.0.1:8001/cb", client)


def test_the_name_localhost_has_any_port_only_where_the_client_says_so() -> None:
    uris = ("http://localhost/cb",)
    assert not matches("http://localhost:1/cb", a_public_app(redirect_uris=uris).client)
    assert matches("http://localhost/cb", a_public_app(redirect_uris=uris).client)
    client = a_public_app(redirect_uris=uris, localhost_any_port=True).client
    assert matches("http://localhost:1/cb", client)
    for uri in (
        "http://localhost.:1/cb",
        "http://LOCALHOST:1/cb",
        "http://localhost.evil.example:1/cb",
        "http://a@localhost:1/cb",
    ):
        assert not matches(uri, client)


@pytest.mark.parametrize(
    ("uri", "origin", "host", "proves", "loopback"),
    [
        (CALLBACK, "https://client.example", "client.example", True, False),
        ("https://client.example:8443/cb?x=/y", "https://client.example:8443", "client.example:8443", True, False),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:1", "127.0.0.1:1", False, True),
        ("http://[::1]:1/cb", "http:", "[::1]:1", False, True),
        ("com.example.app:/cb", "com.example.app:", "com.example.app", False, False),
    ],
)
def test_what_a_page_says_of_an_address(uri: str, origin: str, host: str, proves: bool, loopback: bool) -> None:
    assert redirect_uri.origin(uri) == origin
    assert redirect_uri.host(uri) == host
    assert redirect_uri.proves_its_client(uri) is proves
    assert redirect_uri.is_loopback(uri) is loopback
