"""A key that is bound to networks is good from there alone, and from nowhere when nobody says where that is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from doorward_verify import Verifier, networks
from doorward_verify.asgi import Guard as AsgiGuard
from doorward_verify.errors import InvalidToken
from doorward_verify.fastapi import Guard as FastApiGuard
from doorward_verify.flask import Guard as FlaskGuard
from doorward_verify.starlette import Guard as StarletteGuard
from doorward_verify.verified import Kind, Verified

BOUND = ["192.0.2.0/24", "2001:db8::/32"]
INSIDE = ["192.0.2.0", "192.0.2.255", "2001:db8::1", "2001:0DB8:ffff::", "::ffff:192.0.2.7"]
OUTSIDE = [
    "192.0.3.0",
    "2001:db9::1",
    "::ffff:192.0.3.7",
    "::192.0.2.7",
    "",
    None,
    "192.0.2.7/32",
    "192.0.2",
    "acme",
    "192.0.2.07",
]


def caller(credential: Kind = "api_key", **claims: Any) -> Verified:
    return Verified(credential, "acme", "acme", None, "key_1", frozenset(), "a", "live", None, claims=claims)


@pytest.mark.parametrize("address", INSIDE)
def test_it_is_good_from_its_networks(address: str) -> None:
    networks.admit(caller(networks=BOUND), address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_it_is_refused_from_everywhere_else(address: str | None) -> None:
    with pytest.raises(InvalidToken) as refused:
        networks.admit(caller(networks=BOUND), address)
    assert refused.value.reason == "network_not_allowed"


@pytest.mark.parametrize("nonsense", [["10.0.0.0/33"], "0.0.0.0/0", {"0.0.0.0/0": 1}, [7], [], [None]])
def test_an_answer_that_makes_no_sense_lets_nobody_in(nonsense: Any) -> None:
    with pytest.raises(InvalidToken):
        networks.admit(caller(networks=nonsense), "11.0.0.1")


def test_an_unbound_key_is_good_from_everywhere() -> None:
    networks.admit(caller(), None)


def test_a_token_may_have_a_claim_of_that_name() -> None:
    networks.admit(caller("jwt", networks=["facebook"]), None)


class Recording(Verifier):
    """Refuses everybody, and keeps where they came from."""

    def __init__(self) -> None:
        super().__init__("https://auth.example.com", audience="https://api.example.com", revocation="off")
        self.seen: list[str | None] = []
        self.sent_by: set[str | None] = set()

    def check(
        self, text: str, address: str | None = None, cost: int = 1, user_agent: str | None = None, **_: Any
    ) -> Verified:  # fmt: skip
        self.seen.append(address)
        self.sent_by.add(user_agent)
        raise InvalidToken("the credential is unknown", reason="credential_unknown")

    async def acheck(
        self, text: str, address: str | None = None, cost: int = 1, user_agent: str | None = None, **_: Any
    ) -> Verified:  # fmt: skip
        return self.check(text, address, cost, user_agent)


@pytest.fixture
def verifier() -> Iterator[Recording]:
    made = Recording()
    yield made
    made.close()


@pytest.mark.parametrize(("client", "address"), [(("192.0.2.7", 5), "192.0.2.7"), (None, None)])
def test_asgi_tells_where_a_request_came_from(verifier: Recording, client: Any, address: str | None) -> None:
    async def sent(message: Any) -> None:
        pass

    scope = {"type": "http", "path": "/", "headers": [(b"x-api-key", b"k")], "client": client}
    asyncio.run(AsgiGuard(verifier).middleware()(None)(scope, None, sent))  # type: ignore[arg-type]
    assert verifier.seen == [address]


def test_starlette_and_fastapi_tell_it_too(verifier: Recording) -> None:
    @StarletteGuard(verifier)()
    async def endpoint(request: Any) -> None: ...

    app = FastAPI(dependencies=[FastApiGuard(verifier)()])
    app.get("/")(lambda: None)
    for guarded in (Starlette(routes=[Route("/", endpoint)]), app):
        client = TestClient(guarded, client=("192.0.2.7", 5))
        assert client.get("/", headers={"x-api-key": "k"}).status_code == 401
    assert verifier.seen == ["192.0.2.7"] * 2
    assert verifier.sent_by == {"testclient"}


def test_flask_tells_it_too(verifier: Recording) -> None:
    app = Flask("guarded")
    app.get("/")(FlaskGuard(verifier)()(lambda: ""))
    headers = {"x-api-key": "k", "user-agent": "curl/8, or so"}
    reply = app.test_client().get("/", headers=headers, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert (reply.status_code, verifier.seen, verifier.sent_by) == (401, ["192.0.2.7"], {"curl/8, or so"})
