"""The only HTTP out: https alone, to addresses that were looked at, without redirects and proxies (T133, decision 19c).

Whoever names a host does not choose where we connect to: each of its addresses is looked at, and the connection goes
to one of these, under the name that was asked for. A name that resolves to something else a moment later is no way in.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from ipaddress import ip_address, ip_network
from pathlib import Path
from socket import SOCK_STREAM, getaddrinfo
from typing import Any
from urllib.parse import urlencode

import httpcore2

from doorward import deadline
from doorward.protocol import redirect_uri
from doorward.protocol.special_use import may_be_called

# For all of it: to resolve, to connect, to send, and to read to the end.
TIMEOUT = 5.0
LIMIT = 256 * 1024
ADDRESS_LIMIT = 8
LOOPBACK = ("127.0.0.0/8", "::1/128")
FORM = "application/x-www-form-urlencoded"
# An answer that unfolds could be larger than any limit of what is sent.
HEADERS = {"accept-encoding": "identity", "user-agent": "doorward", "connection": "close"}

Resolve = Callable[[str, int], Awaitable[list[str]]]


class FetchFailed(Exception):  # noqa: N818  the caller's way to try again, or not
    """`why` is one word for a journal; nothing of what the other side said is in it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Fetch:
    """`networks` may be called although they are of special use; `ca_file` is trusted beside the system's.

    `on_loopback` is for what the settings themselves name on this machine: it may be called, and without TLS.
    """

    def __init__(
        self, networks: Iterable[str] = (), ca_file: Path | None = None, resolve: Resolve | None = None,
        on_loopback: bool = False,
    ) -> None:  # fmt: skip
        self._networks = tuple(map(ip_network, (*networks, *(LOOPBACK if on_loopback else ()))))
        self._on_loopback = on_loopback
        self._ca_file = ca_file
        self._resolve = resolve or self._resolved

    async def get(
        self, url: str, accept: str = "application/json", limit: int = LIMIT, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Raises FetchFailed, also when what came is of none of the types of `accept`."""
        answer = await self._ask("GET", url, {"accept": accept, **(headers or {})}, b"", limit)
        if answer.status == 200 and answer.content_type not in accept.split(", "):
            raise FetchFailed("wrong_type")
        return answer

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        """Whatever the status is. Raises FetchFailed."""
        return await self.hand_over(url, urlencode(form).encode(), {"content-type": FORM, **(headers or {})})

    async def hand_over(self, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """A body of any type, which the headers name. Raises FetchFailed."""
        return await self._ask("POST", url, headers, content, LIMIT)

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], content: bytes, limit: int) -> Answer:
        is_allowed = url.startswith("https://") or (self._on_loopback and redirect_uri.is_loopback(url))
        if not is_allowed or not redirect_uri.is_registrable(url):
            raise FetchFailed("url_refused")
        try:
            with deadline.not_counted():
                async with asyncio.timeout(TIMEOUT):
                    return await self._exchange(method, url, {**HEADERS, **headers}, content, limit)
        except TimeoutError:
            raise FetchFailed("too_slow") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError):
            raise FetchFailed("unreachable") from None

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str], content: bytes, limit: int) -> Answer:
        """On a connection of its own: what one name led to is looked at anew for the next."""
        door = httpcore2.AsyncConnectionPool(
            ssl_context=self._tls, network_backend=_Vetted(self._vetted), max_keepalive_connections=0
        )
        async with door, door.stream(method, url, headers=[*headers.items()], content=content) as response:
            named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            if named.get("content-encoding", "identity") != "identity":
                raise FetchFailed("wrong_type")
            body = bytearray()
            async for chunk in response.aiter_stream():
                body += chunk
                if len(body) > limit:
                    raise FetchFailed("too_long")
            return Answer(response.status, named, bytes(body))

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._ca_file is not None:
            context.load_verify_locations(self._ca_file)
        return context

    @cached_property
    def _resolvers(self) -> ThreadPoolExecutor:
        """Of its own: a name server that never answers holds up other names, and nothing else."""
        return ThreadPoolExecutor(4, thread_name_prefix="resolver")

    async def _resolved(self, host: str, port: int) -> list[str]:
        ask = partial(getaddrinfo, host, port, type=SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._resolvers, ask)
        return [str(place[4][0]) for place in found]

    async def _vetted(self, host: str, port: int) -> list[str]:
        """Every address of the host, or none: with one that is refused among them, no other is trusted either."""
        found = list(dict.fromkeys(await self._resolve(host.strip("[]"), port)))
        if not found:
            raise FetchFailed("unreachable")
        if not all(self._may_be_called(address) for address in found):
            raise FetchFailed("address_refused")
        return found[:ADDRESS_LIMIT]

    def _may_be_called(self, text: str) -> bool:
        try:
            return may_be_called(ip_address(text), self._networks)
        except ValueError:
            return False


class _Vetted(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were vetted. TLS and Host keep the name, which the caller's library knows."""

    def __init__(self, vetted: Resolve) -> None:
        self._vetted = vetted
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *more: Any, **options: Any) -> httpcore2.AsyncNetworkStream:
        addresses = await self._vetted(host, port)
        # One that never answers leaves time for the others.
        patience = {"timeout": TIMEOUT / len(addresses)}
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, *more, **options | patience)
            except (httpcore2.NetworkError, httpcore2.TimeoutException):
                continue
        return await self._inner.connect_tcp(addresses[-1], port, *more, **options)
