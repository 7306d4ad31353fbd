"""Guard, a FastAPI dependency: the caller, or a refusal with its challenge.

@app.get("/invoices")
def invoices(caller: Annotated[Verified, guard("invoices:read")]): ...
"""

from __future__ import annotations

from typing import Any

from fastapi import Depends
from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response

from doorward_verify import challenge, credential
from doorward_verify import scope as scopes
from doorward_verify.errors import DoorwardError
from doorward_verify.verified import Verified
from doorward_verify.verifier import Verifier


class Refused(HTTPException):
    """Register a handler for it to answer otherwise."""

    def __init__(self, answer: challenge.Answer) -> None:
        super().__init__(answer.status, answer.body["error_description"], dict(answer.headers))
        self.answer = answer


async def refuse(_: object, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    response = JSONResponse(refused.answer.body, refused.answer.status)
    response.raw_headers += [
        (name.encode(), value.encode()) for name, value in refused.answer.headers if name != "content-type"
    ]
    return response


class _Documented(SecurityBase):
    """Stands in the OpenAPI document, so that /docs has its Authorize; the Guard itself reads the headers."""

    def __init__(self, scheme_name: str, model: Any) -> None:
        self.scheme_name = scheme_name
        self.model = model

    async def __call__(self) -> None:
        return None


BEARER = _Documented("bearer", HTTPBearer(description="An access token or an API key"))
API_KEY = _Documented("apiKey", APIKey.model_validate({"in": APIKeyIn.header, "name": "X-API-Key"}))


class Guard:
    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def __call__(self, *scope: str) -> Any:
        """A dependency that wants every named scope; without a name any credential that is good here will do."""
        needed = [name for text in scope for name in scopes.parse(text)]

        async def caller(
            connection: HTTPConnection, _bearer: None = Depends(BEARER), _api_key: None = Depends(API_KEY)
        ) -> Verified:
            try:
                found = await self._verifier.acheck(credential.from_headers(connection.scope["headers"]))
                found.require(*needed)
                return found
            except DoorwardError as error:
                # Without a place to install it, the handler goes where this request looks handlers up.
                handlers = connection.scope.get("starlette.exception_handlers", ({}, {}))[0]
                handlers.setdefault(Refused, refuse)
                raise Refused(self._verifier.answer(error)) from None

        return Depends(caller)
