"""F8, T221: an asynchronous standby of PostgreSQL is promoted that lacks the last commits; nothing of them comes back.

A primary and a standby of it by pg_basebackup, both real. The standby's line breaks, what ends afterwards is
acknowledged by the primary alone, the primary dies, and the standby takes over at the same address.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from tests import browsing
from tests.deployment import Doorward, command, free_port, served
from tests.faults.test_damage import _until_marked
from tests.postgresql import PostgreSQL, private
from tests.verify.waiting import until

CODES = 5
CAUGHT_UP = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()"
Attempt = Callable[[Doorward], int]


@dataclass
class Pair:
    """The address is that of the primary, then of whoever took over."""

    primary: PostgreSQL
    standby: PostgreSQL
    address: Path

    def lead_to(self, cluster: PostgreSQL) -> None:
        self.address.unlink(missing_ok=True)
        self.address.symlink_to(cluster.directory)

    def url(self, database: str) -> str:
        return f"postgresql://doorward@/{database}?host={quote(str(self.address), safe='')}"

    def take_over(self) -> None:
        """By a standby that could not follow any more; the primary is gone with what it alone knew."""
        self.primary.stop()
        self.standby.start()
        self.standby.promote()
        self.lead_to(self.standby)


@pytest.fixture
def pair(postgresql: PostgreSQL, is_long: bool, tmp_path: Path) -> Iterator[Pair]:
    if not is_long:
        pytest.skip("two clusters of its own: `make faults`")
    with private() as primary, private(primary) as standby:
        made = Pair(primary, standby, tmp_path / "address")
        made.lead_to(primary)
        yield made


@dataclass
class Lost:
    """What the standby never heard of: each way to use it answers 200 where it is good."""

    attempts: dict[str, Attempt]
    ends: list[Callable[[], object]]

    def accepted(self, doorward: Doorward) -> list[str]:
        return [name for name, attempt in self.attempts.items() if attempt(doorward) == 200]


def about_to_end(doorward: Doorward) -> Lost:
    """A key, a refresh token and codes; good, as the standby knows them too."""
    api, account = doorward.an_api()["identifier"], doorward.an_account()["id"]
    key, app = doorward.a_key(api=api, account=account), browsing.an_app(doorward, api=api, first_party=True)
    browser = browsing.signed_in(doorward, browsing.a_user(doorward))
    kept = browsing.tokens(browser, app, scope="invoices:read offline_access")
    lost = Lost({}, [])
    for code in [browsing.a_code(browser, app) for _ in range(CODES)]:
        redeem = partial(browsing.redeem, client=app, code=code, redirect_uri=browsing.CALLBACK)
        lost.attempts[f"code {code}"] = lambda at, redeem=redeem: redeem(at).status_code
        lost.ends.append(partial(redeem, doorward))
    lost.attempts["refresh token"] = lambda at: browsing.refresh(at, app, kept["refresh_token"]).status_code
    lost.attempts["key"] = partial(check, key=key["key"])
    lost.ends += [
        lambda: browsing.refresh(doorward, app, kept["refresh_token"]),
        lambda: doorward.v1("POST", f"/clients/{app['client_id']}/rotate-secret", {"overlap": 0, "starts": "now"}),
        lambda: doorward.v1("POST", f"/keys/{key['id']}/revoke"),
    ]
    return lost


def check(doorward: Doorward, key: str) -> int:
    """As the status that it stands for."""
    reply = doorward.v1("POST", "/keys/verify", {"key": key})
    return reply.status_code if reply.status_code != 200 or reply.json()["active"] else 401


@pytest.mark.slow
def test_a_standby_that_lacks_the_last_commits_takes_over_and_revives_nothing(pair: Pair, tmp_path: Path, figure):
    url = pair.url(pair.primary.name(pair.primary.create()))
    with served(tmp_path, "--database", url) as doorward:
        lost, admin_key = about_to_end(doorward), doorward.admin_key
        until(lambda: pair.primary.sql(CAUGHT_UP) == [(1,)])
        pair.standby.stop()
        ended = [end() for end in lost.ends]
        assert {reply.status_code for reply in ended} <= {200, 201}, ended
        _until_marked(doorward)
        pair.take_over()
        assert doorward.sql("SELECT state FROM api_keys") == [("active",)], "the standby has heard of it"
        until(lambda: doorward.v1("GET", "/keys").status_code == 503)
        while_it_runs = lost.accepted(doorward)
        assert doorward.v1("POST", "/accounts", {"id": "late", "name": "Late"}).status_code == 503
        assert doorward.program is not None
        assert "the journal is at" in doorward.program.output
        assert "Traceback" not in doorward.program.output
    (tmp_path / "doorward.toml").write_text(f"database = '{url}'\n")
    words = ("--data-dir", tmp_path / "data", "--config", tmp_path / "doorward.toml")
    assert "older than what was served" in ran(*words, "serve", "--port", free_port(), code=2)
    # What was lost is in no journal: every long-lived secret is held, and the epoch that begins outdates every token.
    ran(*words, "restore", "--here", code=0)
    with served(tmp_path, "--database", url) as doorward:
        doorward.admin_key = admin_key
        assert doorward.v1("GET", "/keys").status_code == 401
        after = lost.accepted(doorward)
    accepted = len(while_it_runs) + len(after)
    figure("of what a promoted standby did not know to be over, accepted", "", [accepted], most=0)
    assert (while_it_runs, after) == ([], [])


def ran(*words: object, code: int) -> str:
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
