"""Guard, a FastAPI dependency of routes and WebSockets: the caller, or a refusal with its challenge.

@app.get("/invoices")
def invoices(caller: Annotated[Verified, guard("invoices:read")]): ...
"""

from __future__ import annotations

from typing import Any, Unpack

from fastapi import Depends
from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response

from doorward_verify import asgi, asgi_request, credential, fastapi_routes
from doorward_verify.challenge import Answer
from doorward_verify.fastapi_routes import Documented
from doorward_verify.needs import Needs, Wanted
from doorward_verify.verified import Verified

fastapi_routes.watch()


class Refused(HTTPException):
    """Register a handler for it to answer otherwise."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status, answer.body["error_description"], dict(answer.headers))
        self.answer = answer


async def refuse(_: object, refused: Exception) -> Any:
    assert isinstance(refused, Refused)
    return asgi.Reply(refused.answer)


# The Guard itself reads the headers: /docs has its Authorize by these.
BEARER = Documented("bearer", HTTPBearer(description="An access token or an API key"))
API_KEY = Documented("apiKey", APIKey.model_validate({"in": APIKeyIn.header, "name": "X-API-Key"}))


class Guard(asgi.Guard):
    def __call__(self, *scope: str, **wanted: Unpack[Wanted]) -> Any:
        """A dependency that wants every named scope; without a name any credential that is good here will do."""
        needs = Needs.of(*scope, **wanted)

        async def caller(
            connection: HTTPConnection, response: Response,
            _bearer: None = Depends(BEARER), _api_key: None = Depends(API_KEY),
        ) -> Verified | None:  # fmt: skip
            scope = connection.scope
            keys = await asgi_request.keys_in(connection) if self.reads_body else ()
            address, query = asgi_request.address(scope), scope["query_string"]
            found = await self.acheck(scope["headers"], needs, address, query, keys, scope)
            if not isinstance(found, Answer):
                if query and credential.in_query(query):
                    response.headers.update(credential.OF_EXPOSED)
                return found
            # Without a place to install it, the handler goes where this request looks handlers up.
            handlers = scope.get("starlette.exception_handlers", ({}, {}))[0]
            handlers.setdefault(Refused, refuse)
            raise Refused(found)

        return Depends(caller)
