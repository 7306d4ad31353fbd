"""An issuer that answers, a verifier that asks it, and a guard against every connection that nobody expects."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.verify import readme as page
from tests.verify.asking import MakeVerifier, active
from tests.verify.issuer_server import INTROSPECTION, Issuer
from tests.verify.issuing import AUDIENCE, ec_key, jwks, rsa_key, token
from tests.verify.waiting import Clock

from doorward_verify import Verifier
from doorward_verify.verifier import _LIVE

VARIABLES = ("ISSUER", "VERIFIER_ID", "VERIFIER_SECRET", "VERIFIER_SECRET_FILE", "CA_FILE", "LEGACY_KEYS")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"DOORWARD_{name}", raising=False)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    running = Issuer()
    running.publish(jwks(ec_key(), rsa_key()))
    yield running
    running.gate.set()
    running.stop()


@pytest.fixture
def verifier_of(issuer: Issuer, clock: Clock) -> Iterator[MakeVerifier]:
    made: list[Verifier] = []

    def make(**options: Any) -> Verifier:
        settings = {"audience": AUDIENCE, "verifier_id": "verifier_1", "verifier_secret": "s3cret", **options}
        verifier = Verifier(issuer.url, clock=clock.wall, monotonic=clock.monotonic, **settings)
        made.append(verifier)
        return verifier

    yield make
    for verifier in made:
        verifier.close()


@pytest.fixture
def verifier(verifier_of: MakeVerifier, issuer: Issuer) -> Verifier:
    """One whose issuer says that every credential is good."""
    issuer.replies[INTROSPECTION] = active
    return verifier_of()


@pytest.fixture
def readme(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., dict[str, Any]]]:
    """What the code under a heading of the README defines, over an issuer that calls every key good."""
    issuer.replies[INTROSPECTION] = active(exp=...)
    yield lambda heading, number=0: page.run(heading, issuer.url, monkeypatch, number)
    for verifier in list(_LIVE):
        if verifier.issuer == issuer.url:
            verifier.close()


@pytest.fixture
def good_jwt(issuer: Issuer) -> str:
    return token(iss=issuer.url)


@pytest.fixture
def no_connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Connections that were tried; each fails."""
    tried: list[Any] = []

    def connect(_: socket.socket, address: Any) -> None:
        tried.append(address)
        raise OSError("no connections in this test")

    def resolve(*address: Any, **_: Any) -> None:
        tried.append(address)
        raise OSError("no names in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return tried
