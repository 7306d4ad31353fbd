"""F16: ten times as many requests as can be answered; as many are answered as before, and the others are told so.

The server has one core, who floods it has another; plain HTTP, as behind a proxy on the same machine.
"""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from tests.browsing import Browser, Page
from tests.deployment import Doorward, Json, free_port, served
from tests.faults.figures import percentile
from tests.faults.flood import Answers, Flood, answers, flooded

TIMES = 10
AT_REST = 32
FLOODERS = 1_000
FORM = "application/x-www-form-urlencoded"


@dataclass
class Target:
    """A server alone on its core; `seconds` is how long each flood lasts."""

    doorward: Doorward
    token: str
    check: str
    sign_in: str
    seconds: float

    @property
    def port(self) -> int:
        return urlsplit(self.doorward.issuer).port or 0

    @property
    def megabytes(self) -> float:
        assert self.doorward.program is not None
        lines = Path(f"/proc/{self.doorward.program.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

    def flood(self, request: str, rate: float, connections: int, seconds: float = 0.0) -> Answers:
        flood = Flood(self.port, request, rate, seconds or self.seconds, connections)
        return answers(flooded(flood, core=FLOOD_CORE))

    def capacity(self, request: str) -> float:
        """Answers a second to as many as are no crowd."""
        found = self.flood(request, 0, AT_REST, min(self.seconds, 10))
        assert set(found.statuses) == {"200"}, found
        return found.good


CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, FLOOD_CORE = CORES[0], CORES[-1]


def request(path: str, body: str, media_type: str = FORM, authorization: str = "") -> str:
    fields = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {media_type}", f"Content-Length: {len(body)}"]
    fields += [f"Authorization: {authorization}"] if authorization else []
    return "\r\n".join((*fields, "", body))


def basic(caller: Json) -> str:
    return "Basic " + base64.b64encode(f"{caller['client_id']}:{caller['client_secret']}".encode()).decode()


def sign_in(doorward: Doorward) -> str:
    """Each time another user from another network, or the limiter would keep argon2 from its work."""
    browser = Browser(doorward)
    shown = Page(browser.get("/login").text)
    form = urlencode({"csrf": shown.fields["csrf"], "username": "nobody-00000", "password": "wrong horse battery"})
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    sent = request("/login", form).replace("nobody-00000", "nobody-@number")
    return sent.replace("Host: localhost", f"Host: localhost\r\nCookie: {cookies}\r\nX-Forwarded-For: @network")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, is_long: bool) -> Iterator[Target]:
    port = free_port()
    flags = ("--no-tls", "--behind-proxy", "127.0.0.1/32", "--issuer", f"http://localhost:{port}")
    with served(tmp_path_factory.mktemp("overload"), *flags, port=port) as doorward:
        assert doorward.program is not None
        for thread in Path(f"/proc/{doorward.program.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {SERVER_CORE})
        client = doorward.a_client()
        verifier = doorward.a_verifier(api=client["apis"][0]["api"])
        grant = urlencode({"grant_type": "client_credentials"})
        asked = urlencode({"token": doorward.token(client)})
        yield Target(
            doorward,
            token=request("/oauth/token", grant, authorization=basic(client)),
            check=request("/oauth/introspect", asked, authorization=basic(verifier)),
            sign_in=sign_in(doorward),
            seconds=60.0 if is_long else 3.0,
        )


def beside(target: Target, flooding: Flood) -> tuple[Answers, Answers]:
    """A flood, and checks at a tenth of what the server can do meanwhile."""
    process = flooded(flooding, core=FLOOD_CORE)
    found = target.flood(target.check, 100, AT_REST, flooding.seconds)
    return answers(process), found


@pytest.mark.slow
def test_at_ten_times_its_capacity_a_server_answers_as_many_as_before(target, figure):
    capacity = target.capacity(target.token)
    steady = target.megabytes
    flood = Flood(target.port, target.token, TIMES * capacity, target.seconds, FLOODERS)
    watched = Watched(target)
    overloaded, checks = beside(target, flood)
    most = watched.end()
    recovered = recovery(target)
    missing = 100 * (1 - overloaded.good / capacity)
    figure("overload: tokens a second, what is missing of the capacity", "%", [missing], most=20)
    figure("overload: memory, of the steady", "x", [most / steady], most=1.5)
    figure("overload: until every request is answered again", "s", [recovered], most=5)
    figure("overload: a check beside it", "ms", checks.waits)
    assert set(overloaded.statuses) <= {"200", "503"}
    assert overloaded.statuses["200"] > 0
    assert (overloaded.lost, overloaded.without_retry_after) == (0, 0)
    assert set(checks.statuses) == {"200"}
    assert most < 3 * steady
    assert recovered < 30


class Watched:
    """The most memory that the server takes meanwhile."""

    def __init__(self, target: Target) -> None:
        self._target, self._most, self._over = target, 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self._most = max(self._most, self._target.megabytes)

    def end(self) -> float:
        self._over.set()
        self._thread.join()
        return max(self._most, self._target.megabytes)


def recovery(target: Target) -> float:
    """Seconds until a burst of requests of every rank is answered without a refusal."""
    began = time.monotonic()
    while time.monotonic() - began < 30:
        found = target.flood(target.token, 0, AT_REST, 0.2)
        if set(found.statuses) == {"200"} and target.doorward.v1("GET", "/accounts").status_code == 200:
            return max(0.0, time.monotonic() - began - 0.2)
    return time.monotonic() - began


@pytest.mark.slow
def test_wrong_passwords_without_end_do_not_hold_up_a_check(target, figure):
    alone = target.flood(target.check, 100, AT_REST)
    flood = Flood(target.port, target.sign_in, 200, target.seconds, 200)
    flooding, checks = beside(target, flood)
    figure("a check alone", "ms", alone.waits)
    figure("a check beside a flood of passwords", "ms", checks.waits, p99=2 * percentile(alone.waits, 99))
    assert set(checks.statuses) == {"200"}
    # More waited for argon2 than may: it had no pause.
    assert "503" in flooding.statuses
    assert flooding.without_retry_after == 0
