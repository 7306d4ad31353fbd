"""Several workers, one truth: what one of them ends all refuse, what one of them confirmed survives its death."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.deployment import served

WORKERS = 2
# The promise is a second; the deadline is for slow machines.
DEADLINE = 15.0


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def doorward(request, tmp_path_factory):
    directory, flags = tmp_path_factory.mktemp("workers"), []
    if request.param == "postgresql":
        flags = ["--database", request.getfixturevalue("postgresql").create()]
    with served(directory, "--workers", WORKERS, *flags) as doorward:
        yield doorward


def node_of(reply) -> str:
    """Which worker answered: its number stands in every request id (decision 23)."""
    return reply.headers["x-request-id"][12:14]


@contextlib.contextmanager
def connection(doorward) -> Iterator[httpx2.Client]:
    """A client of its own with one connection, which stays at one worker."""
    trust = ssl.create_default_context(cafile=doorward.directory / "ca.pem")
    limits = httpx2.Limits(max_connections=1)
    with httpx2.Client(base_url=doorward.issuer, verify=trust, trust_env=False, limits=limits, timeout=30) as http:
        yield http


@contextlib.contextmanager
def every_worker(doorward) -> Iterator[dict[str, httpx2.Client]]:
    """A connection to each worker, by its number."""
    found: dict[str, httpx2.Client] = {}
    deadline = time.monotonic() + DEADLINE
    with contextlib.ExitStack() as stack:
        while len(found) < WORKERS:
            assert time.monotonic() < deadline, f"only {sorted(found)} ever answered"
            http = stack.enter_context(connection(doorward))
            found.setdefault(node_of(http.get("/healthz")), http)
        yield found


def workers_of(doorward) -> list[int]:
    """The processes that the supervisor forked."""
    pid = doorward.program.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_two_workers_answer(doorward):
    assert len(workers_of(doorward)) == WORKERS
    with every_worker(doorward) as workers:
        assert sorted(workers) == ["01", "02"]


class TestWhatOneWorkerEndsAllRefuse:
    @pytest.fixture
    def account(self, doorward):
        return doorward.an_account()["id"]

    @pytest.fixture(params=["jwt", "opaque"])
    def api(self, request, doorward):
        return doorward.an_api(token_format=request.param)["identifier"]

    @pytest.fixture
    def client(self, doorward, account, api):
        return doorward.a_client(account=account, api=api)

    def end(self, doorward, workers, is_accepted, path, body=None):
        """Ends it at one worker: refused there in the next request, at all others soon, and then for good."""
        for http in workers.values():
            assert is_accepted(http)
        here, *others = workers.values()
        reply = here.post(f"/v1{path}", json=body, headers={"authorization": f"Bearer {doorward.admin_key}"})
        assert reply.status_code == 200, reply.text
        assert not is_accepted(here)
        deadline = time.monotonic() + DEADLINE
        for http in others:
            while is_accepted(http):
                assert time.monotonic() < deadline, "it is still accepted"
        # Sixteen callers at once, on connections of their own: none of them finds a worker that says yes.
        for accepted in doorward.at_once(16, lambda _: self.ask_anew(doorward, is_accepted)):
            assert not any(accepted)

    def ask_anew(self, doorward, is_accepted):
        with connection(doorward) as http:
            return [is_accepted(http) for _ in range(5)]

    def introspecting(self, verifier, token):
        auth = (verifier["client_id"], verifier["client_secret"])
        return lambda http: http.post("/oauth/introspect", data={"token": token}, auth=auth).json()["active"]

    def test_a_token(self, doorward, client, api):
        token = doorward.token(client)
        is_accepted = self.introspecting(doorward.a_verifier(api=api), token)
        with every_worker(doorward) as workers:
            self.end(doorward, workers, is_accepted, "/revocations", {"token": token})

    def test_a_grant(self, doorward, client, api):
        is_accepted = self.introspecting(doorward.a_verifier(api=api), doorward.token(client))
        with every_worker(doorward) as workers:
            body = {"grant": client["apis"][0]["grant_id"]}
            self.end(doorward, workers, is_accepted, "/revocations", body)

    def test_an_account_with_its_tokens(self, doorward, account, client, api):
        is_accepted = self.introspecting(doorward.a_verifier(api=api), doorward.token(client))
        with every_worker(doorward) as workers:
            self.end(doorward, workers, is_accepted, f"/accounts/{account}/suspend")

    def test_a_client(self, doorward, client):
        def gets_tokens(http):
            auth = (client["client_id"], client["client_secret"])
            return http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=auth).status_code == 200

        with every_worker(doorward) as workers:
            self.end(doorward, workers, gets_tokens, "/revocations", {"client": client["client_id"]})

    def test_an_api_key(self, doorward):
        key = doorward.a_key()
        headers = {"authorization": f"Bearer {doorward.admin_key}"}

        def is_good(http):
            return http.post("/v1/keys/verify", json={"key": key["key"]}, headers=headers).json()["active"]

        with every_worker(doorward) as workers:
            self.end(doorward, workers, is_good, f"/keys/{key['id']}/revoke")

    def test_an_admin_key(self, doorward):
        made = doorward.create("/admin-keys", name="ci", scope="apis:read")

        def may_look(http):
            return http.get("/v1/apis", headers={"authorization": f"Bearer {made['key']}"}).status_code == 200

        with every_worker(doorward) as workers:
            self.end(doorward, workers, may_look, f"/admin-keys/{made['id']}/revoke")

    def test_a_verifier(self, doorward, client, api):
        verifier = doorward.a_verifier(api=api)
        auth = (verifier["client_id"], verifier["client_secret"])

        def may_ask(http):
            return http.post("/oauth/introspect", data={"token": "x"}, auth=auth).status_code == 200

        with every_worker(doorward) as workers:
            self.end(doorward, workers, may_ask, f"/verifiers/{verifier['client_id']}/revoke")

    def test_what_one_worker_makes_all_know_at_once(self, doorward):
        """Not soon: the very next request, wherever it goes."""
        key = doorward.a_key()
        headers = {"authorization": f"Bearer {doorward.admin_key}"}
        with every_worker(doorward) as workers:
            for http in workers.values():
                reply = http.post("/v1/keys/verify", json={"key": key["key"]}, headers=headers)
                assert reply.json()["active"] is True


KILLS = 4
WRITERS = 4
BETWEEN = 10  # acknowledgements between two kills, so that workers die while they work


def test_no_acknowledged_write_is_lost_and_none_is_doubled_when_workers_are_killed(doorward):
    """F2 and F6 in small: a reply that never came is unknown, so it is asked for again under the same key."""
    account, api = doorward.an_account()["id"], doorward.an_api()["identifier"]
    body = {"account": account, "api": api, "scope": "invoices:read"}
    acknowledged: dict[str, str] = {}
    heard, ended = threading.Condition(), threading.Event()

    def write(number):
        for attempt in range(10_000):
            if ended.is_set():
                return
            key = f"{account}-{number}-{attempt}"
            reply = until_answered(doorward, key, body)
            with heard:
                acknowledged[key] = reply["id"]
                heard.notify_all()

    def kill(_):
        try:
            for _ in range(KILLS):
                with heard:
                    seen = len(acknowledged)
                    assert heard.wait_for(lambda seen=seen: len(acknowledged) >= seen + BETWEEN, 60)
                os.kill(workers_of(doorward)[0], signal.SIGKILL)
        finally:
            ended.set()

    doorward.at_once(WRITERS + 1, lambda number: write(number) if number < WRITERS else kill(number))
    kept = everything(doorward, f"/keys?account={account}")
    assert sorted(kept) == sorted(acknowledged.values())
    assert len(acknowledged) >= KILLS * BETWEEN
    made = everything(doorward, "/audit?type=ApiKeyCreated", "entity_id")
    assert {id_: made.count(id_) for id_ in kept} == dict.fromkeys(kept, 1)
    with every_worker(doorward) as workers:
        assert len(workers) == WORKERS


def until_answered(doorward, key, body):
    headers = {"authorization": f"Bearer {doorward.admin_key}", "idempotency-key": key}
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(httpx2.TransportError), connection(doorward) as http:
            reply = http.post("/v1/keys", json=body, headers=headers)
            assert reply.status_code in (201, 503), reply.text
            if reply.status_code == 201:
                return reply.json()
        assert time.monotonic() < deadline, "no worker came back"


def everything(doorward, query, member="id"):
    found, cursor = [], ""
    while cursor is not None:
        with connection(doorward) as http:
            headers = {"authorization": f"Bearer {doorward.admin_key}"}
            page = http.get(f"/v1{query}&limit=200{cursor and '&cursor=' + cursor}", headers=headers).json()
        found, cursor = [*found, *(item[member] for item in page["items"])], page["next_cursor"]
    return found


def test_a_quota_is_exact_and_a_rate_within_a_hundredth_over_all_workers(doorward):
    key = doorward.a_key(limits=[{"name": "daily", "amount": 60, "per": "day", "type": "quota"}])
    fast = doorward.a_key(limits=[{"name": "hourly", "amount": 400, "per": "hour"}])
    with every_worker(doorward) as workers:
        for asked, least, most in ((key, 60, 60), (fast, 396, 402)):
            body = {"keys": [{"key": asked["key"]}] * 50}
            passed = 0
            for _ in range(6):
                for http in workers.values():
                    reply = http.post(
                        "/v1/keys/verify/batch", json=body, headers={"authorization": f"Bearer {doorward.admin_key}"}
                    )
                    passed += sum(answer["active"] for answer in reply.json()["results"])
            assert least <= passed <= most
