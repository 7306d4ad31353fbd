"""How a key may arrive (T162): its api says so, whatever the framework; and a request has one credential alone."""

# Annotations are no strings here: FastAPI and Litestar read them.

import asyncio
import base64
import json
from typing import Annotated, Any
from urllib.parse import parse_qsl

import pytest
from tests.verify.django_project import Project  # has to come before everything that reads Django's settings

# isort: split

from django.http import JsonResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from fastapi import Body, FastAPI, Form
from flask import Flask, jsonify
from flask import request as flask_request
from litestar import Litestar, Request, route
from rest_framework.response import Response as RestResponse
from rest_framework.views import APIView
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from tests.verify.asking import KEY, OPAQUE, OTHER_KEY, TEST_KEY, active, refused
from tests.verify.issuer_server import INTROSPECTION, Issuer

from doorward_verify import (
    InvalidRequest,
    Verified,
    Verifier,
    arrival,
    asgi,
    body,
    credential,
    django,
    fastapi,
    flask,
    litestar,
    rest_framework,
    starlette,
)
from doorward_verify.arrival import TRANSPORTS, Arrival
from doorward_verify.sightings import Sightings

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
AMOUNT = {"amount": "7"}


def basic(pair: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


# Each way, as a request carries it: headers, query, and the members of the body.
SENT: dict[str, tuple[dict[str, str], str, dict[str, str]]] = {
    "bearer": ({"authorization": f"Bearer {KEY}"}, "", {}),
    "header": ({"x-api-key": KEY}, "", {}),
    "basic": (basic(f"{KEY}:"), "", {}),
    "query": ({}, f"?api_key={KEY}", {}),
    "body": ({}, "", {"api_key": KEY}),
}


class Answered:
    def __init__(self, status: int, headers: Any, content: bytes) -> None:
        self.status, self.headers, self.body = status, headers, json.loads(content)


class Asgi:
    """An application that echoes the amount of the body, whatever was read of it before."""

    def application(self, verifier: Verifier) -> Any:
        async def echo(scope: Any, receive: Any, send: Any) -> None:
            sent, more = b"", True
            while more:
                message = await receive()
                sent, more = sent + message.get("body", b""), message.get("more_body", False)
            members = json.loads(sent) if sent[:1] == b"{" else dict(parse_qsl(sent.decode()))
            await JSONResponse(members)(scope, receive, send)

        return asgi.Guard(verifier, body=True).middleware()(echo)

    def __call__(self, app: Any, query: str, headers: dict[str, str], content: bytes) -> Answered:
        reply = TestClient(app).post(f"/{query}", content=content, headers=headers)
        return Answered(reply.status_code, reply.headers, reply.content)


class OfStarlette(Asgi):
    def application(self, verifier: Verifier) -> Any:
        async def echo(request: Any) -> JSONResponse:
            is_json = request.headers["content-type"] == JSON
            return JSONResponse(await request.json() if is_json else dict(await request.form()))

        return Starlette(routes=[Route("/", starlette.Guard(verifier, body=True)()(echo), methods=["POST"])])


class OfFastApi(Asgi):
    def application(self, verifier: Verifier) -> Any:
        app, guard = FastAPI(), fastapi.Guard(verifier, body=True)

        @app.post("/")
        def echo(sent: Annotated[dict[str, str], Body()], _: Annotated[Verified, guard()]) -> dict[str, str]:
            return sent

        @app.post("/form")
        def echo_form(amount: Annotated[str, Form()], _: Annotated[Verified, guard()]) -> dict[str, str]:
            return {"amount": amount}

        return app

    def __call__(self, app: Any, query: str, headers: dict[str, str], content: bytes) -> Answered:
        return super().__call__(app, ("form" if headers["content-type"] == FORM else "") + query, headers, content)


class OfLitestar(Asgi):
    def application(self, verifier: Verifier) -> Any:
        @route("/", http_method=["POST"], middleware=[litestar.Guard(verifier, body=True)()], status_code=200)
        async def echo(request: Request[Any, Any, Any]) -> dict[str, str]:
            return dict(await request.json() if request.headers["content-type"] == JSON else await request.form())

        return Litestar([echo], openapi_config=None)


class OfFlask(Asgi):
    def application(self, verifier: Verifier) -> Any:
        app = Flask(__name__)

        @app.post("/")
        @flask.Guard(verifier, body=True)()
        def echo() -> Any:
            return jsonify(flask_request.get_json(silent=True) or dict(flask_request.form))

        return app

    def __call__(self, app: Any, query: str, headers: dict[str, str], content: bytes) -> Answered:
        reply = app.test_client().post(f"/{query}", data=content, headers=headers)
        return Answered(reply.status_code, reply.headers, reply.data)


def echo_of_django(request: Any) -> JsonResponse:
    is_json = request.META["CONTENT_TYPE"] == JSON
    return JsonResponse(json.loads(request.body) if is_json else dict(request.POST.items()))


async def echo_of_django_async(request: Any) -> JsonResponse:
    return echo_of_django(request)


class OfDjango(Asgi):
    view: Any = staticmethod(echo_of_django)

    def application(self, verifier: Verifier) -> Any:
        return Project("transports", path("", django.Guard(verifier, body=True)()(self.view)))

    def __call__(self, app: Any, query: str, headers: dict[str, str], content: bytes) -> Answered:
        fields = {name: value for name, value in headers.items() if name != "content-type"}
        with override_settings(**app._settings):
            reply = self.ask(f"/{query}", content, headers["content-type"], fields)
        return Answered(reply.status_code, {name.lower(): value for name, value in reply.items()}, reply.content)

    def ask(self, url: str, content: bytes, content_type: str, headers: Any) -> Any:
        return Client().generic("POST", url, content, content_type, headers=headers)


class OfDjangoOverAsgi(OfDjango):
    view: Any = staticmethod(echo_of_django_async)

    def ask(self, url: str, content: bytes, content_type: str, headers: Any) -> Any:
        return asyncio.run(AsyncClient().generic("POST", url, content, content_type, headers=headers))


class OfRestFramework(OfDjango):
    def application(self, verifier: Verifier) -> Any:
        guard = rest_framework.Guard(verifier, body=True)

        class Echo(APIView):  # type: ignore[misc]
            authentication_classes = (guard.authentication,)
            permission_classes = (guard.permission(),)

            def post(self, request: Any) -> RestResponse:
                return RestResponse(dict(request.data.items()))

        return Project("transports", path("", Echo.as_view()))


SHELLS = {
    "asgi": Asgi(), "starlette": OfStarlette(), "fastapi": OfFastApi(), "litestar": OfLitestar(), "flask": OfFlask(),
    "django": OfDjango(), "django over asgi": OfDjangoOverAsgi(), "rest_framework": OfRestFramework(),
}  # fmt: skip


class Calls:
    def __init__(self, shell: Asgi, verifier: Verifier) -> None:
        self.shell, self.app = shell, shell.application(verifier)

    def __call__(
        self, transport: str, *, media_type: str = JSON, more: dict[str, str] | None = None, url: str = ""
    ) -> Answered:
        headers, query, members = SENT[transport]
        sent = {**AMOUNT, **members}
        content = json.dumps(sent) if media_type == JSON else "&".join(f"{k}={v}" for k, v in sent.items())
        return self.shell(self.app, query or url, {"content-type": media_type, **headers, **(more or {})},
                          content.encode())  # fmt: skip


@pytest.fixture(params=SHELLS)
def call(request: pytest.FixtureRequest, verifier: Verifier) -> Calls:
    return Calls(SHELLS[request.param], verifier)


def allow(issuer: Issuer, *transports: str, **members: Any) -> None:
    issuer.replies[INTROSPECTION] = lambda _: active(transports=list(transports), **members)


def test_a_key_is_taken_as_its_api_says_and_in_no_other_way(call: Calls, issuer: Issuer) -> None:
    allow(issuer, "basic", "query", "body")
    for transport in TRANSPORTS:
        answered = call(transport)
        if transport in ("basic", "query", "body"):
            assert (answered.status, answered.body["amount"]) == (200, "7"), transport
        else:
            assert (answered.status, answered.body["reason"]) == (400, "transport_not_allowed"), transport


def test_one_in_a_form_is_found_too_and_the_application_still_gets_the_form(call: Calls, issuer: Issuer) -> None:
    allow(issuer, "body")
    answered = call("body", media_type=FORM)
    assert (answered.status, answered.body["amount"]) == (200, "7")


def test_two_credentials_are_400_wherever_they_stand(call: Calls, issuer: Issuer) -> None:
    """RFC 6750 §3.1."""
    allow(issuer, *TRANSPORTS)
    for transport in TRANSPORTS:
        second = {"x-api-key": KEY} if transport != "header" else {"authorization": f"Bearer {KEY}"}
        answered = call(transport, more=second)
        assert (answered.status, answered.body["reason"]) == (400, "several_credentials"), transport
    for transport in ("bearer", "body"):
        assert call(transport, url=f"?api_key={KEY}").body["reason"] == "several_credentials"
    assert call("bearer", url=f"?api%5fkey={KEY}").body["reason"] == "several_credentials"


def test_what_answers_a_url_with_a_key_is_kept_nowhere(call: Calls, issuer: Issuer) -> None:
    allow(issuer, "bearer", "query")
    for answered, status in ((call("query"), 200), (call("query", more={"x-api-key": KEY}), 400)):
        assert answered.status == status
        assert answered.headers["referrer-policy"] == "no-referrer"
        assert answered.headers["cache-control"] == "no-store"
    assert "referrer-policy" not in call("bearer").headers


def test_a_live_key_that_a_browser_sent_is_refused_where_the_api_says_so(call: Calls, issuer: Issuer) -> None:
    allow(issuer, "bearer", browsers="refuse")
    for field in ({"origin": "https://app.example"}, {"sec-fetch-mode": "cors"}):
        answered = call("bearer", more=field)
        assert (answered.status, answered.body["reason"]) == (400, "key_in_browser")
    assert call("bearer").status == 200


def test_the_body_is_the_applications_unless_the_guard_is_told(verifier: Verifier, issuer: Issuer) -> None:
    allow(issuer, "bearer", "body")
    guard = asgi.Guard(verifier)

    async def never() -> Any:
        pytest.fail("the body was read")

    async def passed(scope: Any, _: Any, __: Any) -> None:
        scope["passed"] = True

    fields = {"content-type": JSON, "content-length": "9", "authorization": f"Bearer {KEY}"}
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    scope: dict[str, Any] = {"type": "http", "path": "/", "headers": headers, "query_string": b""}
    asyncio.run(guard.middleware()(passed)(scope, never, never))
    assert scope["passed"]


@pytest.mark.parametrize(
    ("pair", "text"),
    [(f"{KEY}:", KEY), (f"acme:{KEY}", KEY), (f":{KEY}", KEY), (f"{KEY}:x", KEY), (f"{TEST_KEY}:", TEST_KEY)],
)
def test_a_key_is_the_user_name_or_the_password(pair: str, text: str) -> None:
    value = basic(pair)["authorization"].encode()
    sent = credential.sent([(b"authorization", value)])
    assert (sent.text, sent.arrival) == (text, Arrival("basic"))


def test_two_keys_in_basic_are_two_credentials() -> None:
    value = basic(f"{KEY}:{OTHER_KEY}")["authorization"].encode()
    assert refused(lambda: credential.sent([(b"authorization", value)])) == "several_credentials"


@pytest.mark.parametrize("value", [b"Basic", b"Basic !", b"Basic YTpi", b"basic " + base64.b64encode(b"\xff:\xfe")])
def test_basic_without_a_key_is_for_somebody_else(value: bytes) -> None:
    assert refused(lambda: credential.sent([(b"authorization", value)])) == "credential_missing"


@pytest.mark.parametrize("transport", ["header", "basic", "query", "body"])
@pytest.mark.parametrize("kind", ["jwt", "opaque"])
def test_tokens_are_taken_as_bearer_alone(kind: Any, transport: str) -> None:
    claims = {"transports": list(TRANSPORTS)}
    found = Verified(kind, "u", "acme", "c", None, frozenset(), "a", "live", None, "grant_1", claims=claims)
    arrival.take(found, Arrival("bearer", from_browser=True))
    assert refused(lambda: arrival.take(found, Arrival(transport))) == "transport_not_allowed"


def test_a_token_in_the_url_is_refused_by_the_verifier(verifier: Verifier, issuer: Issuer) -> None:
    issuer.replies[INTROSPECTION] = lambda _: active(key_id=..., grant_id="grant_1")
    assert verifier.check(OPAQUE).credential == "opaque"
    assert refused(lambda: verifier.check(OPAQUE, arrival=Arrival("query"))) == "transport_not_allowed"


@pytest.mark.parametrize("claims", [{}, {"transports": "query"}, {"transports": {"query": 1}}])
def test_an_answer_that_does_not_say_allows_what_is_usual(claims: dict[str, Any]) -> None:
    key = Verified("api_key", "acme", "acme", None, "k", frozenset(), "a", "live", None, claims=claims)
    for transport in TRANSPORTS:
        if transport in ("bearer", "header"):
            arrival.take(key, Arrival(transport))
        else:
            with pytest.raises(InvalidRequest):
                arrival.take(key, Arrival(transport))


def test_the_refusal_says_how_the_key_may_be_sent() -> None:
    claims = {"transports": ["header", "basic"]}
    key = Verified("api_key", "acme", "acme", None, "k", frozenset(), "a", "live", None, claims=claims)
    with pytest.raises(InvalidRequest, match="header or basic alone"):
        arrival.take(key, Arrival("query"))


def test_a_bad_key_learns_nothing_of_the_api(verifier: Verifier, issuer: Issuer) -> None:
    issuer.replies[INTROSPECTION] = lambda _: active(active=False)
    assert refused(lambda: verifier.check(KEY, arrival=Arrival("query"))) == "credential_unknown"


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"api_key": null}', b"{", b'{"api_key": "a", "api_key": "b"}', b"\xff"])
def test_a_body_without_a_readable_key_has_none(raw: bytes) -> None:
    assert body.keys(JSON, raw) == ()


@pytest.mark.parametrize("value", ["7", '{"a": 1}', "[]", "true"])
def test_a_key_that_is_no_text_is_a_credential_and_a_bad_one(value: str) -> None:
    assert body.keys(JSON, f'{{"api_key": {value}}}'.encode()) == ("",)


@pytest.mark.parametrize(
    ("content_type", "length", "is_read"),
    [(JSON, "10", True), (f"{JSON}; charset=utf-8", "10", True), (FORM.upper(), "65536", True), (JSON, "65537", False),
     (JSON, "", False), (JSON, "0", False), (JSON, "-1", False), (JSON, "9" * 5000, False), ("text/plain", "10", False),
     ("multipart/form-data; boundary=x", "10", False), ("", "10", False)],
)  # fmt: skip
def test_a_body_is_read_when_it_is_short_and_says_so(content_type: str, length: str, is_read: bool) -> None:
    assert body.is_read(content_type, length) is is_read


class TestSightings:
    def test_each_is_told_once(self) -> None:
        told: list[Any] = []
        sightings = Sightings(told.extend)
        for _ in range(3):
            sightings.note("key_1", "url")
            sightings.send()
        sightings.note("key_1", "browser")
        assert sightings.is_waiting
        sightings.send()
        assert [(one["id"], one["where"]) for one in told] == [("key_1", "url"), ("key_1", "browser")]

    def test_what_the_server_does_not_take_is_kept(self) -> None:
        def tell(_: Any) -> None:
            raise ConnectionError

        sightings = Sightings(tell)
        sightings.note("key_1", "url")
        with pytest.raises(ConnectionError):
            sightings.send()
        assert sightings.is_waiting


@pytest.mark.parametrize(
    ("found", "came", "where"),
    [
        ({}, Arrival("query"), ["url"]),
        ({}, Arrival(from_browser=True), ["browser"]),
        ({}, Arrival("query", from_browser=True), ["url", "browser"]),
        ({"browsers": "refuse"}, Arrival(from_browser=True), ["browser"]),
        ({"browsers": "allow"}, Arrival(from_browser=True), []),
        ({}, Arrival("basic"), []),
    ],
)
def test_where_a_key_was_seen(found: dict[str, Any], came: Arrival, where: list[str]) -> None:
    key = Verified("api_key", "acme", "acme", None, "k", frozenset(), "a", "live", None, claims=found)
    assert list(arrival.exposures(key, came)) == where


def test_a_test_key_may_be_in_a_browser() -> None:
    key = Verified("api_key", "acme", "acme", None, "k", frozenset(), "a", "test", None, claims={"browsers": "refuse"})
    arrival.take(key, Arrival(from_browser=True))
    assert list(arrival.exposures(key, Arrival(from_browser=True))) == []
