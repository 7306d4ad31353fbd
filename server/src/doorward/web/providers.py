"""OpenID providers as this server asks them: metadata, keys, tokens and userinfo, through the guarded way out.

GET  {issuer}/.well-known/openid-configuration       kept for an hour, and for a day while it cannot be read anew
GET  jwks_uri                                        the same; an unknown `kid` has it read again, once in 30 s
POST token_endpoint, GET userinfo_endpoint           for each sign-in
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, quote_plus, urlsplit

from authlib.oauth2.client import OAuth2Client

from doorward.fetch import Answer, Fetch, FetchFailed
from doorward.protocol import upstream_answer, upstream_metadata
from doorward.protocol.refusal import TemporarilyUnavailable
from doorward.protocol.upstream import Upstream
from doorward.protocol.upstream_answer import failed
from doorward.protocol.upstream_metadata import Metadata
from doorward.protocol.upstream_sign_in import Departure, Expected, UpstreamFailed, callback
from doorward.settings import Settings, is_loopback
from doorward.upstream_settings import upstreams
from doorward_verify import jwt, strict_json
from doorward_verify.errors import KeyUnknown

LIFETIME, STALE = 3_600.0, 86_400.0
AGAIN, RETRY = 30.0, 5.0
# How many may be asked for at once: a provider that hangs holds up no more.
AT_ONCE = 20
JSON = "application/json"
KEYS = "application/json, application/jwk-set+json"
Value = TypeVar("Value")


class UpstreamUnreachable(TemporarilyUnavailable):
    """It did not answer in time, or not as one that is well."""

    default_reason = "upstream_unreachable"


class Kept(Generic[Value]):
    """A document, read anew when it is old, by one at a time; the old one stays while that fails (T073, T074)."""

    def __init__(self, read: Callable[[], Awaitable[Value]], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._lock = asyncio.Lock()
        self._value: Value | None = None
        self._read_at = self._failed_at = float("-inf")
        self._problem: Exception | None = None

    async def get(self) -> Value:
        return await self._younger_than(LIFETIME)

    async def again(self) -> Value:
        """For whoever misses something in it."""
        return await self._younger_than(AGAIN)

    async def _younger_than(self, age: float) -> Value:
        async with self._lock:
            now = self._clock()
            if (self._value is None or now - self._read_at >= age) and now - self._failed_at >= RETRY:
                await self._try(now)
            if self._value is not None and now - self._read_at < STALE:
                return self._value
            assert self._problem is not None, "it was tried"
            raise self._problem

    async def _try(self, now: float) -> None:
        try:
            self._value, self._read_at = await self._read(), now
        except (UpstreamUnreachable, UpstreamFailed) as problem:
            self._failed_at, self._problem = now, problem


class TokenClient(OAuth2Client):  # type: ignore[misc]  # Authlib has no types
    """Authlib's client, whose one request goes through the guarded way out."""

    def __init__(self, provider: Provider, metadata: Metadata) -> None:
        upstream, secret = provider.upstream, provider.secret
        super().__init__(
            None, upstream.client_id, secret, metadata.auth_method if secret else "none", scope=provider.scope,
            redirect_uri=provider.redirect_uri, code_challenge_method="S256",
        )  # fmt: skip
        self._post = provider.fetch.post
        self.register_client_auth_method(("client_secret_basic", _basic))

    async def _fetch_token(self, url: str, body: str, auth: Any, method: str, headers: Mapping[str, str]) -> Answer:
        url, sent, body = auth.prepare(method, url, dict(headers), body)
        del sent["Content-Type"]
        return await self._post(url, dict(parse_qsl(body, keep_blank_values=True)), sent)


def _basic(client: Any, method: str, uri: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:  # noqa: ARG001
    """RFC 6749 §2.3.1 has both encoded before they are joined, which Authlib leaves out."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return uri, headers, body


@dataclass(slots=True)
class Provider:
    """One of the settings; lives on the worker's loop."""

    upstream: Upstream
    scope: str
    redirect_uri: str
    fetch: Fetch
    secret: str | None = field(default=None, repr=False)
    _metadata: Kept[Metadata] = field(init=False, repr=False)
    _keys: Kept[jwt.Keys] = field(init=False, repr=False)
    _places: asyncio.Semaphore = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._metadata, self._keys = Kept(self._read_metadata), Kept(self._read_keys)
        self._places = asyncio.Semaphore(AT_ONCE)

    async def metadata(self) -> Metadata:
        return await self._metadata.get()

    def address(self, metadata: Metadata, departure: Departure) -> str:
        """Where the browser goes, RFC 6749 §4.1.1 and RFC 7636 §4.3."""
        asked = {
            "nonce": departure.nonce, "prompt": departure.prompt, "login_hint": departure.login_hint,
            "max_age": departure.max_age, "ui_locales": departure.ui_locales,
        }  # fmt: skip
        given = {name: str(value) for name, value in asked.items() if value is not None}
        client = TokenClient(self, metadata)
        endpoint, verifier = metadata.authorization_endpoint, departure.verifier
        url, _ = client.create_authorization_url(endpoint, departure.state, verifier, **given)
        return str(url)

    async def claims(self, code: str, expected: Expected, now: Callable[[], int]) -> Mapping[str, Any]:
        """What it says of who signed in there: the ID token's claims, with those of userinfo where it has one."""
        if self._places.locked():
            raise UpstreamUnreachable("too many wait for the other sign-in")
        async with self._places:
            metadata = await self.metadata()
            tokens = await self._tokens(code, expected, metadata)
            claims = await self._checked(tokens, expected, metadata, now)
            if metadata.userinfo_endpoint is None or "access_token" not in tokens:
                return claims
            found = await self._userinfo(metadata.userinfo_endpoint, tokens["access_token"])
            return upstream_answer.with_userinfo(claims, found, self.upstream)

    async def _tokens(self, code: str, expected: Expected, metadata: Metadata) -> Mapping[str, Any]:
        client = TokenClient(self, metadata)
        with _asking():
            answer = await client.fetch_token(
                metadata.token_endpoint, grant_type="authorization_code", code=code, code_verifier=expected.verifier
            )
        if answer.status != 200:
            raise _refused(answer, "the token endpoint")
        return _object(answer)

    async def _checked(
        self, tokens: Mapping[str, Any], expected: Expected, metadata: Metadata, now: Callable[[], int]
    ) -> Mapping[str, Any]:
        text, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(text, str) or not isinstance(access_token, str | None):
            failed("there is no id token")
        check = partial(
            upstream_answer.id_token, text, algorithms=metadata.algorithms, expected=expected,
            access_token=access_token, now=now(),
        )  # fmt: skip
        try:
            return check(await self._keys.get())
        except KeyUnknown:
            return _of_known_key(check, await self._keys.again())

    async def _userinfo(self, url: str, access_token: str) -> Mapping[str, Any]:
        answer = await self._get(url, JSON, {"authorization": f"Bearer {access_token}"})
        return _object(answer)

    async def _read_metadata(self) -> Metadata:
        answer = await self._get(upstream_metadata.address(self.upstream))
        return upstream_metadata.parse(self.upstream, _object(answer))

    async def _read_keys(self) -> jwt.Keys:
        metadata = await self.metadata()
        return _keys(_object(await self._get(metadata.jwks_uri, KEYS)))

    async def _get(self, url: str, accept: str = JSON, headers: Mapping[str, str] | None = None) -> Answer:
        with _asking():
            answer = await self.fetch.get(url, accept, headers=headers)
        if answer.status != 200:
            raise _refused(answer, "the provider")
        return answer


@contextmanager
def _asking() -> Iterator[None]:
    """What the way out says becomes what is said here."""
    try:
        yield
    except FetchFailed as problem:
        raise UpstreamUnreachable("the other sign-in does not answer", detail=problem.why) from None


def configured(settings: Settings) -> Mapping[str, Provider]:
    """Those of the settings. Only where the settings name this machine it is called, and without TLS if they say so."""
    found: dict[str, Provider] = {}
    for name, upstream in upstreams(settings.upstream).items():
        if upstream.page is None:
            on_loopback = is_loopback(urlsplit(upstream.issuer).hostname or "")
            fetch = Fetch(settings.outbound_networks, settings.outbound_ca_file, on_loopback=on_loopback)
            given = settings.upstream[name]
            address = callback(settings.issuer, name)
            found[name] = Provider(upstream, " ".join(given.scopes), address, fetch, given.secret)
    return found


def _refused(answer: Answer, who: str) -> UpstreamUnreachable | UpstreamFailed:
    """Of what it says nothing is repeated: it may quote what it was sent."""
    detail = f"{who} answered {answer.status}"
    if answer.status >= 500 or answer.status == 429:
        return UpstreamUnreachable("the other sign-in does not answer", detail=detail)
    return UpstreamFailed("the other sign-in gave an answer that cannot be trusted", detail=detail)


def _of_known_key(check: Callable[[jwt.Keys], Mapping[str, Any]], keys: jwt.Keys) -> Mapping[str, Any]:
    try:
        return check(keys)
    except KeyUnknown:
        failed("the id token is signed by an unknown key")


def _object(answer: Answer) -> Mapping[str, Any]:
    try:
        return strict_json.parse(answer.body)
    except ValueError:
        failed("the answer is no json object")


def _keys(document: Mapping[str, Any]) -> jwt.Keys:
    """A provider with one key need not name it (OpenID Connect Core §10.1)."""
    keys, members = jwt.keys_from_jwks(document), document.get("keys")
    if not keys and isinstance(members, list) and len(members) == 1 and isinstance(members[0], dict):
        only = jwt.key_from_jwk(members[0])
        return {} if only is None else {"": only}
    return keys
