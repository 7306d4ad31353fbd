"""The admin API at /v1: every change is a row of `app.ROUTES`, every list and look one of `app.RESOURCES`.

FastAPI validates bodies and writes the OpenAPI document; who asks is settled before a body is read.
"""

from __future__ import annotations

import hashlib
import hmac
import inspect
import json
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from doorward.app import RESOURCES, ROUTES, Route, administered
from doorward.exchange import run
from doorward.protocol import administration
from doorward.protocol.admin import Asked, Caller, Nothing
from doorward.protocol.administration import Answered, Presented
from doorward.protocol.explanation import ExplanationObject
from doorward.protocol.gateway_routes import MatchObject
from doorward.protocol.refusal import InvalidRequest, MethodNotAllowed, NotFound, Refusal
from doorward.protocol.usage_report import UsageObject
from doorward.sign import seal, unseal_with
from doorward.store import idempotency
from doorward.web import (
    audit,
    explanations,
    gateway_routes,
    key_checks,
    key_limits,
    lists,
    slow_keys,
    usage_reports,
)
from doorward.web.admission import admit
from doorward.web.incoming import Incoming
from doorward.web.openapi import ERRORS, describe
from doorward.web.refused import REFUSED, as_refusal, refuse, unfit
from doorward.web.replies import JSON, NO_STORE, Reply, compact
from doorward.web.responses import rendered, respond
from doorward.web.runtime import REPLIES, Runtime

IDEMPOTENCY_KEY_LIMIT = 255
INCOMING = "doorward.incoming"


def application(runtime: Runtime, local: Caller | None = None) -> FastAPI:
    """`local` is the caller on the own data directory; without it every request needs an admin key."""
    api = FastAPI(title="Doorward", docs_url=None, redoc_url=None, openapi_url=None)
    api.router.route_class = AdminRoute
    api.state.runtime, api.state.local = runtime, local
    for route in ROUTES:
        _add(api, route.method, route.path, _change(route), route.scope, route.reply, route.status)
    for resource in RESOURCES:
        _add(api, "GET", resource.path, lists.page(resource), resource.scope, lists.page_model(resource))
        _add(api, "GET", resource.path + "/{id}", lists.one(resource), resource.scope, resource.reply)
    _add(api, "GET", key_limits.PATH, key_limits.show, "keys:read", key_limits.KeyLimitsObject)
    for path, look in usage_reports.LOOKS.items():
        _add(api, "GET", path, look.endpoint, look.scope, UsageObject)
    _add(api, "GET", "/audit", audit.page, "audit:read", audit.AuditPage)
    _add(api, "GET", "/requests/{id}", explanations.show, "requests:read", ExplanationObject)
    _add(api, "GET", "/gateway-routes", gateway_routes.page, "apis:read", gateway_routes.GatewayRoutesPage)
    _add(api, "GET", "/gateway-routes/match", gateway_routes.match, "apis:read", MatchObject)
    describe(api)
    for kind, answer in _FAILURES.items():
        api.add_exception_handler(kind, answer)
    return api


def _add(
    api: FastAPI,
    method: str,
    path: str,
    endpoint: Callable[..., Any],
    scope: str,
    reply: Any,
    status: int = 200,
) -> None:
    extra = {"security": [{"admin_key": [scope]}], "x-scope": scope}
    # An api is named by its URI too, slashes and all.
    path = path.replace("/apis/{id}", "/apis/{id:path}")
    api.add_api_route(
        path, endpoint, methods=[method], status_code=status, response_model=reply, openapi_extra=extra,
        name=endpoint.__name__, responses=ERRORS,
    )  # fmt: skip
    if method == "GET":
        api.add_api_route(path, endpoint, methods=["HEAD"], openapi_extra=extra, include_in_schema=False)


class AdminRequest(Request):
    """A request whose caller was admitted, and whose body was read strictly, before FastAPI looks at it."""

    incoming: Incoming
    who: Presented | Caller
    parsed: Any = None
    validated: Any = None

    async def json(self) -> Any:
        return self.validated


class AdminRoute(APIRoute):
    """Admits the caller, then reads the body; both refuse in their own words."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()
        scope = (self.openapi_extra or {})["x-scope"]
        kind: Any = self.body_field and self.body_field.field_info.annotation
        body = TypeAdapter[Any](kind) if kind else None

        async def answer(request: Request) -> Response:
            admin = AdminRequest(request.scope, request.receive)
            admin.incoming = _incoming(request)
            admin.who = await admit(admin.incoming, request.app.state.local, scope)
            if body is not None:
                admin.parsed = await admin.incoming.json()
                # From JSON, since pydantic is strict about members only there: "5" is no number, 1 is no truth.
                admin.validated = body.validate_json(compact(admin.parsed), strict=True)
                admin._body = b"{}"
            return await inner(admin)

        return answer


def _incoming(request: Request) -> Incoming:
    """One for a request, made by whoever needs it first, kept in the scope that all its layers share."""
    known = request.scope.get(INCOMING)
    if known is None:
        runtime = request.app.state.runtime
        known = request.scope[INCOMING] = Incoming(request.scope, request._receive, runtime)
    return known


def _change(route: Route) -> Callable[..., Coroutine[Any, Any, Response]]:
    exchange = administered(route)

    async def change(request: AdminRequest, body: Any = None, id: str = "") -> Response:  # noqa: A002  the path's own name
        incoming = request.incoming
        asked = Asked(Nothing() if body is None else body, id=id, if_match=_if_match(incoming))
        call = _call(request, asked, route)
        runtime = incoming.runtime

        def render(reply: Any) -> Reply:
            if isinstance(reply, Answered):
                return _opened(runtime, call.idempotency_key, reply)
            return reply if route.path in key_checks.RENDER else rendered(reply, route.status)

        def also(answer: Reply) -> Callable[[Connection], None] | None:
            if not call.idempotency_key or (b"idempotent-replay", b"true") in answer.headers:
                return None
            return _keeping(runtime, call, answer)

        reply: Any = await slow_keys.answered(
            incoming, slow_keys.checked(asked.body),
            lambda: run(exchange, call, runtime.store, render, incoming.context, also),
        )  # fmt: skip
        if route.path in key_checks.RENDER:
            reply = await key_checks.RENDER[route.path](runtime, reply)
        return respond(reply, incoming)

    change.__name__ = _name(route)
    change.__signature__ = _signature(route)  # type: ignore[attr-defined]
    return change


def _signature(route: Route) -> inspect.Signature:
    """What FastAPI reads: the body's type from the table, and `id` where the path has it."""
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("request", kind, annotation=Request)]
    if route.body is not Nothing:
        parameters.append(inspect.Parameter("body", kind, annotation=route.body))
    if "{id}" in route.path:
        parameters.append(inspect.Parameter("id", kind, annotation=str))
    return inspect.Signature(parameters)


def _name(route: Route) -> str:
    words = [word for word in route.path.split("/") if word and "{" not in word]
    verbs = {"POST": "create", "PATCH": "update", "DELETE": "delete"}
    if len(words) > 1:
        return f"{words[1]}_{words[0]}".replace("-", "_")
    return f"{verbs[route.method]}_{words[0]}".replace("-", "_")


def _if_match(incoming: Incoming) -> str | None:
    value = incoming.one(b"if-match")
    return None if value is None else value.decode("latin-1")


def _call(request: AdminRequest, asked: Asked[Any], route: Route) -> administration.Request[Any]:
    """Only creations are kept under an idempotency key; every other change may be repeated as it is."""
    given = request.incoming.one(b"idempotency-key")
    if given is None or route.status != 201:
        return administration.Request(request.who, asked)
    if not 1 <= len(given) <= IDEMPOTENCY_KEY_LIMIT or not all(0x20 < byte < 0x7F for byte in given):
        raise InvalidRequest("the idempotency key must be 1 to 255 printable ascii characters")
    content = json.dumps([route.path, request.parsed], sort_keys=True).encode()
    bound = f"{request.incoming.actor}\x00".encode() + given
    return administration.Request(
        request.who, asked, hashlib.sha256(content).hexdigest(), hashlib.sha256(bound).hexdigest()
    )


def _reply_keys(runtime: Runtime, idempotency_key: str) -> list[bytes]:
    return [hmac.digest(key, idempotency_key.encode(), "sha256") for key in runtime.keyring.keys(REPLIES)]


def _keeping(runtime: Runtime, call: administration.Request[Any], answer: Reply) -> Callable[[Connection], None]:
    key, now = call.idempotency_key, int(time.time())
    box = seal(_reply_keys(runtime, key)[0], answer.body, key.encode())
    answered = Answered(call.digest, box, now + idempotency.LIFETIME)
    return lambda connection: idempotency.keep(connection, key, answered, now)


def _opened(runtime: Runtime, key: str, answered: Answered) -> Reply:
    body = unseal_with(_reply_keys(runtime, key), answered.reply, key.encode())
    return Reply(201, body, [JSON, NO_STORE, (b"idempotent-replay", b"true")])


async def _refuse(request: Request, fault: Exception) -> Response:
    incoming = _incoming(request)
    if isinstance(fault, HTTPException) and fault.status_code == 405:
        fault = MethodNotAllowed("the method is not allowed here", fields=(("allow", _allowed(request)),))
    return respond(refuse(_FASTAPI.get(type(fault), as_refusal)(fault), incoming), incoming)


def _allowed(request: Request) -> str:
    """Every method of the path: the router stops at the first route of it, and names only that one's."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(dict.fromkeys(method for route in routes for method in sorted(route.methods)))


def _unserved(fault: Any) -> Refusal:
    if fault.status_code == 404:
        return NotFound("nothing answers at this path", reason="path_unknown")
    return InvalidRequest("the request could not be read", detail=str(fault.status_code))


_FASTAPI: dict[type[Exception], Callable[[Any], Refusal]] = {
    RequestValidationError: partial(unfit, skipped=1),
    HTTPException: _unserved,
}
# A fault of ours is answered here like any refusal, and logged by the outermost layer, to which FastAPI hands it on.
_FAILURES: dict[Any, Any] = dict.fromkeys((*REFUSED, *_FASTAPI, Exception), _refuse)
