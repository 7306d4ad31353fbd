"""Behind a gateway (decision 32a): a service takes what the gateway asserts of this very request, and nothing else."""

# Annotations are no strings here: FastAPI could not look up a guard that is local to a function.

import os
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from flask import Flask, g
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from tests.verify.asgi_calls import Headers, call
from tests.verify.feed_server import FeedIssuer
from tests.verify.issuer_server import INTROSPECTION, METADATA, Reply
from tests.verify.issuing import AUDIENCE, NOW, SigningKey, dumps, ec_key, header, jwks, rsa_key, signed, token
from tests.verify.waiting import Clock, until

from doorward_verify import Misconfigured, Verified, Verifier, assertion, behind, challenge, fastapi, flask, starlette
from doorward_verify.door import Door
from doorward_verify.errors import InvalidToken, Unavailable
from doorward_verify.needs import Needs

ASSERTION_JWKS = "/assertions/jwks"
KEY = "assertion-1"
SERVICE = "billing"
READ = Needs.of("invoices:read")


@pytest.fixture
def issuer(clock: Clock) -> Iterator[FeedIssuer]:
    running = FeedIssuer(clock.wall)
    running.publish(jwks(ec_key(), rsa_key()))
    running.replies[METADATA] = Reply(running.metadata(assertions_jwks_uri=running.origin + ASSERTION_JWKS))
    running.replies[ASSERTION_JWKS] = Reply(jwks(ec_key(KEY)))
    yield running
    running.cut()
    running.gate.set()
    running.stop()


@pytest.fixture
def verifier(verifier_of: Callable[..., Verifier]) -> Verifier:
    made = verifier_of()
    made.start()
    until(lambda: made.state == "synced")
    return made


@pytest.fixture
def door(verifier: Verifier) -> Door:
    return Door(verifier, behind=SERVICE)


def asserted(
    issuer: FeedIssuer, method: str = "GET", asked: str = "/invoices/7", *, key: SigningKey | None = None,
    typ: str = assertion.TYPE, **changes: Any,
) -> str:  # fmt: skip
    """An assertion of a good key, but for the changes; `...` takes a claim away."""
    claims = {
        "iss": issuer.url, "aud": SERVICE, "api": AUDIENCE, "htm": method, "uri": assertion.uri(asked),
        "iat": NOW, "exp": NOW + 10, "jti": os.urandom(8).hex(), "pos": issuer.head, "credential": "api_key",
        "sub": "acme", "account": "acme", "scope": "invoices:read", "key_id": "key_1", "environment": "live", **changes,
    }  # fmt: skip
    key = key or ec_key(KEY)
    return signed(key, dumps(header(key, typ=typ)), dumps({k: v for k, v in claims.items() if v is not ...}))


def scope(method: str = "GET", path: str = "/invoices/7", query: bytes = b"") -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "query_string": query}


def shown(*texts: str) -> Headers:
    return [(b"x-auth-assertion", text.encode()) for text in texts]


def told(door: Door, headers: Headers, request: Any = None, needs: Needs = READ) -> Any:
    """The caller's account, or the status and reason by which he was refused, as the request id has it."""
    found = door.check(headers, needs, request=scope() if request is None else request)
    return (found.status, found.body["reason"]) if isinstance(found, challenge.Answer) else found and found.account


class TestWhatIsTaken:
    def test_the_gateways_assertion_says_who_calls(self, issuer: FeedIssuer, door: Door) -> None:
        found = door.check(shown(asserted(issuer)), READ, request=scope())
        assert isinstance(found, Verified)
        assert (found.credential, found.account, found.key_id, found.scope) == ("api_key", "acme", "key_1", READ.scope)
        assert (found.audience, found.expires_at, found.stale) == (AUDIENCE, NOW + 10, False)
        assert issuer.counts[INTROSPECTION] == 0, "nobody is asked about it"

    def test_of_a_token_it_says_the_same_as_the_token(self, issuer: FeedIssuer, door: Door) -> None:
        claims = {
            "credential": "jwt",
            "client_id": "client_1",
            "grant_id": "grant_1",
            "key_id": ...,
            "environment": ...,
        }
        found = door.check(shown(asserted(issuer, **claims, token="jti_1", acr="mfa")), READ, request=scope())
        assert isinstance(found, Verified)
        assert (found.credential, found.client_id, found.grant_id, found.key_id) == ("jwt", "client_1", "grant_1", None)
        assert found.claims["acr"] == "mfa"

    def test_no_other_field_counts_whatever_it_says(self, issuer: FeedIssuer, door: Door) -> None:
        own = token(iss=issuer.url, pos=issuer.head)
        others: Headers = [
            (b"authorization", f"Bearer {own}".encode()), (b"x-auth-subject", b"root"), (b"x-api-key", b"dw_live_x"),
        ]  # fmt: skip
        assert told(door, others) == (401, "credential_missing")
        assert told(door, [*others, *shown(asserted(issuer))]) == "acme"

    def test_exactly_one_is_taken(self, issuer: FeedIssuer, door: Door) -> None:
        one, two = asserted(issuer), asserted(issuer)
        assert told(door, shown(one, two)) == (400, "several_credentials")
        assert told(door, shown(one, one)) == (400, "several_credentials")
        assert told(door, shown(f"{one}, {two}")) == (401, "credential_unknown")
        assert told(door, []) == (401, "credential_missing")

    def test_an_empty_one_is_none_as_on_a_public_route(self, door: Door) -> None:
        assert told(door, shown("")) == (401, "credential_missing")
        assert told(door, shown(""), needs=Needs.of(optional=True)) is None

    def test_a_scope_that_is_not_in_it_is_missing(self, issuer: FeedIssuer, door: Door) -> None:
        needs = Needs.of("invoices:write")
        assert told(door, shown(asserted(issuer)), needs=needs) == (403, "insufficient_scope")

    def test_a_guard_that_does_not_see_the_request_cannot_stand_there(self, issuer: FeedIssuer, door: Door) -> None:
        with pytest.raises(Misconfigured):
            door.check(shown(asserted(issuer)), READ)


BAD: tuple[tuple[dict[str, Any], str], ...] = (
    # what is wrong with it, what the caller hears
    ({"aud": "shipping"}, "wrong_audience"),
    ({"aud": [SERVICE]}, "wrong_audience"),
    ({"aud": AUDIENCE}, "wrong_audience"),
    ({"api": "https://other.example.com"}, "wrong_audience"),
    ({"api": ...}, "wrong_audience"),
    ({"iss": "https://other.example.com"}, "wrong_issuer"),
    ({"htm": "POST"}, "assertion_misplaced"),
    ({"htm": "get"}, "assertion_misplaced"),
    ({"htm": ...}, "assertion_misplaced"),
    ({"uri": assertion.uri("/invoices/8")}, "assertion_misplaced"),
    ({"uri": assertion.uri("/invoices/7?all=1")}, "assertion_misplaced"),
    ({"uri": "/invoices/7"}, "assertion_misplaced"),
    ({"uri": ...}, "assertion_misplaced"),
    ({"iat": NOW - 21, "exp": NOW - 11}, "credential_expired"),
    ({"iat": NOW + 11, "exp": NOW + 21}, "not_yet_valid"),
    ({"exp": NOW + 11}, "credential_unknown"),
    ({"exp": ...}, "credential_unknown"),
    ({"exp": str(NOW + 10)}, "credential_unknown"),
    ({"jti": ...}, "credential_unknown"),
    ({"jti": 7}, "credential_unknown"),
    ({"credential": "refresh_token"}, "credential_unknown"),
    ({"credential": ...}, "credential_unknown"),
    ({"account": 7}, "credential_unknown"),
    ({"scope": 7}, "credential_unknown"),
    ({"act": "somebody"}, "credential_unknown"),
    ({"environment": "test"}, "wrong_environment"),
    ({"typ": "at+jwt"}, "credential_unknown"),
    ({"typ": "JWT"}, "credential_unknown"),
    ({"key": ec_key()}, "credential_unknown"),
    ({"key": ec_key("nobodys")}, "credential_unknown"),
)


@pytest.mark.parametrize(("changes", "reason"), BAD, ids=[repr(changes)[:60] for changes, _ in BAD])
def test_what_was_made_for_something_else_is_refused(
    issuer: FeedIssuer, door: Door, changes: dict[str, Any], reason: str
) -> None:
    assert told(door, shown(asserted(issuer, **changes))) == (401, reason)


def test_an_assertion_is_no_access_token_and_the_reverse(issuer: FeedIssuer, verifier: Verifier, door: Door) -> None:
    with pytest.raises(InvalidToken):
        verifier.check(asserted(issuer, client_id="client_1", typ="at+jwt"))
    assert told(door, shown(token(iss=issuer.url, pos=issuer.head))) == (401, "credential_unknown")


class TestOneTime:
    def test_what_changes_something_is_taken_once(self, issuer: FeedIssuer, door: Door) -> None:
        text = asserted(issuer, "POST")
        assert told(door, shown(text), scope("POST")) == "acme"
        assert told(door, shown(text), scope("POST")) == (401, "assertion_replayed")
        assert told(door, shown(asserted(issuer, "POST")), scope("POST")) == "acme"

    def test_what_changes_nothing_may_come_again_within_its_time(
        self, issuer: FeedIssuer, door: Door, clock: Clock
    ) -> None:
        text = asserted(issuer)
        assert [told(door, shown(text)) for _ in range(3)] == ["acme"] * 3
        clock.advance(21)
        assert told(door, shown(text)) == (401, "credential_expired")

    def test_two_doors_that_one_request_passes_take_its_one_assertion(self, issuer: FeedIssuer, door: Door) -> None:
        text, request = asserted(issuer, "POST"), scope("POST")
        assert [told(door, shown(text), request) for _ in range(2)] == ["acme", "acme"]
        assert told(door, shown(text), scope("POST")) == (401, "assertion_replayed")

    def test_what_was_refused_for_something_else_is_not_used_up(self, issuer: FeedIssuer, door: Door) -> None:
        text = asserted(issuer, "POST")
        assert told(door, shown(text), scope("POST", "/invoices/8")) == (401, "assertion_misplaced")
        assert told(door, shown(text), scope("POST")) == "acme"

    def test_what_is_remembered_is_bounded_and_closed_when_it_is_full(self) -> None:
        used = behind.Used(limit=2)
        used.once("a", NOW + 20, NOW)
        used.once("b", NOW + 20, NOW)
        with pytest.raises(Unavailable):
            used.once("c", NOW + 20, NOW)
        with pytest.raises(InvalidToken):
            used.once("a", NOW + 20, NOW)
        used.once("c", NOW + 41, NOW + 21)
        used.once("d", NOW + 41, NOW + 21)


ENDS = (
    # kind and value of the entry, the claims that it hits
    ("api_key", "key_1", {}),
    ("account", "acme", {}),
    ("everything", "", {}),
    ("signing_key", KEY, {}),
    ("token", "jti_1", {"credential": "jwt", "token": "jti_1"}),
    ("grant", "grant_1", {"credential": "opaque", "grant_id": "grant_1"}),
    ("client", "client_1", {"credential": "jwt", "client_id": "client_1"}),
    ("user", "user_1", {"credential": "jwt", "sub": "user_1"}),
    ("session", "session_1", {"credential": "jwt", "sid": "session_1"}),
    ("account", "own", {"credential": "jwt", "client_account": "own"}),
)


@pytest.mark.parametrize(("kind", "value", "claims"), ENDS)
def test_what_ended_after_it_was_made_is_refused_within_its_ten_seconds(
    issuer: FeedIssuer, verifier: Verifier, door: Door, kind: str, value: str, claims: dict[str, Any]
) -> None:
    text = asserted(issuer, **claims)
    assert told(door, shown(text)) == "acme"
    issuer.tell(kind, value)
    until(lambda: told(door, shown(text))[0] == 401)
    if kind in ("api_key", "account", "everything", "client"):
        assert told(door, shown(asserted(issuer, **claims))) == "acme", "what was made after it is another matter"


def test_where_the_feed_is_not_heard_it_counts_as_the_service_chose(
    issuer: FeedIssuer, verifier_of: Callable[..., Verifier], clock: Clock
) -> None:
    text = asserted(issuer)
    for on_stale, expected in (("refuse", (503, "server_unreachable")), ("introspect", "acme"), ("accept", "acme")):
        made = verifier_of(on_stale=on_stale)
        made.start()
        until(lambda made=made: made.state == "synced")
        door = Door(made, behind=SERVICE)
        assert told(door, shown(text)) == "acme"
        clock.advance(3)
        assert told(door, shown(text)) == expected
        clock.advance(-3)


def test_a_new_signing_key_is_read_when_it_signs(issuer: FeedIssuer, door: Door, clock: Clock) -> None:
    assert told(door, shown(asserted(issuer))) == "acme"
    issuer.replies[ASSERTION_JWKS] = Reply(jwks(ec_key(KEY), ec_key("assertion-2")))
    assert told(door, shown(asserted(issuer, key=ec_key("assertion-2")))) == "acme"


def test_an_issuer_that_signs_none_is_no_reason_to_let_anybody_in(
    issuer: FeedIssuer, verifier_of: Callable[..., Verifier]
) -> None:
    issuer.replies[METADATA] = Reply(issuer.metadata())
    assert told(Door(verifier_of(), behind=SERVICE), shown(asserted(issuer)))[0] == 503


URIS = (
    # as it is asked for, path as ASGI has it, query
    ("/invoices/7", "/invoices/7", b""),
    ("/invoices/7?a=%20b&c", "/invoices/7", b"a=%20b&c"),
    ("/invoices/café", "/invoices/café", b""),
)


@pytest.mark.parametrize(("uri", "path", "query"), URIS)
def test_a_service_sees_the_uri_that_was_asked_about_in_every_framework(
    issuer: FeedIssuer, door: Door, uri: str, path: str, query: bytes
) -> None:
    raw = path.encode().decode("latin-1")
    environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": raw, "QUERY_STRING": query.decode()}
    mounted = {**environ, "SCRIPT_NAME": "/invoices", "PATH_INFO": raw.removeprefix("/invoices")}
    for request in (scope("GET", path, query), environ, mounted):
        assert told(door, shown(asserted(issuer, asked=uri)), request) == "acme"
        assert told(door, shown(asserted(issuer, asked=f"{uri}x")), request) == (401, "assertion_misplaced")


def of_fastapi(verifier: Verifier) -> FastAPI:
    guard = fastapi.Guard(verifier, behind=SERVICE)
    app = FastAPI(dependencies=[guard()])

    @app.post("/invoices/{number}")
    def create(caller: Annotated[Verified, guard("invoices:read")]) -> dict[str, Any]:
        return {"account": caller.account}

    return app


def of_starlette(verifier: Verifier) -> Starlette:
    guard = starlette.Guard(verifier, behind=SERVICE)

    @guard("invoices:read")
    async def create(request: Request) -> JSONResponse:
        return JSONResponse({"account": request.state.verified.account})

    routes = [Mount("/invoices", routes=[Route("/{number}", create, methods=["POST"])])]
    return Starlette(routes=routes)


@pytest.mark.parametrize("make", [of_fastapi, of_starlette])
def test_a_guard_of_asgi_stands_behind(issuer: FeedIssuer, verifier: Verifier, make: Callable[..., Any]) -> None:
    app, text = make(verifier), asserted(issuer, "POST")
    answered = call(app, shown(text), "/invoices/7", "POST")
    assert (answered.status, answered.body) == (200, {"account": "acme"})
    assert call(app, shown(text), "/invoices/7", "POST").status == 401, "used"
    assert call(app, shown(asserted(issuer, "POST")), "/invoices/8", "POST").status == 401, "another request"
    bearer = [(b"authorization", f"Bearer {token(iss=issuer.url, pos=issuer.head)}".encode())]
    assert call(app, bearer, "/invoices/7", "POST").status == 401


def test_a_guard_of_wsgi_stands_behind(issuer: FeedIssuer, verifier: Verifier) -> None:
    app = Flask(__name__)
    guard = flask.Guard(verifier, behind=SERVICE)

    @app.post("/invoices/<number>")
    @guard("invoices:read")
    def create(number: str) -> dict[str, Any]:
        return {"account": g.verified.account}

    client, uri = app.test_client(), "/invoices/7?draft=1"
    text = asserted(issuer, "POST", uri)
    assert client.post(uri, headers={"x-auth-assertion": text}).json == {"account": "acme"}
    assert client.post(uri, headers={"x-auth-assertion": text}).status_code == 401, "used"
    fresh = asserted(issuer, "POST", uri)
    assert client.post("/invoices/7", headers={"x-auth-assertion": fresh}).status_code == 401, "another request"
    twice = [("x-auth-assertion", fresh), ("x-auth-assertion", fresh)]
    assert client.post(uri, headers=twice).status_code == 400
    assert client.post(uri, headers={"x-auth-assertion": fresh}).status_code == 200


def test_a_path_that_holds_a_question_mark_is_not_one_with_a_query(issuer: FeedIssuer, door: Door) -> None:
    text = asserted(issuer, asked="/invoices/7?all=1")
    assert told(door, shown(text), scope("GET", "/invoices/7", b"all=1")) == "acme"
    assert told(door, shown(text), scope("GET", "/invoices/7?all=1", b"")) == (401, "assertion_misplaced")
