"""How providers are asked: documents that are kept, keys that are looked for, and Authlib's client on our way out."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from tests.protocol.elsewhere import ACME, NONCE, SUBJECT, a_key_pair, an_expected, signed
from tests.protocol.given import NOW

from doorward.fetch import Answer, Fetch, FetchFailed
from doorward.protocol.upstream_sign_in import Departure, Expected, UpstreamFailed
from doorward.web.providers import AGAIN, AT_ONCE, LIFETIME, RETRY, STALE, Kept, Provider, UpstreamUnreachable

Value = TypeVar("Value")
DOCUMENT: dict[str, Any] = {
    "issuer": ACME.issuer, "authorization_endpoint": f"{ACME.issuer}/authorize?tenant=a",
    "token_endpoint": f"{ACME.issuer}/token", "jwks_uri": f"{ACME.issuer}/jwks",
    "id_token_signing_alg_values_supported": ["ES256", "RS256"],
}  # fmt: skip
CALLBACK = "https://auth.example.com/login/upstream/acme/callback"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Document:
    """How often it was read, and what comes of it."""

    def __init__(self) -> None:
        self.reads, self.fails, self.clock = 0, False, Clock()
        self.kept = Kept(self.read, self.clock)

    async def read(self) -> int:
        await asyncio.sleep(0)
        self.reads += 1
        if self.fails:
            raise UpstreamUnreachable("down")
        return self.reads


def running(step: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
    return asyncio.run(step())


def test_a_document_is_read_by_one_and_kept_for_an_hour() -> None:
    document = Document()

    async def steps() -> None:
        assert await asyncio.gather(*(document.kept.get() for _ in range(20))) == [1] * 20
        document.clock.now = LIFETIME - 1
        assert await document.kept.get() == 1
        document.clock.now = LIFETIME
        assert await document.kept.get() == 2

    running(steps)


def test_whoever_misses_something_has_it_read_again_but_not_at_once() -> None:
    document = Document()

    async def steps() -> None:
        assert await document.kept.get() == 1
        assert [await document.kept.again() for _ in range(1000)] == [1] * 1000
        document.clock.now = AGAIN
        assert [await document.kept.again() for _ in range(1000)] == [2] * 1000

    running(steps)


def test_what_was_read_stays_for_a_day_while_it_cannot_be_read() -> None:
    """CVE-2026-48524 wiped the keys that were known."""
    document = Document()

    async def steps() -> None:
        await document.kept.get()
        document.fails, document.clock.now = True, LIFETIME
        assert await document.kept.get() == 1
        assert await document.kept.again() == 1
        assert document.reads == 2
        document.clock.now += RETRY
        assert await document.kept.get() == 1
        assert document.reads == 3
        document.clock.now = STALE
        with pytest.raises(UpstreamUnreachable):
            await document.kept.get()

    running(steps)


def test_one_that_never_answered_is_asked_again_after_a_while() -> None:
    document = Document()
    document.fails = True

    async def steps() -> None:
        for _ in range(100):
            with pytest.raises(UpstreamUnreachable):
                await document.kept.get()
        assert document.reads == 1
        document.fails, document.clock.now = False, RETRY
        assert await document.kept.get() == 2

    running(steps)


class Way(Fetch):
    """The way out, without a network."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.answers: dict[str, Any] = {
            f"{ACME.issuer}/.well-known/openid-configuration": DOCUMENT,
            f"{ACME.issuer}/jwks": {"keys": [a_key_pair().as_dict(private=False)]},
            f"{ACME.issuer}/token": {"access_token": "at", "id_token": an_id_token()},
        }

    async def get(self, url: str, *more: Any, headers: Any = None, **_: Any) -> Answer:
        return self._answer(url, {}, headers or {})

    async def post(self, url: str, form: Any, headers: Any = None) -> Answer:
        return self._answer(url, dict(form), dict(headers or {}))

    def _answer(self, url: str, form: dict[str, str], headers: dict[str, str]) -> Answer:
        self.asked.append((url, form, headers))
        found = self.answers[url]
        if isinstance(found, Exception):
            raise found
        if isinstance(found, Answer):
            return found
        return Answer(200, {"content-type": "application/json"}, json.dumps(found).encode())

    def count(self, path: str) -> int:
        return sum(url == f"{ACME.issuer}/{path}" for url, _, _ in self.asked)


def an_id_token(key: Any = None, **claims: Any) -> str:
    told = {"iss": ACME.issuer, "sub": SUBJECT, "aud": "doorward", "exp": NOW + 300, "iat": NOW, "nonce": NONCE}
    return signed({**told, **claims}, key)


def a_provider(way: Way, secret: str | None = "s+cret") -> Provider:
    return Provider(ACME, "openid email", CALLBACK, way, secret)


def claims_of(provider: Provider, expected: Expected | None = None) -> Any:
    return running(lambda: provider.claims("a code", expected or an_expected(), lambda: NOW))


def test_a_code_is_redeemed_with_everything_that_binds_it() -> None:
    way = Way()
    assert claims_of(a_provider(way))["sub"] == SUBJECT
    ((_, form, headers),) = [one for one in way.asked if one[0].endswith("/token")]
    assert form == {
        "grant_type": "authorization_code", "code": "a code", "redirect_uri": CALLBACK,
        "code_verifier": an_expected().verifier,
    }  # fmt: skip
    # RFC 6749 §2.3.1: both are encoded before they are joined.
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"doorward:s%2Bcret"


@pytest.mark.parametrize(
    ("methods", "secret", "sent"),
    [
        (["client_secret_post"], "s+cret", {"client_id": "doorward", "client_secret": "s+cret"}),
        (["client_secret_post", "none"], None, {"client_id": "doorward"}),
    ],
)
def test_it_is_redeemed_as_the_provider_wants_it(methods: list[str], secret: str | None, sent: dict[str, str]) -> None:
    way = Way()
    way.answers[f"{ACME.issuer}/.well-known/openid-configuration"] = {
        **DOCUMENT, "token_endpoint_auth_methods_supported": methods,
    }  # fmt: skip
    claims_of(a_provider(way, secret))
    ((_, form, headers),) = [one for one in way.asked if one[0].endswith("/token")]
    assert {name: form.get(name) for name in ("client_id", "client_secret") if name in form} == sent
    assert "Authorization" not in headers


def test_the_browser_is_sent_to_an_address_that_keeps_its_own_query() -> None:
    provider = a_provider(Way())
    left = Departure(ACME, "upstream_1", NONCE, "v" * 43, "c" * 43, NOW, 0, "login", "ada & co", "de")
    address = running(provider.metadata)
    url = provider.address(address, left)
    assert url.startswith(f"{ACME.issuer}/authorize?tenant=a&")
    for part in (
        "prompt=login",
        "max_age=0",
        "login_hint=ada+%26+co",
        "code_challenge_method=S256",
        "state=upstream_1",
    ):
        assert part in url
    assert "v" * 43 not in url


def test_a_key_that_is_new_is_looked_for_once_in_a_while() -> None:
    """T073: with a kid that nobody knows, nobody makes us read without end."""
    way, clock = Way(), Clock()
    provider = a_provider(way)
    provider._keys = Kept(provider._read_keys, clock)
    way.answers[f"{ACME.issuer}/token"] = {"access_token": "at", "id_token": an_id_token(a_key_pair("acme_2"))}

    async def steps() -> None:
        for _ in range(50):
            with pytest.raises(UpstreamFailed) as refused:
                await provider.claims("a code", an_expected(), lambda: NOW)
            assert refused.value.detail == "the id token is signed by an unknown key"
        assert way.count("jwks") == 1
        way.answers[f"{ACME.issuer}/jwks"] = {"keys": [a_key_pair("acme_2").as_dict(private=False)]}
        clock.now = AGAIN
        assert (await provider.claims("a code", an_expected(), lambda: NOW))["sub"] == SUBJECT
        assert way.count("jwks") == 2

    running(steps)


def test_a_provider_with_one_key_need_not_name_it() -> None:
    way = Way()
    unnamed = {name: value for name, value in a_key_pair().as_dict(private=False).items() if name != "kid"}
    way.answers[f"{ACME.issuer}/jwks"] = {"keys": [unnamed]}
    told = {"iss": ACME.issuer, "sub": SUBJECT, "aud": "doorward", "exp": NOW + 300, "iat": NOW, "nonce": NONCE}
    way.answers[f"{ACME.issuer}/token"] = {"access_token": "at", "id_token": signed(told, kid=None)}
    assert claims_of(a_provider(way))["sub"] == SUBJECT


def test_userinfo_is_asked_with_the_token_and_must_be_of_the_same_subject() -> None:
    way = Way()
    way.answers[f"{ACME.issuer}/.well-known/openid-configuration"] = {
        **DOCUMENT, "userinfo_endpoint": f"{ACME.issuer}/userinfo",
    }  # fmt: skip
    way.answers[f"{ACME.issuer}/userinfo"] = {"sub": SUBJECT, "email": "ada@acme.example"}
    assert claims_of(a_provider(way))["email"] == "ada@acme.example"
    assert way.asked[-1][2] == {"authorization": "Bearer at"}
    way.answers[f"{ACME.issuer}/userinfo"] = {"sub": "another"}
    with pytest.raises(UpstreamFailed):
        claims_of(a_provider(way))


@pytest.mark.parametrize(
    ("path", "answer", "problem"),
    [
        ("token", Answer(400, {}, b'{"error": "invalid_grant", "error_description": "canary"}'), UpstreamFailed),
        ("token", Answer(503, {}, b"canary"), UpstreamUnreachable),
        ("token", FetchFailed("too_slow"), UpstreamUnreachable),
        ("token", Answer(200, {}, b"canary"), UpstreamFailed),
        ("token", Answer(200, {}, b'{"id_token": "a", "id_token": "canary"}'), UpstreamFailed),
        ("token", {"access_token": "canary"}, UpstreamFailed),
        ("token", {"id_token": 7}, UpstreamFailed),
        ("token", {"id_token": "canary", "access_token": 7}, UpstreamFailed),
        ("jwks", Answer(404, {}, b"canary"), UpstreamFailed),
        ("jwks", FetchFailed("address_refused"), UpstreamUnreachable),
        (".well-known/openid-configuration", {"issuer": "https://canary.example"}, UpstreamFailed),
    ],
)
def test_whatever_it_answers_instead_is_a_refusal_that_repeats_nothing(
    path: str, answer: Any, problem: type[Exception]
) -> None:
    way = Way()
    way.answers[f"{ACME.issuer}/{path}"] = answer
    with pytest.raises(problem) as refused:
        claims_of(a_provider(way))
    assert isinstance(refused.value, UpstreamFailed | UpstreamUnreachable)
    assert "canary" not in refused.value.description + refused.value.detail


def test_one_that_hangs_holds_up_no_more_than_so_many() -> None:
    way = Way()
    waiting = asyncio.Event()

    async def never(*_: Any, **__: Any) -> Answer:
        await waiting.wait()
        return Answer(503, {}, b"")

    async def steps() -> list[Any]:
        way.post = never  # type: ignore[method-assign]
        provider = a_provider(way)
        asked = [asyncio.create_task(provider.claims("x", an_expected(), lambda: NOW)) for _ in range(AT_ONCE + 5)]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        refused_at_once = [type(one.exception()) for one in done]
        waiting.set()
        await asyncio.wait(asked)
        assert {type(one.exception()) for one in asked} == {UpstreamUnreachable}
        return refused_at_once

    assert set(running(steps)) == {UpstreamUnreachable}


def test_nothing_secret_is_in_its_repr() -> None:
    assert "s+cret" not in repr(a_provider(Way()))
    assert "s+cret" not in repr(replace(ACME))
