"""Guard: what a FastAPI application answers, header by header, over a real issuer."""

# Annotations are no strings here: FastAPI could not look up a guard that is local to a function.

import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import PlainTextResponse
from tests.verify import bad_tokens
from tests.verify.asgi_calls import Answered, Headers, call, knock, knock_for_an_answer
from tests.verify.issuer_server import INTROSPECTION, Issuer, Reply, inactive
from tests.verify.issuing import AUDIENCE, token
from tests.verify.shells import METADATA, METADATA_PATH, POINTER, STEP_UP, Shell, WebSockets, bearer

from doorward_verify import MalformedScope, Misconfigured, Verified, Verifier, api_key, challenge, request_id
from doorward_verify.fastapi import Guard, Refused
from doorward_verify.fastapi_routes import Documented
from doorward_verify.reasons import BY_NAME

KEY = api_key.assemble("dw", "", "live", "a" * 12, "b" * 32)
ACTIVE = {"active": True, "sub": "acme", "aud": AUDIENCE, "scope": "invoices:read", "account": "acme", "key_id": "k"}


@pytest.fixture
def verifier(verifier_of: Callable[..., Verifier], issuer: Issuer) -> Verifier:
    issuer.replies[INTROSPECTION] = Reply(ACTIVE)
    return verifier_of()


@pytest.fixture
def app(verifier: Verifier) -> FastAPI:
    guard = Guard(verifier)
    app = FastAPI()

    @app.get("/invoices")
    def invoices(caller: Annotated[Verified, guard("invoices:read")]) -> dict[str, Any]:
        return {"account": caller.account, "credential": caller.credential}

    @app.post("/invoices")
    async def create(caller: Annotated[Verified, guard("invoices:read", "invoices:write")]) -> dict[str, Any]:
        return {"account": caller.account}

    @app.get("/me")
    def me(caller: Annotated[Verified, guard()]) -> dict[str, Any]:
        return {"account": caller.account}

    @app.get("/open")
    def everybody() -> str:
        return "open"

    return app


def test_a_key_in_either_header_is_let_in(app: FastAPI) -> None:
    for headers in (bearer(KEY), [(b"x-api-key", KEY.encode())], bearer(f"secret-token:{KEY}")):
        answered = call(app, headers)
        assert (answered.status, answered.body) == (200, {"account": "acme", "credential": "api_key"})


def test_a_token_is_let_in(app: FastAPI, issuer: Issuer) -> None:
    answered = call(app, bearer(token(iss=issuer.url)))
    assert (answered.status, answered.body) == (200, {"account": "acme", "credential": "jwt"})


def test_any_good_credential_opens_a_route_without_scopes(app: FastAPI, issuer: Issuer) -> None:
    issuer.replies[INTROSPECTION] = Reply({**ACTIVE, "scope": ""})
    assert call(app, bearer(KEY), "/me").status == 200
    assert call(app, [], "/me").status == 401


def test_a_route_without_a_guard_is_open(app: FastAPI) -> None:
    assert call(app, [], "/open").status == 200


@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Basic YTpi")]])
def test_without_a_credential_both_ways_in_are_named_and_no_error(app: FastAPI, headers: Headers) -> None:
    answered = call(app, headers)
    assert answered.status == 401
    assert answered.all("www-authenticate") == [
        f'Bearer realm="{AUDIENCE}", scope="invoices:read"', f'ApiKey realm="{AUDIENCE}", header="X-API-Key"',
    ]  # fmt: skip
    assert answered.body["reason"] == "credential_missing"


def test_an_unknown_key_is_challenged_and_explains_itself(app: FastAPI, issuer: Issuer) -> None:
    issuer.replies[INTROSPECTION] = inactive
    answered = call(app, bearer(KEY))
    assert answered.status == 401
    assert answered.all("www-authenticate")[0].startswith(f'Bearer realm="{AUDIENCE}", error="invalid_token"')
    assert answered.all("cache-control") == ["no-store"]
    assert answered.all("content-type") == ["application/json"]
    assert answered.body == {
        "error": "invalid_token",
        "error_description": challenge.UNIFORM,
        "reason": "credential_unknown",
        "request_id": answered.all("x-request-id")[0],
        "docs": f"{issuer.url}/v1/docs#reason-credential_unknown",
    }


def test_the_request_id_names_the_true_reason_and_the_verifier(app: FastAPI) -> None:
    id_ = request_id.read(call(app, bearer(KEY[:-1])).body["request_id"])
    assert (id_.reason_code, id_.node) == (BY_NAME["credential_malformed"].code, 0)


def test_a_missing_scope_is_403_and_named(app: FastAPI) -> None:
    answered = call(app, bearer(KEY), method="POST")
    assert answered.status == 403
    (challenge_,) = answered.all("www-authenticate")
    assert 'error="insufficient_scope"' in challenge_
    assert challenge_.endswith('scope="invoices:read invoices:write"')
    assert answered.body["reason"] == "insufficient_scope"


def test_two_credentials_are_400(app: FastAPI) -> None:
    answered = call(app, [*bearer(KEY), (b"x-api-key", KEY.encode())])
    assert (answered.status, answered.body["error"]) == (400, "invalid_request")
    assert call(app, [*bearer(KEY), *bearer(KEY)]).status == 400


def test_what_is_not_the_callers_fault_is_503(app: FastAPI, issuer: Issuer) -> None:
    issuer.replies[INTROSPECTION] = Reply({"error": "invalid_client"}, 401)
    answered = call(app, bearer(KEY))
    assert (answered.status, answered.body["reason"]) == (503, "verifier_refused")
    assert answered.all("retry-after") == ["1"]
    assert answered.all("www-authenticate") == []


@pytest.mark.parametrize("kind", bad_tokens.bad())
def test_every_bad_token_is_401_invalid_token(app: FastAPI, issuer: Issuer, kind: str) -> None:
    assert call(app, bearer(token(iss=issuer.url))).status == 200
    asked = issuer.counts[INTROSPECTION]
    for name, text in bad_tokens.bad()[kind].items():
        answered = call(app, [(b"authorization", b"Bearer " + text.encode("utf-8", "surrogatepass"))])
        assert answered.status == 401, name
        assert 'error="invalid_token"' in answered.all("www-authenticate")[0], name
    assert issuer.counts[INTROSPECTION] == asked


def test_openapi_has_both_schemes_and_says_which_routes_need_one(app: FastAPI) -> None:
    document = app.openapi()
    assert document["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An access token or an API key"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    assert document["paths"]["/invoices"]["get"]["security"] == [{"bearer": []}, {"apiKey": []}]
    assert "security" not in document["paths"]["/open"]["get"]
    assert "parameters" not in document["paths"]["/invoices"]["get"]


def test_a_guard_may_stand_before_a_whole_application(verifier: Verifier) -> None:
    app = FastAPI(dependencies=[Guard(verifier)("invoices:read")])

    @app.get("/invoices")
    def invoices() -> str:
        return "yes"

    assert call(app, bearer(KEY)).body == "yes"
    assert call(app, []).status == 401


def test_two_guards_ask_once(verifier: Verifier, issuer: Issuer) -> None:
    guard = Guard(verifier)
    app = FastAPI(dependencies=[guard()])

    @app.get("/invoices")
    def invoices(caller: Annotated[Verified, guard("invoices:read")]) -> str | None:
        return caller.account

    assert call(app, bearer(KEY)).body == "acme"
    assert issuer.counts[INTROSPECTION] == 1


def test_a_dependency_may_build_on_a_guard(verifier: Verifier) -> None:
    guard = Guard(verifier)
    app = FastAPI()

    async def account(caller: Annotated[Verified, guard("invoices:read")]) -> AsyncIterator[str | None]:
        yield caller.account

    def of_account(account: Annotated[str, Depends(account)]) -> str:
        return account

    @app.get("/invoices")
    def invoices(account: Annotated[str, Depends(of_account)]) -> str:
        return account

    assert call(app, bearer(KEY)).body == "acme"
    assert call(app, []).status == 401


def test_an_application_may_answer_in_its_own_way(app: FastAPI) -> None:
    @app.exception_handler(Refused)
    def own(_: Request, refused: Refused) -> PlainTextResponse:
        return PlainTextResponse(json.dumps(refused.answer.body["reason"]), 418)

    answered = call(app, [])
    assert (answered.status, answered.body) == (418, "credential_missing")


def test_an_applications_answer_to_all_other_errors_is_left_alone(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    def own(_: Request, error: HTTPException) -> PlainTextResponse:
        return PlainTextResponse(json.dumps("own"), error.status_code)

    @app.get("/gone")
    def gone() -> None:
        raise HTTPException(410)

    assert call(app, []).body["reason"] == "credential_missing"
    assert call(app, [], "/gone").body == "own"


def test_a_scope_that_cannot_exist_is_noticed_when_the_route_is_made(verifier: Verifier) -> None:
    with pytest.raises(MalformedScope):
        Guard(verifier)("invoices:read\n")


def test_an_issuer_in_plain_http_beyond_loopback_is_refused() -> None:
    with pytest.raises(Misconfigured):
        Guard(Verifier("http://auth.example.com", audience=AUDIENCE, verifier_id="a", verifier_secret="b"))


class TestShell(Shell, WebSockets):
    @pytest.fixture
    def app(self, verifier_of: Callable[..., Verifier], issuer: Issuer) -> FastAPI:
        issuer.replies[INTROSPECTION] = Reply(ACTIVE)
        guard = Guard(verifier_of(), METADATA)
        app = FastAPI()

        def account(caller: Verified | None) -> dict[str, Any]:
            return {"account": None if caller is None else caller.account}

        @app.get("/invoices")
        def invoices(caller: Annotated[Verified, guard("invoices:read")]) -> dict[str, Any]:
            return account(caller)

        @app.post("/invoices")
        async def create(caller: Annotated[Verified, guard("invoices:read", "invoices:write")]) -> dict[str, Any]:
            return account(caller)

        @app.get("/me")
        def me(caller: Annotated[Verified, guard()]) -> dict[str, Any]:
            return account(caller)

        @app.get("/perhaps")
        def perhaps(caller: Annotated[Verified | None, guard(optional=True)]) -> dict[str, Any]:
            return account(caller)

        @app.get("/transfers")
        def transfers(caller: Annotated[Verified, guard("invoices:read", **STEP_UP)]) -> dict[str, Any]:
            return account(caller)

        @app.websocket("/feed")
        async def feed(websocket: WebSocket, caller: Annotated[Verified, guard("invoices:read")]) -> None:
            await websocket.accept()
            await websocket.send_text(caller.account or "")
            await websocket.close()

        app.add_route(guard.metadata_path, guard.metadata)  # type: ignore[arg-type]
        return app

    def call(self, app: Any, headers: Headers, path: str = "/invoices", method: str = "GET") -> Answered:
        return call(app, headers, path, method)

    def test_a_websocket_stays_refused_where_the_application_answers_other_errors_itself(self, app: FastAPI) -> None:
        @app.exception_handler(HTTPException)
        def own(_: Request, error: HTTPException) -> PlainTextResponse:
            return PlainTextResponse("own", error.status_code)

        assert knock(app, [])[0]["type"] == "websocket.close"
        assert knock_for_an_answer(app, []).body["reason"] == "credential_missing"


def test_the_readme_is_right_about_metadata_and_signing_in_again(readme: Callable[..., Any], issuer: Issuer) -> None:
    app = readme("Metadata, and signing in again")["app"]
    document = call(app, [], METADATA_PATH).body
    assert (document["resource"], document["authorization_servers"]) == (AUDIENCE, [issuer.url])
    issuer.replies[INTROSPECTION] = Reply({**ACTIVE, "scope": "transfers:write"})
    answered = call(app, bearer(KEY), "/transfers", "POST")
    assert answered.status == 401
    assert 'acr_values="mfa", max_age="300"' in answered.all("www-authenticate")[0]
    assert POINTER in answered.all("www-authenticate")[0]


def test_what_stands_in_the_document_alone_costs_no_request(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    async def solved(_: object) -> None:
        raise AssertionError("it answers nothing")

    monkeypatch.setattr(Documented, "__call__", solved)
    assert call(app, bearer(KEY)).status == 200
