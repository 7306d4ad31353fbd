"""Authentication for httpx2 and requests: each request to the api carries a token that is fetched, kept and renewed.

auth = ClientCredentials("https://api.example.com")
httpx2.Client(auth=auth)    httpx2.AsyncClient(auth=auth)    requests.Session().auth = auth

Authorization: Bearer ...           and once more with another token after 401 error="invalid_token" (RFC 6750 §3.1)
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from doorward_verify import configuration
from doorward_verify import scope as scopes
from doorward_verify.errors import Misconfigured, Unavailable
from doorward_verify.token_cache import Token, TokenRefused
from doorward_verify.token_source import PATIENCE, TokenSource

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

Request = TypeVar("Request", "httpx2.Request", "PreparedRequest")

KEPT = (httpx2.ByteStream, bytes, str, type(None))  # bodies that are still there after they were sent

__all__ = ["ClientCredentials", "Misconfigured", "TokenRefused", "Unavailable"]


class ClientCredentials(httpx2.Auth):
    """Tokens for the client itself, RFC 6749 §4.4, from the issuer and with the credentials of the environment.

    `api` is any URL of the api: the token goes to its origin alone, and a request to elsewhere raises Misconfigured.
    `resource` (RFC 8707) is needed where the client may call several apis. Without `scope` it gets all it was granted.
    A request raises TokenRefused or Unavailable where there is no token; a server that is away for a moment is waited
    for, `patience` seconds at most. One object serves any number of clients, threads and tasks.
    """

    def __init__(
        self,
        api: str,
        *,
        scope: str | None = None,
        resource: str | None = None,
        issuer: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        ca_file: str | None = None,
        patience: float = PATIENCE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origin = _origin(configuration.https("api", api))
        asked_for = {"scope": scope and scopes.text(scopes.parse(scope)), "resource": resource}
        self._tokens = TokenSource(
            configuration.https("issuer", configuration.issuer(issuer)),
            configuration.client(client_id, client_secret),
            {name: value for name, value in asked_for.items() if value},
            ca_file=configuration.ca_file(ca_file),
            monotonic=monotonic,
            patience=patience,
        )

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        self._refuse_elsewhere(str(request.url))
        token = self._tokens.known() or self._tokens.fetch()
        response = yield _signed(request, token)
        if _may_repeat(request.stream, token, response) and (another := self._tokens.fetch(token)) is not token:
            yield _signed(request, another)

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        self._refuse_elsewhere(str(request.url))
        token = self._tokens.known() or await self._tokens.afetch()
        response = yield _signed(request, token)
        if _may_repeat(request.stream, token, response) and (another := await self._tokens.afetch(token)) is not token:
            yield _signed(request, another)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """As requests calls its `auth`."""
        self._refuse_elsewhere(request.url or "")
        token = self._tokens.known() or self._tokens.fetch()
        request.register_hook("response", partial(self._repeat, token))
        return _signed(request, token)

    def _repeat(self, token: Token, response: Response, **options: Any) -> Response:
        """A hook; what it sends comes to no hook again."""
        request = response.request
        if not _may_repeat(request.body, token, response):
            return response
        _ = response.content  # its connection is free, and it can still be seen in the history
        response.close()
        if (another := self._tokens.fetch(token)) is token:
            return response
        # A redirect would copy the first request, and so must find the new token in it.
        repeated = response.connection.send(_signed(request, another).copy(), **options)
        repeated.history.append(response)
        return repeated

    def _refuse_elsewhere(self, url: str) -> None:
        if _origin(url) != self._origin:
            raise Misconfigured("the token is for {}://{}:{} alone: use another client".format(*self._origin))


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)


def _signed(request: Request, token: Token) -> Request:
    request.headers["Authorization"] = token.authorization
    return request


def _may_repeat(body: object, token: Token, response: httpx2.Response | Response) -> bool:
    """A stream cannot be sent again; and where a redirect led elsewhere, it was not our token that was refused."""
    carried = response.request.headers.get("Authorization", "")
    challenges = response.headers.get("WWW-Authenticate", "")
    return isinstance(body, KEPT) and token.is_refused(carried, response.status_code, challenges)
