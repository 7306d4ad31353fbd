"""F12: a backup brings back nothing that was revoked, used or replaced after it was made. On both engines."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests import browsing
from tests.deployment import Doorward, Json, command, deployed
from tests.faults.ends import KINDS, Doomed, Place

# A code lives for a minute: those are made last.
EACH, EACH_LONG, FEW = 7, 60, 2
Attempt = Callable[[Doorward], bool]


def ran(*words: object) -> str:
    """The command as a person types it; what it printed."""
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass
class Deployment:
    """`database` is None for SQLite in the data directory."""

    directory: Path
    database: str | None

    def __post_init__(self) -> None:
        if self.database:
            (self.directory / "doorward.toml").write_text(f"database = {json.dumps(self.database)}\n")

    @property
    def words(self) -> tuple[object, ...]:
        config = ("--config", self.directory / "doorward.toml") if self.database else ()
        return ("--data-dir", self.directory / "data", *config)

    def ran(self, *words: object) -> str:
        return ran(*self.words, *words)

    def served(self, **more: Any) -> contextlib.AbstractContextManager[Doorward]:
        return deployed(self.directory, **({"database": self.database} if self.database else {}), **more)

    @contextlib.contextmanager
    def restored(self) -> Iterator[Doorward]:
        """With a new key for the administrator, made beside the server as he would make it."""
        made = json.loads(self.ran("admin-keys", "create", "after", "--json"))
        with self.served(set_up=False) as doorward:
            doorward.admin_key = made["key"]
            yield doorward


@pytest.fixture(params=["sqlite", "postgresql"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    database = None if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    return Deployment(tmp_path, database)


@dataclass
class Past:
    """What there was at the time of the backup: `attempts` to use what ended after it, by name, and what ends it."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    ends: list[Callable[[], Any]] = field(default_factory=list)
    untouched: dict[str, Attempt] = field(default_factory=dict)

    def accepted(self, doorward: Doorward) -> list[str]:
        return [name for name, attempt in self.attempts.items() if attempt(doorward)]


def is_active(text: str) -> Attempt:
    """As an administrator sees it: no verifier and no client needs to be good for that."""

    def attempt(doorward: Doorward) -> bool:
        asking = {"authorization": f"Bearer {doorward.admin_key}", "content-type": "application/x-www-form-urlencoded"}
        reply = doorward.http.post("/oauth/introspect", content=f"token={text}", headers=asking)
        assert reply.status_code == 200, reply.text
        return bool(reply.json()["active"])

    return attempt


def answers(call: Callable[[Doorward], Any]) -> Attempt:
    return lambda doorward: call(doorward).status_code in (200, 201)


def _doomed(past: Past, name: str, doomed: Doomed) -> None:
    for index, (_, text) in enumerate(doomed.texts):
        past.attempts[f"{name} {index}"] = is_active(text)
    past.ends.append(doomed.end)


def _programs(past: Past, place: Place, number: int) -> None:
    """A verifier, an administrator's key and a client, known by their secrets."""
    doorward, account = place.doorward, place.clients["jwt"]["account"]
    verifier = doorward.a_verifier(api=place.apis["jwt"])
    made = doorward.create("/admin-keys", name=f"ci-{number}", scope="keys:read")
    client = doorward.a_client(api=place.apis["jwt"], account=account)
    rotated = doorward.a_key(api=place.apis["jwt"], account=account)
    past.attempts[f"verifier {number}"] = answers(lambda at: at.post("introspect", verifier, token="x"))
    past.attempts[f"admin key {number}"] = answers(lambda at: at.v1("GET", "/keys", key=made["key"]))
    past.attempts[f"client secret {number}"] = answers(lambda at: _asks(at, client))
    past.attempts[f"rotated key {number}"] = is_active(rotated["key"])
    at_once = {"overlap": 0, "starts": "now"}
    past.ends += [
        lambda: doorward.v1("POST", f"/verifiers/{verifier['client_id']}/revoke"),
        lambda: doorward.v1("POST", f"/admin-keys/{made['id']}/revoke"),
        lambda: doorward.v1("POST", f"/clients/{client['client_id']}/rotate-secret", at_once),
        lambda: doorward.v1("POST", f"/keys/{rotated['id']}/rotate", at_once),
    ]


def _asks(doorward: Doorward, client: Json) -> Any:
    return doorward.post("token", client, grant_type="client_credentials")


def _people(past: Past, place: Place, number: int) -> None:
    """A code that is redeemed, a refresh token that is rotated, a session that ends, a password that changes."""
    doorward, app = place.doorward, place.app
    user = browsing.a_user(doorward)
    browser = browsing.signed_in(doorward, user)
    kept = browsing.tokens(browser, app, scope="invoices:read offline_access")
    cookies = dict(browser.cookies)
    past.attempts[f"refresh token {number}"] = answers(lambda at: browsing.refresh(at, app, kept["refresh_token"]))
    past.attempts[f"token of {number}"] = is_active(kept["access_token"])
    past.attempts[f"session {number}"] = answers(lambda at: browsing.Browser(at, dict(cookies)).get("/account"))
    past.attempts[f"password {number}"] = lambda at: browsing.Browser(at).sign_in(user["username"]).status_code == 303
    past.ends += [
        lambda: browsing.refresh(doorward, app, kept["refresh_token"]),
        lambda: _new_password(doorward, user),
    ]


def _codes(past: Past, place: Place, number: int) -> None:
    """Redeemed before anything else ends."""
    app, browser = place.app, browsing.signed_in(place.doorward, browsing.a_user(place.doorward))
    for code in [browsing.a_code(browser, app) for _ in range(number)]:
        redeem = partial(browsing.redeem, client=app, code=code, redirect_uri=browsing.CALLBACK)
        past.attempts[f"code {code}"] = answers(redeem)
        past.ends.insert(0, partial(redeem, place.doorward))


def _new_password(doorward: Doorward, user: Json) -> Any:
    """It ends the sessions, too."""
    link = doorward.create(f"/users/{user['id']}/reset-password")["link"]
    browser = browsing.Browser(doorward)
    page = browsing.Page(browser.get("/reset").text)
    return browser.submit(page, token=link.partition("#token=")[2], password="another " + browsing.PASSWORD)


def a_past(place: Place, each: int) -> Past:
    past = Past()
    for number in range(each):
        for kind in KINDS:
            _doomed(past, f"{kind} {number}", KINDS[kind](place))
        _programs(past, place, number)
        if number % 5 == 0:
            _people(past, place, number)
    doorward, account = place.doorward, place.clients["jwt"]["account"]
    good = doorward.a_key(api=place.apis["jwt"], account=account)
    client = doorward.a_client(api=place.apis["jwt"], account=account)
    verifier = doorward.a_verifier(api=place.apis["jwt"])
    past.untouched = {
        good["id"]: is_active(good["key"]),
        client["client_id"]: answers(lambda at: _asks(at, client)),
        verifier["client_id"]: answers(lambda at: at.post("introspect", verifier, token="x")),
    }
    return past


def _ended(past: Past) -> None:
    for end in past.ends:
        reply = end()
        assert reply.status_code in (200, 201, 204), reply.text


def _journal(doorward: Doorward) -> list[Json]:
    entries: list[Json] = []
    cursor: str | None = None
    while True:
        page = doorward.v1("GET", f"/audit?limit=200{f'&cursor={cursor}' if cursor else ''}").json()
        entries += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return entries


@pytest.mark.slow
@pytest.mark.parametrize("with_journal", [False, True], ids=["held", "journal"])
def test_nothing_that_ended_after_a_backup_comes_back_with_it(deployment, with_journal, is_long, figure):
    backup, journal = deployment.directory / "night.backup", deployment.directory / "journal.jsonl"
    with deployment.served() as doorward:
        place = Place(doorward)
        past = a_past(place, FEW if with_journal else EACH_LONG if is_long else EACH)
        reusable = {name for name in past.attempts if not name.startswith("refresh token")}
        assert {name for name in reusable if not past.attempts[name](doorward)} == set(), "it was not good"
        _codes(past, place, 2)
        assert with_journal or len(past.attempts) >= 100
        deployment.ran("backup", backup)
        _ended(past)
        assert past.accepted(doorward) == [], "it was not ended"
        journal.write_text("".join(f"{json.dumps(entry)}\n" for entry in _journal(doorward)))
    words = ("--journal", journal) if with_journal else ()
    restored = json.loads(deployment.ran("restore", backup, "--force", "--json", *words))
    assert restored["epoch"] > 1
    with deployment.restored() as doorward:
        figure("of what ended after the backup, accepted after the restore", "", [len(past.accepted(doorward))], most=0)
        assert past.accepted(doorward) == []
        waits = [id_ for id_, attempt in past.untouched.items() if not attempt(doorward)]
        assert waits == ([] if with_journal else [*past.untouched]), "what nobody touched"
        deployment.ran("restore", "--resume", *past.untouched)
        assert all(attempt(doorward) for attempt in past.untouched.values())
        assert past.accepted(doorward) == []
        # What is new is as good as ever.
        assert is_active(doorward.a_key(api=place.apis["jwt"], account=doorward.an_account(id="later")["id"])["key"])(
            doorward
        )
