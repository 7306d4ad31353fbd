"""The API outgrows one file: its database moves to PostgreSQL while everybody works, and one line is changed."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.browsing import Browser, a_user, an_app, refresh, signed_in, tokens
from tests.deployment import Doorward, command, free_port, served
from tests.postgresql import PostgreSQL

from doorward_verify import DoorwardError, Verifier

# Promises are seconds; the deadline is for slow machines.
DEADLINE = 60.0


def until(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


class Ledger:
    """Somebody makes accounts all the time, and knows which were acknowledged."""

    def __init__(self, doorward: Doorward) -> None:
        self.doorward = doorward
        self.acknowledged: list[str] = []
        self.answers: set[int] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> Ledger:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _write(self) -> None:
        for number in range(100_000):
            if self._stopping.is_set():
                break
            reply = self.doorward.v1("POST", "/accounts", {"id": f"busy-{number}", "name": "Busy"})
            self.answers.add(reply.status_code)
            if reply.status_code == 201:
                self.acknowledged.append(f"busy-{number}")
            else:
                assert int(reply.headers["retry-after"]) >= 1, reply.text


def migrate(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD")}
    argv = command("--data-dir", directory, "migrate", *words)
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)


def is_refused(verifier: Verifier, text: str) -> bool:
    try:
        verifier.check(text)
    except DoorwardError:
        return True
    return False


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.slow
def test_nobody_notices_but_for_the_last_moment(postgresql: PostgreSQL, tmp_path: Path, closing: ExitStack) -> None:
    url, port = postgresql.create(), free_port()
    with served(tmp_path, port=port) as before:
        doorward = before
        api = doorward.an_api()["identifier"]
        user, app = a_user(doorward), an_app(doorward, api=api)
        browser = signed_in(doorward, user)
        mine, ended = tokens(browser, app), tokens(browser, app)
        key, revoked = doorward.a_key(api=api), doorward.a_key(api=api)
        opaque = doorward.a_client(api=doorward.an_api(token_format="opaque")["identifier"])
        reference = doorward.token(opaque)
        given = doorward.a_verifier(api=api)
        assert doorward.post("revoke", app, token=ended["refresh_token"]).status_code == 200
        assert doorward.v1("POST", f"/keys/{revoked['id']}/revoke").status_code == 200
        verifier = Verifier(
            doorward.issuer, audience=api, verifier_id=given["client_id"], verifier_secret=given["client_secret"],
            ca_file=str(doorward.directory / "ca.pem"),
        )  # fmt: skip
        closing.callback(verifier.close)
        assert verifier.check(key["key"]).key_id == key["id"]
        with Ledger(doorward) as ledger:
            until(lambda: len(ledger.acknowledged) > 20, "nothing is written")
            moved = migrate(doorward.directory, "--to", url)
            assert moved.returncode == 0, moved.stderr
            until(lambda: 503 in ledger.answers, "the old server still writes")
        assert f'database = "{url}"' in moved.stdout
        assert moved.stderr == ""
        assert ledger.answers == {201, 503}
        is_silent(doorward, app, given, mine)

    with served(tmp_path, "--database", url, port=port) as doorward:
        doorward.admin_key = before.admin_key
        there = {one["id"] for one in every(doorward, "/accounts")}
        assert set(ledger.acknowledged) <= there
        again = Browser(doorward, browser.cookies)
        assert again.get("/account").status_code == 200
        assert verifier.check(mine["access_token"]).subject == user["id"]
        assert doorward.introspect(given, mine["access_token"])["active"]
        assert not doorward.introspect(given, ended["access_token"])["active"]
        assert doorward.introspect(opaque, reference)["active"]
        assert checks(doorward, key) == (True, None)
        assert checks(doorward, revoked) == (False, "credential_revoked")
        assert refresh(doorward, app, ended["refresh_token"]).status_code == 400
        fresh = refresh(doorward, app, mine["refresh_token"])
        assert fresh.status_code == 200, fresh.text
        # The feed goes on at the position where it was: what ends here is heard there.
        assert verifier.check(fresh.json()["access_token"]).subject == user["id"]
        assert doorward.v1("POST", f"/keys/{key['id']}/revoke").status_code == 200
        until(lambda: is_refused(verifier, key["key"]), "a connected verifier still accepts it")
    refused = migrate(doorward.directory, "--to", url)
    assert (refused.returncode, refused.stdout) == (2, "")


def is_silent(doorward: Doorward, app: Any, verifier: Any, mine: Any) -> None:
    """The old server says nothing that may be untrue by now, until it is started anew."""
    until(lambda: doorward.http.get("/readyz").status_code == 503, "it believes that it is ready")
    # For half a second it believes what it knows, as it may of any database that is silent.
    until(lambda: doorward.v1("GET", "/accounts").status_code == 503, "it still answers from memory")
    for reply in (
        refresh(doorward, app, mine["refresh_token"]),
        doorward.post("introspect", verifier, token=mine["access_token"]),
        doorward.v1("GET", "/accounts"),
    ):
        assert reply.status_code == 503, reply.text
        assert int(reply.headers["retry-after"]) >= 1


def every(doorward: Doorward, path: str) -> list[Any]:
    found, cursor = [], ""
    while cursor is not None:
        page = doorward.v1("GET", f"{path}?limit=200{cursor and '&cursor=' + cursor}").json()
        found += page["items"]
        cursor = page["next_cursor"]
    return found


def checks(doorward: Doorward, key: Any) -> tuple[bool, str | None]:
    reply = doorward.v1("POST", "/keys/verify", {"key": key["key"]}).json()
    return reply["active"], reply.get("reason")
