"""How a test gets a running Doorward: in this process through ASGI, or as the real `doorward serve` over TLS.

with deployed(directory) as doorward:   no socket, quick, many tests may share one
with served(directory) as doorward:     a process of its own, gone with the test
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import itertools
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2

STARTED_WITHIN = 60.0
STOPPED_WITHIN = 15.0
API = "https://api.example.com"
SCOPES = {"invoices:read": "Read your invoices", "invoices:write": "Create and change invoices"}

INSTALLED = str(Path(sys.executable).with_name("doorward"))

FORM = {"content-type": "application/x-www-form-urlencoded"}

Response = httpx2.Response
Json = dict[str, Any]

# With `--engine postgresql`: where a deployment lies whose test does not say it, by its directory.
database_for: Callable[[Path], str] | None = None


def command(*words: object) -> list[str]:
    """The installed `doorward`, as it is typed; on many nodes what stands in for it (`faults/stand_in.py`)."""
    stand_in = Path(__file__).with_name("faults") / "stand_in.py"
    program = [sys.executable, str(stand_in)] if "STAND_IN" in os.environ else [INSTALLED]
    return [*program, *map(str, words)]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Program:
    """A process under test. What it prints is kept; it never outlives the test run."""

    def __init__(self, argv: Sequence[str], **options: Any) -> None:
        # A run that is killed runs no `finally`: where there is setpriv, the kernel ends its processes.
        guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        pipes: Json = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._process = subprocess.Popen([*guard, *argv], text=True, errors="replace", **pipes, **options)
        self._heard = threading.Condition()
        self._lines: list[str] = []
        self._silent = False
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, seconds: float) -> int:
        """Its exit code, when it ends by itself."""
        return self._process.wait(seconds)

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def output(self) -> str:
        return "".join(self._lines)

    def wait_for(self, text: str) -> None:
        with self._heard:
            self._heard.wait_for(lambda: self._silent or text in self.output, STARTED_WITHIN)
        assert text in self.output, f"it never said {text!r}, but: {self.output}"

    def stop(self) -> int:
        """As Ctrl-C or a service manager would; its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._reader.join()
            assert self._process.stdout is not None
            self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._heard:
                self._lines.append(line)
                self._heard.notify_all()
        with self._heard:
            self._silent = True
            self._heard.notify_all()


@contextlib.contextmanager
def running(argv: Sequence[str], announcement: str, **options: Any) -> Iterator[Program]:
    """The program, once it printed the announcement."""
    program = Program(argv, **options)
    try:
        program.wait_for(announcement)
        yield program
    finally:
        program.stop()


@dataclass
class Doorward:
    """A deployment as its callers see it; `http` trusts its certificate, `admin_key` may do everything."""

    issuer: str
    directory: Path
    http: httpx2.Client
    admin_key: str = field(default="", repr=False)
    setup_token: str = field(default="", repr=False)
    program: Program | None = None
    database: str = ""
    _numbers: Iterator[int] = field(default_factory=itertools.count, repr=False)

    def set_up(self) -> None:
        self.admin_key = str(made(self.http.post("/setup", json={"token": self.setup_token}))["key"])

    def v1(self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Response:
        """A request to the admin API; `if_match="..."` is sent as If-Match."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        fields["authorization"] = f"Bearer {self.admin_key if key is None else key}"
        return self.http.request(method, f"/v1{path}", json=body, headers=fields)

    def create(self, path: str, **body: Any) -> Json:
        return made(self.v1("POST", path, body))

    def an_api(self, **body: Any) -> Json:
        number = next(self._numbers)
        given = {"identifier": f"{API}/{number}", "name": f"Invoices {number}", "scopes": SCOPES, **body}
        return self.create("/apis", **given)

    def an_account(self, **body: Any) -> Json:
        return self.create("/accounts", **{"id": f"acme-{next(self._numbers)}", "name": "Acme Inc", **body})

    def a_key(self, **body: Any) -> Json:
        return self.create("/keys", **{"scope": "invoices:read", **self._of(body), **body})

    def a_client(self, **body: Any) -> Json:
        given = {"name": "worker", "scope": "invoices:read invoices:write", **self._of(body), **body}
        return self.create("/clients", **given)

    def a_verifier(self, **body: Any) -> Json:
        return self.create("/verifiers", **{"api": body.get("api") or self.an_api()["identifier"], **body})

    def an_admin_key(self, scope: str, **body: Any) -> str:
        return str(self.create("/admin-keys", **{"name": "ci", "scope": scope, **body})["key"])

    def _of(self, body: Mapping[str, Any]) -> Json:
        """The account and api of a key or client, made where none was named."""
        return {
            "account": body.get("account") or self.an_account()["id"],
            "api": body.get("api") or self.an_api()["identifier"],
        }

    def post(self, path: str, caller: Json | None = None, /, **form: Any) -> Response:
        """A form to an OAuth endpoint, in the name of a client or verifier (client_secret_basic)."""
        return self.http.post(f"/oauth/{path}", content=urlencode(form, doseq=True), headers=FORM, auth=auth_of(caller))

    def token(self, client: Json, **form: Any) -> str:
        reply = self.post("token", client, grant_type="client_credentials", **form)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["access_token"])

    def introspect(self, caller: Json, token: str) -> Json:
        reply = self.post("introspect", caller, token=token)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """What no caller could do or see: a test lets a day go by, or looks whether a secret was kept."""
        from sqlalchemy import text

        from doorward.store.engine import open_engine

        engine = open_engine(self.database)
        with engine.execution_options(writing=True).begin() as connection:
            found = connection.execute(text(statement), values)
            rows = [tuple(row) for row in found] if found.returns_rows else []
        engine.dispose()
        return rows

    def at_once(self, number: int, call: Any) -> list[Any]:
        """What `number` callers got who called together; `call` is given each one's number."""
        barrier = threading.Barrier(number)

        def one(index: int) -> Any:
            barrier.wait()
            return call(index)

        with ThreadPoolExecutor(number) as threads:
            return list(threads.map(one, range(number)))


def auth_of(caller: Json | None) -> tuple[str, str] | None:
    return None if caller is None else (caller["client_id"], caller["client_secret"])


def made(reply: Response) -> Json:
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


class _InProcess(httpx2.BaseTransport):
    """Hands requests of any thread to the application's loop."""

    def __init__(self, application: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = httpx2.ASGITransport(app=application)
        self._loop = loop

    def handle_request(self, request: httpx2.Request) -> Response:
        return asyncio.run_coroutine_threadsafe(self._answer(request), self._loop).result()

    async def _answer(self, request: httpx2.Request) -> Response:
        copy = httpx2.Request(request.method, request.url, headers=request.headers.raw, content=request.read())
        reply = await self._inner.handle_async_request(copy)
        content = b"".join([chunk async for chunk in reply.aiter_raw()])
        return Response(reply.status_code, headers=reply.headers.raw, stream=httpx2.ByteStream(content))


@contextlib.contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@atexit.register
def _close_counters() -> None:
    """The library that counts keeps its files open to the very end, and Python would complain of each."""
    kind = getattr(sys.modules.get("prometheus_client.mmap_dict"), "MmapedDict", ())
    for found in [one for one in gc.get_objects() if issubclass(type(one), kind)]:
        found.close()


@contextlib.contextmanager
def deployed(directory: Path, *, set_up: bool = True, **flags: Any) -> Iterator[Doorward]:
    """Doorward in this process, with the first administrator; `flags` are settings such as `database`."""
    from doorward import passwords, settings
    from doorward.data_directory import DataDirectory
    from doorward.store import store, tallies
    from doorward.web import application

    # As on a slow machine: the least work that is allowed. `served` takes what this one can do.
    passwords._seconds = lambda *_: 9.0
    # A machine that does other things is no database that is silent.
    store.PATIENCE = 15.0
    # What was counted is soon told, so that no test waits for it.
    tallies.FLUSH_INTERVAL, tallies.USAGE_INTERVAL = 0.1, 0.0
    if database_for is not None:
        flags.setdefault("database", database_for(directory))
    given = settings.load({"data_dir": directory / "data", **flags})
    data = DataDirectory.open(given)
    token = application.prepare(given, data).setup_token
    with _loop() as loop:
        opened = application.running(given, data, 0)
        served = asyncio.run_coroutine_threadsafe(opened.__aenter__(), loop).result()
        try:
            with httpx2.Client(transport=_InProcess(served, loop), base_url=given.issuer) as http:
                doorward = Doorward(given.issuer, data.path, http, setup_token=token or "", database=given.database)
                if set_up:
                    doorward.set_up()
                yield doorward
        finally:
            asyncio.run_coroutine_threadsafe(opened.__aexit__(None, None, None), loop).result()


@contextlib.contextmanager
def served(
    directory: Path, *flags: object, port: int | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[Doorward]:
    """`doorward serve` on a free port, over TLS unless the flags say otherwise, with the first administrator."""
    data, port = directory / "data", port or free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD")}
    environment |= variables or {}
    if database_for is not None and "--database" not in flags:
        flags = ("--database", database_for(directory), *flags)
    named = dict(itertools.pairwise(map(str, flags)))
    database = named.get("--database", f"sqlite:///{data / 'doorward.db'}")
    argv = command("--data-dir", data, "serve", "--port", port, *flags)
    with running(argv, "Ctrl-C", cwd=directory, env=environment) as program:
        is_plain = "--no-tls" in flags
        trust = True if is_plain else ssl.create_default_context(cafile=data / "ca.pem")
        issuer = f"{'http' if is_plain else 'https'}://localhost:{port}"
        with httpx2.Client(base_url=issuer, verify=trust, trust_env=False, timeout=30) as http:
            doorward = Doorward(issuer, data, http, program=program, database=database)
            link = data / "setup-link"
            if link.exists():
                doorward.setup_token = link.read_text().strip().partition("#token=")[2]
                doorward.set_up()
            yield doorward
