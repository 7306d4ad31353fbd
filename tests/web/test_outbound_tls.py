"""What goes out is under TLS (decision 19c): a hop that could be plain is refused, but for this machine's own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from doorward.data_directory import DataDirectory
from doorward.fetch import Fetch, FetchFailed
from doorward.refusals import check
from doorward.settings import StartRefused, load
from doorward.web.mail import Mail

PAGE = {"issuer": "https://login.example", "page": "{}://login.example/sign-in", "keys_file": "keys.pem"}
PROVIDER = {"issuer": "{}://login.example", "client_id": "doorward"}
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

# Which hop, and its settings with the scheme left open.
HOPS: Mapping[str, dict[str, Any]] = {
    "issuer": {"issuer": "{}://auth.example"},
    "webhook": {"webhook_url": "{}://hooks.example/in", "webhook_secret": SECRET},
    "GitHub's keys": {"github_keys": "{}://api.github.example/keys"},
    "an OpenID provider": {"upstream": {"acme": PROVIDER}},
    "a sign-in page": {"upstream": {"acme": PAGE}},
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("PGHOST", "PGHOSTADDR", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)


def with_scheme(value: Any, scheme: str) -> Any:
    if isinstance(value, dict):
        return {name: with_scheme(one, scheme) for name, one in value.items()}
    return value.replace("{}", scheme) if isinstance(value, str) else value


def said(flags: Mapping[str, Any]) -> str:
    """What a start with these settings is refused for."""
    try:
        return " ".join(refusal.sentence for refusal in check(load(flags)))
    except StartRefused as refused:
        return " ".join(refusal.sentence for refusal in refused.refusals)


ANSWERS = {b"ehlo": b"250 mail\r\n", b"helo": b"250 mail\r\n", b"quit": b"221 bye\r\n"}
PLAIN = ("https:// URL is expected", "in the clear", "beyond loopback sends every client to plaintext")


@pytest.mark.parametrize("hop", HOPS)
def test_a_plain_hop_is_refused_at_start(hop: str) -> None:
    assert any(sentence in said(with_scheme(HOPS[hop], "http")) for sentence in PLAIN)
    assert not any(sentence in said(with_scheme(HOPS[hop], "https")) for sentence in PLAIN)


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("", True),
        ("?sslmode=disable", True),
        ("?sslmode=prefer", True),
        ("?sslmode=require", True),
        ("?sslmode=verify-ca", True),
        ("?sslmode=verify-full&sslmode=disable", True),
        ("?sslmode=disable&sslmode=verify-full", True),
        ("?sslmode=verify-full&sslm%6fde=disable", True),
        ("?sslmode=verify-full", False),
        ("?host=/run/postgresql", True),
    ],
)
def test_a_database_elsewhere_is_reached_by_nobody_unless_it_proves_its_name(tmp_path, query, refused):
    """A command that works in its own process opens it as a server does."""
    flags = {"data_dir": tmp_path / "data", "database": f"postgresql://doorward:pw@db.example/doorward{query}"}
    assert ("whose identity is verified" in said(flags)) is refused
    if refused:
        with pytest.raises(StartRefused, match="whose identity is verified"):
            DataDirectory.open(load(flags))
        assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_database_on_this_machine_needs_no_tls(host):
    assert said({"database": f"postgresql://doorward@{host}/doorward"}) == ""


@pytest.mark.parametrize("url", ["http://client.example/logout", "http://127.0.0.1/logo.png", "ftp://client.example/"])
def test_what_clients_name_is_called_by_https_alone(url):
    with pytest.raises(FetchFailed, match="url_refused"):
        asyncio.run(Fetch(["0.0.0.0/1"]).get(url))


@pytest.mark.parametrize("url", ["http://hooks.example/in", "http://192.0.2.1/in"])
def test_what_the_settings_name_on_this_machine_opens_no_plain_way_elsewhere(url):
    with pytest.raises(FetchFailed, match="url_refused"):
        asyncio.run(Fetch(on_loopback=True).hand_over(url, b"{}", {}))


def test_a_mail_server_elsewhere_that_offers_no_tls_gets_no_letter():
    """A server of this machine stands in for it: it says nothing of STARTTLS, and would take everything."""
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail ready\r\n")
        while line := await reader.readline():
            heard.append(line)
            writer.write(ANSWERS.get(line[:4].lower(), b"502 what\r\n"))
        writer.close()

    async def send() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            # Not a name of loopback for us, though the machine takes it for one.
            mail = Mail(f"smtp://me:canary@0:{port}", "no-reply@auth.example", "Doorward")
            await mail.send("ada@example.com", "Reset", "https://auth.example/reset#token=canary")

    with pytest.raises(Exception, match=r"(?i)starttls"):
        asyncio.run(send())
    assert b"canary" not in b"".join(heard)
