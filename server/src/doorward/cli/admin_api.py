"""The one way to /v1: over HTTPS with an admin key, or the same application in this process on a data directory.

Creations carry a fresh Idempotency-Key, and everything else may be repeated as it is. So whoever is away for a moment
is asked again: after 502, 503 and 504, and when the connection was cut before an answer came.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from doorward.cli import target
from doorward.cli.failure import FAILED, USAGE, Failure, Refused
from doorward.cli.patience import ATTEMPTS, AWAY, pause
from doorward.cli.target import Local, Remote

if TYPE_CHECKING:
    import httpx2
    import typer

    from doorward.data_directory import DataDirectory
    from doorward.settings import Settings

PAGE_LIMIT = 200
TIMEOUT = 30.0

Object = dict[str, Any]
Answer = TypeVar("Answer")


class AdminApi:
    """`address` is where the server answers; `ca_file` is what its callers must trust."""

    def __init__(
        self, http: httpx2.AsyncClient, address: str, ca_file: Path | None = None, issuer: str | None = None
    ) -> None:
        self._http = http
        self.address = address
        self.ca_file = ca_file
        self._issuer = issuer

    async def issuer(self) -> str:
        """The name in the tokens: over a tunnel the address is another, so the server is asked."""
        if self._issuer is None:
            found = await self._http.get("/.well-known/oauth-authorization-server")
            self._issuer = str(_read(found)["issuer"])
        return self._issuer

    async def get(self, path: str, **query: str | int | None) -> Object:
        given = {name: str(value) for name, value in query.items() if value is not None}
        return await self._ask("GET", path, params=given)

    async def create(self, path: str, body: Object) -> Object:
        return await self._ask("POST", path, json=body, headers={"idempotency-key": secrets.token_hex(16)})

    async def post(self, path: str, body: Object | None = None) -> Object:
        return await self._ask("POST", path, json=body)

    async def patch(self, path: str, body: Object, version: int | None = None) -> Object:
        headers = {} if version is None else {"if-match": f'"{version}"'}
        return await self._ask("PATCH", path, json=body, headers=headers)

    async def delete(self, path: str) -> None:
        await self._ask("DELETE", path)

    async def every(self, path: str, limit: int, **query: str | int | None) -> tuple[list[Object], bool]:
        """At most `limit` entries of a list, page after page, and whether there are more."""
        items: list[Object] = []
        cursor: str | None = None
        while True:
            page = await self.get(path, limit=min(limit - len(items), PAGE_LIMIT), cursor=cursor, **query)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None or len(items) >= limit:
                return items, cursor is not None

    async def _ask(self, method: str, path: str, **request: Any) -> Object:
        import asyncio

        import httpx2

        was_lost = False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = await self._http.request(method, f"/v1{path}", **request)
            except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
                if attempt == ATTEMPTS:
                    raise
                seconds = pause(attempt, self._http.base_url.host)
            else:
                if answer.status_code not in AWAY or attempt == ATTEMPTS:
                    break
                seconds = pause(attempt, self._http.base_url.host, answer.headers.get("retry-after"))
            was_lost = True
            await asyncio.sleep(seconds)
        # It went when nobody could say so any more.
        is_gone = method == "DELETE" and was_lost and answer.status_code == 404
        return {} if is_gone else _read(answer)


def _read(answer: httpx2.Response) -> Object:
    if answer.status_code == 204:
        return {}
    try:
        value = answer.json()
    except ValueError:
        value = None
    if isinstance(value, dict) and answer.is_success:
        return value
    if isinstance(value, dict) and "status" in value:
        raise Refused(answer.status_code, value)
    raise Failure(f"{answer.url.host} answered {answer.status_code}, and not as a Doorward server would")


def segment(id_: str) -> str:
    """An id as one segment of a path; an api's URI is one too."""
    if id_ in ("", ".", ".."):
        raise Failure(f"{id_!r} is no id", exit_code=USAGE)
    return quote(id_, safe="")


@asynccontextmanager
async def connect(chosen: Local | Remote, *, making: bool = False) -> AsyncIterator[AdminApi]:
    """`making`: a data directory that is not there yet is made."""
    if isinstance(chosen, Remote):
        async with _remote(chosen) as api:
            yield api
    else:
        with refusals_told():
            settings, data = open_data_directory(chosen, making=making)
            async with _in_process(settings, data) as api:
                yield api


@contextmanager
def refusals_told() -> Iterator[None]:
    """Settings that cannot be used are told as any other failure is."""
    from doorward.settings import StartRefused
    from doorward.store.writer import Unavailable

    try:
        yield
    except Unavailable as problem:
        raise Failure(f"the database cannot be used ({problem})") from None
    except StartRefused as refused:
        first = refused.refusals[0]
        raise Failure(first.sentence, *first.ways_out, exit_code=USAGE) from None


def open_data_directory(chosen: Local, *, making: bool = False) -> tuple[Settings, DataDirectory]:
    from doorward.cli.output import note
    from doorward.data_directory import DataDirectory

    settings = local_settings(chosen)
    if not making and not settings.data_dir.is_dir():
        raise Failure(
            f"there is no data directory {settings.data_dir}",
            "start a server on it, which makes it: doorward serve",
            "name another with --data-dir",
        )
    data = DataDirectory.open(settings)
    if data.created:
        note(f"Made the data directory {settings.data_dir}: keys and database, private to this user.")
    return settings, data


def local_settings(chosen: Local) -> Settings:
    from doorward.settings import load

    return load({"data_dir": chosen.data_dir}, chosen.config, remembered=True)


@asynccontextmanager
async def _in_process(settings: Settings, data: DataDirectory) -> AsyncIterator[AdminApi]:
    import httpx2

    from doorward.web.application import local

    parts = urlsplit(settings.issuer)
    async with local(settings, data) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=f"{parts.scheme}://{parts.netloc}") as http:
            yield AdminApi(http, settings.issuer, data.ca_file, settings.issuer)


@asynccontextmanager
async def _remote(chosen: Remote) -> AsyncIterator[AdminApi]:
    import ssl

    import httpx2

    try:
        context = ssl.create_default_context(cafile=str(chosen.ca_file) if chosen.ca_file else None)
    except OSError:
        raise Failure(f"the CA file {chosen.ca_file} holds no certificate", exit_code=USAGE) from None
    headers = {"authorization": f"Bearer {chosen.admin_key}"}
    # A proxy of the environment is for TLS only: over plain HTTP it would see the key.
    tls = chosen.url.startswith("https://")
    client = httpx2.AsyncClient(base_url=chosen.url, headers=headers, verify=context, timeout=TIMEOUT, trust_env=tls)
    try:
        async with client as http:
            yield AdminApi(http, chosen.url, chosen.ca_file)
    except httpx2.TransportError as error:
        raise _unreachable(chosen.url, error) from None


def _unreachable(url: str, error: Exception) -> Failure:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Failure(
            f"the certificate of {url} is signed by nobody this machine trusts",
            "name its CA: DOORWARD_CA_FILE=.../ca.pem (it lies in the server's data directory)",
            "check that the address is the right one",
            exit_code=FAILED,
        )
    why = "it took too long" if "Timeout" in type(error).__name__ else str(error) or type(error).__name__
    return Failure(f"{url} cannot be reached: {why.lower()}", exit_code=FAILED)


def choose(context: typer.Context, *, start_here: bool = False) -> Local | Remote:
    return target.choose(_flags(context), os.environ, start_here=start_here)


def _flags(context: typer.Context) -> Mapping[str, Any]:
    return context.find_root().params


def run(
    context: typer.Context,
    conversation: Callable[[AdminApi], Awaitable[Answer]],
    *,
    making: bool = False,
    start_here: bool = False,
) -> Answer:
    """One conversation with the API that the global options choose."""
    # Half of the time that `--version` may take.
    import asyncio

    chosen = choose(context, start_here=start_here)

    async def hold() -> Answer:
        async with connect(chosen, making=making) as api:
            return await conversation(api)

    return asyncio.run(hold())
