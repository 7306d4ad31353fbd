"""The one exception of the guarded way out: what the settings themselves name on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.upstreams import Provider, a_provider

from doorward.fetch import Fetch, FetchFailed

METADATA = "/acme/.well-known/openid-configuration"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with a_provider() as provider:
        provider.tenant("acme")
        yield provider


def why(door: Fetch, url: str) -> str:
    with pytest.raises(FetchFailed) as caught:
        asyncio.run(door.get(url))
    return caught.value.why


def test_it_is_called_without_tls_where_the_settings_name_it(provider: Provider) -> None:
    answer = asyncio.run(Fetch(on_loopback=True).get(provider.origin + METADATA))
    assert answer.status == 200


def test_nobody_else_has_it_called(provider: Provider) -> None:
    assert why(Fetch(), provider.origin + METADATA) == "url_refused"
    assert why(Fetch(networks=("127.0.0.0/8",)), provider.origin + METADATA) == "url_refused"


@pytest.mark.parametrize(
    "url",
    [
        "http://login.acme.example/", "http://127.0.0.1.acme.example/", "http://localhost@acme.example/",
        "http://127.0.0.2/", "http://[::ffff:127.0.0.1]/", "ftp://localhost/",
    ],
)  # fmt: skip
def test_without_tls_there_is_nothing_but_this_machine(url: str) -> None:
    assert why(Fetch(on_loopback=True), url) == "url_refused"


def test_other_addresses_of_special_use_stay_closed() -> None:
    async def private(host: str, port: int) -> list[str]:
        return ["10.0.0.1"]

    assert why(Fetch(resolve=private, on_loopback=True), "https://login.acme.example/") == "address_refused"


def test_fields_go_along_and_one_of_several_types_comes_back(provider: Provider) -> None:
    door = Fetch(on_loopback=True)
    url = provider.origin + METADATA
    assert asyncio.run(door.get(url, "application/json, application/jwk-set+json")).status == 200
    assert asyncio.run(door.get(url, "application/jwk-set+json, application/json", headers={"x-a": "b"})).status == 200
    with pytest.raises(FetchFailed) as caught:
        asyncio.run(door.get(url, "text/html, text/plain"))
    assert caught.value.why == "wrong_type"
